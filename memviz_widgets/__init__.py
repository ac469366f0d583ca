"""Notebook instruments that show and measure what a PyTorch model holds while it computes."""

from __future__ import annotations

from . import analysis, errors
from ._version import __version__
from .cache import ActivationCache, record
from .capture import (
    MemoryAdapter,
    MemoryTensor,
    memory_candidates,
    register_memory,
    unregister_memory,
)
from .selection import Selection
from .views import ActivationExplorer, AttentionExplorer, MemoryExplorer, TensorImage, explore

__all__ = [
    "ActivationCache",
    "ActivationExplorer",
    "AttentionExplorer",
    "MemoryAdapter",
    "MemoryExplorer",
    "MemoryTensor",
    "Selection",
    "TensorImage",
    "__version__",
    "analysis",
    "errors",
    "explore",
    "memory_candidates",
    "record",
    "register_memory",
    "unregister_memory",
]
