"""Cache: records and the values that fit the budget, until it is closed."""

from __future__ import annotations

from .activation_cache import ActivationCache
from .budget import format_bytes, parse_budget
from .checkpoints import timelapse
from .dataset import record_dataset
from .dataset_cache import ActivationDataset
from .dataset_opening import open_dataset
from .dataset_statistics import ChannelStatistics
from .dataset_top import Example
from .estimate import Estimate
from .recording import record

__all__ = [
    "ActivationCache",
    "ActivationDataset",
    "ChannelStatistics",
    "Estimate",
    "Example",
    "format_bytes",
    "open_dataset",
    "parse_budget",
    "record",
    "record_dataset",
    "timelapse",
]
