"""How the values of a tensor are distributed: counts in equal bins.

In: a recorded tensor. Out: counts and the two outer edges.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .numbers import pieces, real_numbers

SAMPLE_CELLS = 4 * 2**20
"""A tensor with more elements than this is sampled with an even stride."""


class Histogram(NamedTuple):
    """Counts per bin and the range they cover."""

    counts: npt.NDArray[np.float64]
    lo: float
    hi: float
    sampled: bool


def histogram(values: Tensor, bins: int = 64) -> Histogram:
    """Counts of the finite values in ``bins`` equal bins from the smallest to the largest; NaN and Inf are left out.

    Bin ``i`` holds ``lo + i * width <= v < lo + (i + 1) * width`` (up to the rounding of float64), the last one also
    ``v == hi``. Constant data are all in bin 0, with ``lo == hi``. Complex values count as ``|z|``.

    Args:
        values: any shape, any dtype. Above ``SAMPLE_CELLS`` elements every k-th one is counted, k being coprime to all
            sizes so that no row or column is preferred; range and counts are then those of the sample.
        bins: number of bins, 1 or more.

    Returns:
        ``counts``: float64 ``(bins,)``, whose sum is the number of finite values looked at. ``lo``, ``hi``: outer
        edges, NaN when no value is finite. ``sampled``: whether some values were not looked at.
    """
    flat = _in_memory_order(values)
    step = _even_step(flat.numel())
    flat = flat[::step]
    lo, hi = _finite_range(flat)
    counts = torch.zeros(bins, dtype=torch.float64, device="cpu")
    if not math.isnan(lo):
        for piece in pieces(flat):
            counts += _counts(_finite_numbers(piece), lo, hi, bins).cpu()
    return Histogram(counts.numpy(), lo, hi, step > 1)


def _in_memory_order(values: Tensor) -> Tensor:
    """``values`` as one dim, without a copy where the tensor is dense in memory, whatever the order of its dims."""
    order = sorted(range(values.dim()), key=values.stride, reverse=True)
    return values.permute(order).reshape(-1)


def _even_step(elements: int) -> int:
    """Smallest step that leaves at most ``SAMPLE_CELLS`` elements and is coprime to every dim's size."""
    step = max(1, math.ceil(elements / SAMPLE_CELLS))
    while math.gcd(step, elements) > 1:
        step += 1
    return step


def _finite_range(flat: Tensor) -> tuple[float, float]:
    """Smallest and largest finite value, NaN twice when there is none."""
    lo, hi = math.inf, -math.inf
    for piece in pieces(flat):
        numbers = _finite_numbers(piece)
        if numbers.numel():
            smallest, largest = numbers.aminmax()
            lo, hi = min(lo, smallest.item()), max(hi, largest.item())
    return (lo, hi) if lo <= hi else (math.nan, math.nan)


def _finite_numbers(piece: Tensor) -> Tensor:
    """The finite values of a piece, float64."""
    numbers = real_numbers(piece)
    finite = numbers.isfinite()
    return numbers if bool(finite.all()) else numbers[finite]


def _counts(numbers: Tensor, lo: float, hi: float, bins: int) -> Tensor:
    """float64 ``(bins,)`` of ``numbers``, all within ``lo .. hi``."""
    scale = 0.5 if math.isinf(hi - lo) else 1.0  # hi - lo may overflow float64; halves cannot
    span = hi * scale - lo * scale
    if not span:
        place = torch.zeros_like(numbers, dtype=torch.int64)
    else:
        share = (numbers * scale).sub_(lo * scale).div_(span)
        place = share.mul_(bins).to(torch.int64).clamp_(0, bins - 1)
    return torch.bincount(place, minlength=bins).to(torch.float64)
