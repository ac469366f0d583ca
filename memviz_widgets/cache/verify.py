"""Whether a value that was computed again is the recorded one.

In: statistics of both. Out: yes or no. Counts, min and max must be equal; sums may differ in their last digits, since
the order in which they are added depends on the number of threads.
"""

from __future__ import annotations

from ..records import TensorStats

CLOSE = 1e-5
"""Largest difference of mean and standard deviation, as a part of their size."""


def same_stats(one: TensorStats, other: TensorStats) -> bool:
    """Whether two statistics can be of the same values."""
    exact = ("min", "max", "zeros", "nan", "posinf", "neginf", "count")
    if any(getattr(one, name) != getattr(other, name) for name in exact):
        return False
    size = abs(one.mean or 0.0) + (one.std or 0.0)
    pairs = ((one.mean, other.mean), (one.std, other.std))
    return all(abs((a or 0.0) - (b or 0.0)) <= CLOSE * size for a, b in pairs)
