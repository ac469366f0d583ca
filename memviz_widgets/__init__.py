"""Notebook instruments that show and measure what a PyTorch model holds while it computes."""

from __future__ import annotations

from . import analysis, errors
from ._version import __version__
from .cache import ActivationCache, ActivationDataset, open_dataset, record, record_dataset, timelapse
from .capture import (
    MemoryAdapter,
    MemoryTensor,
    memory_candidates,
    register_memory,
    unregister_memory,
)
from .capture import what_if_edits as edit
from .selection import Selection
from .views import (
    ActivationExplorer,
    AttentionExplorer,
    Comparison,
    HealthReport,
    MemoryExplorer,
    Quiz,
    RecallLab,
    TensorImage,
    compare,
    explore,
    save_html,
)

__all__ = [
    "ActivationCache",
    "ActivationDataset",
    "ActivationExplorer",
    "AttentionExplorer",
    "Comparison",
    "HealthReport",
    "MemoryAdapter",
    "MemoryExplorer",
    "MemoryTensor",
    "Quiz",
    "RecallLab",
    "Selection",
    "TensorImage",
    "__version__",
    "analysis",
    "compare",
    "edit",
    "errors",
    "explore",
    "memory_candidates",
    "open_dataset",
    "record",
    "record_dataset",
    "register_memory",
    "save_html",
    "timelapse",
    "unregister_memory",
]
