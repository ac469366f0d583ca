"""Cache: records and the values that fit the budget, until it is closed."""

from __future__ import annotations

from .activation_cache import ActivationCache
from .budget import format_bytes, parse_budget

__all__ = ["ActivationCache", "format_bytes", "parse_budget"]
