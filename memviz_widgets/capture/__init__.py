"""Capture: a model and an input become records and live tensors for a sink. Never imports the cache."""

from __future__ import annotations

from .hooks import Sink
from .run import run
from .stats import tensor_stats
from .tensors import held_nbytes, look, same_bits, snapshot, tensor_kind, version_of
from .trace import Trace

__all__ = [
    "Sink",
    "Trace",
    "held_nbytes",
    "look",
    "run",
    "same_bits",
    "snapshot",
    "tensor_kind",
    "tensor_stats",
    "version_of",
]
