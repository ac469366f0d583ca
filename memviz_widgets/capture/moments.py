"""Moments of finite values, merged from pieces, and the TensorStats that they are.

In: counts and moments of pieces of a tensor. Out: those of all. Mean and variance are merged by the parallel formula of
Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..records import TensorStats

SAFE_SQUARES = (1e-120, 1e120)
"""Magnitudes whose squares neither overflow nor vanish in float64; others are scaled first."""


@dataclass(slots=True)
class Tally:
    """What has been seen so far: counts of all elements, moments of the finite ones."""

    count: int = 0
    zero: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    finite: int = 0
    lo: float = math.inf
    hi: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0

    def add(self, finite: int, lo: float, hi: float, mean: float, squares: float) -> None:
        """Merge ``finite`` more values of which these are the moments (squares: sum of squared deviations)."""
        if not finite:
            return
        total = self.finite + finite
        delta = mean - self.mean
        self.squares += squares + delta * delta * (self.finite * finite / total)
        self.mean += delta * (finite / total)
        self.finite = total
        self.lo, self.hi = min(self.lo, lo), max(self.hi, hi)


def stats_of(tally: Tally, scale: float) -> TensorStats:
    """The tally as statistics; ``scale`` undoes the division of the moments."""
    zeros = tally.zero / tally.count if tally.count else 0.0
    rest = (zeros, tally.nan, tally.posinf, tally.neginf, tally.count)
    if not tally.finite:
        return TensorStats(None, None, None, None, *rest)
    if tally.lo == tally.hi:
        return TensorStats(tally.lo, tally.hi, tally.lo, 0.0, *rest)
    mean = min(max(tally.mean * scale, tally.lo), tally.hi)
    return TensorStats(tally.lo, tally.hi, mean, math.sqrt(tally.squares / tally.finite) * scale, *rest)
