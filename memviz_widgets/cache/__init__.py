"""Cache: records and the values that fit the budget, until it is closed."""

from __future__ import annotations

from .activation_cache import ActivationCache
from .budget import format_bytes, parse_budget
from .checkpoints import timelapse
from .estimate import Estimate
from .recording import record

__all__ = ["ActivationCache", "Estimate", "format_bytes", "parse_budget", "record", "timelapse"]
