"""Capture: a model and an input become records and live values for a sink. Never imports the cache."""

from __future__ import annotations

from .attention import QueryKey
from .fingerprint import checksum, fingerprint
from .hooks import Sink
from .lazy import LazyValue
from .outputs import tensors_of
from .replay import Replay, ReplayFailedError
from .run import Holder, Session, run
from .stats import tensor_stats
from .tensors import TensorMap, dense_tensor, held_nbytes, look, same_bits, snapshot, tensor_kind, version_of
from .trace import Trace

__all__ = [
    "Holder",
    "LazyValue",
    "QueryKey",
    "Replay",
    "ReplayFailedError",
    "Session",
    "Sink",
    "TensorMap",
    "Trace",
    "checksum",
    "dense_tensor",
    "fingerprint",
    "held_nbytes",
    "look",
    "run",
    "same_bits",
    "snapshot",
    "tensor_kind",
    "tensor_stats",
    "tensors_of",
    "version_of",
]
