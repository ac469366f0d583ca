"""Byte budgets: text to bytes and bytes to text. The one place where MiB exists.

In: what a user wrote as ``budget=``. Out: an int of bytes; and sizes as readable text.
"""

from __future__ import annotations

import math
import numbers
import re
from functools import lru_cache

from ..errors import BudgetError

UNITS = {
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_TEXT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)(e[+-]?\d+)?\s*([a-z]*)\s*", re.IGNORECASE)


def parse_budget(budget: object) -> int:
    """Bytes of a budget given as text ("1 GiB", "512MB", "2e9") or as a number of bytes.

    Raises:
        BudgetError: when it is neither, negative, or not finite.
    """
    if isinstance(budget, str):
        return _parse_text(budget)
    if not isinstance(budget, bool) and isinstance(budget, numbers.Real):
        return _whole(budget, budget)
    raise BudgetError(_refusal(budget))


@lru_cache(maxsize=64)
def _parse_text(budget: str) -> int:
    match = _TEXT.fullmatch(budget)
    unit = UNITS.get(match[3].lower() or "b") if match else None
    if match and unit:
        return _whole(float(match[1] + (match[2] or "")) * unit, budget)
    raise BudgetError(_refusal(budget))


def _whole(amount: numbers.Real | float, given: object) -> int:
    """The amount as whole bytes, or BudgetError for what is negative, NaN or infinite."""
    if not math.isfinite(amount) or float(amount) < 0:
        raise BudgetError(_refusal(given))
    return int(float(amount)) if not isinstance(amount, numbers.Integral) else int(amount)


def _refusal(given: object) -> str:
    return f"budget={given!r} is no number of bytes; write text like '1 GiB' or '512 MB', or an int of bytes >= 0."


def format_bytes(nbytes: int) -> str:
    """Bytes as text with one decimal: ``"312 B"``, ``"1.5 MiB"``, ``"1.0 GiB"``."""
    size = float(nbytes)
    if size < 1024:
        return f"{nbytes} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1023.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def budget_text(nbytes: int) -> str:
    """The smallest round budget that is at least ``nbytes``, as text that :func:`parse_budget` reads: ``"2 GiB"``."""
    for unit in ("GiB", "MiB", "KiB"):
        if nbytes >= UNITS[unit.lower()]:
            return f"{math.ceil(nbytes / UNITS[unit.lower()])} {unit}"
    return f"{nbytes} B"
