"""Pure functions from tensors to measures. They know no cache, no frame and no widget."""

from __future__ import annotations

from . import attention, distance, health, memory, recall, rollout
from .channels import channel_measures
from .histogram import Histogram, histogram

__all__ = [
    "Histogram",
    "attention",
    "channel_measures",
    "distance",
    "health",
    "histogram",
    "memory",
    "recall",
    "rollout",
]
