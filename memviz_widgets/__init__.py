"""Notebook instruments that show and measure what a PyTorch model holds while it computes."""

from __future__ import annotations

from . import analysis, errors
from ._version import __version__
from .cache import ActivationCache, record
from .selection import Selection
from .views import ActivationExplorer, AttentionExplorer, TensorImage

__all__ = [
    "ActivationCache",
    "ActivationExplorer",
    "AttentionExplorer",
    "Selection",
    "TensorImage",
    "__version__",
    "analysis",
    "errors",
    "record",
]
