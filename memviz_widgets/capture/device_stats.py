"""Statistics of a tensor on an accelerator, without waiting for it: sums that stay there until they are read.

In: a live tensor of a device that computes on its own time. Out: Sums, which TensorStats are made of later, those of
all tensors with one transfer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..records import TensorStats
from .fingerprint import read_together
from .moments import SAFE_SQUARES, Tally, stats_of
from .stats import CHUNK_DEVICE, chunks, doubles
from .tensors import on_host, plain_mode, tensor_kind, without_repeats

NO_DOUBLES = ("mps",)
"""Devices without float64."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What is known of one tensor, on its device.

    Attributes:
        rows: (chunks, 10) float64: finite, zero, nan, +inf, -inf, min, max, mean, squared deviations, exponent of the
            power of two by which the last two are divided.
        repeat: How often each element stands in the tensor.
    """

    rows: Tensor
    repeat: int


def device_sums(tensor: Tensor) -> Sums | None:
    """Sums of a plain tensor on an accelerator; None where they cannot be had without waiting."""
    if on_host(tensor) or tensor.device.type in NO_DOUBLES or tensor_kind(tensor) != "dense":
        return None
    with plain_mode():
        values = without_repeats(tensor.detach())
        if not values.numel():
            return None
        rows = torch.stack([_row(doubles(chunk)) for chunk in chunks(values, CHUNK_DEVICE)])
    return Sums(rows, tensor.numel() // values.numel())


def read_sums(found: Sequence[Sums]) -> list[TensorStats]:
    """The statistics, with one transfer per device."""
    rows = read_together([each.rows for each in found])
    return [_stats(part.tolist(), sums.repeat) for part, sums in zip(rows, found, strict=True)]


def _row(values: Tensor) -> Tensor:
    """The numbers of one chunk, as one small tensor of its device."""
    finite = values.isfinite()
    count = finite.sum()
    lo = values.masked_fill(~finite, math.inf).amin()
    hi = values.masked_fill(~finite, -math.inf).amax()
    largest = torch.maximum(lo.abs(), hi.abs()).masked_fill(count == 0, 0.0)
    low, high = SAFE_SQUARES
    safe = (largest == 0) | ((largest > low) & (largest < high))
    exponent = (torch.frexp(largest).exponent - 1).masked_fill(safe, 0)
    # Twice by half of it: the power itself may leave float64.
    half = torch.div(exponent, 2, rounding_mode="floor")
    scaled = torch.ldexp(torch.ldexp(values.masked_fill(~finite, 0.0), -half), half - exponent)
    mean = scaled.sum() / count.clamp(min=1)
    deviations = (scaled - mean).masked_fill(~finite, 0.0)
    counts = (
        count,
        (values == 0).sum(),
        values.isnan().sum(),
        torch.isposinf(values).sum(),
        torch.isneginf(values).sum(),
    )
    numbers = (*counts, lo, hi, mean, torch.dot(deviations, deviations), exponent)
    return torch.stack([each.to(torch.float64) for each in numbers])


def _stats(rows: Sequence[Sequence[float]], repeat: int) -> TensorStats:
    """Merge the chunks; moments are taken to the largest of their scales."""
    tally = Tally()
    largest = max((int(row[9]) for row in rows if row[0] and (row[5] or row[6])), default=0)
    for count, zero, nan, posinf, neginf, lo, hi, mean, squares, exponent in rows:
        shift = int(exponent) - largest
        tally.count += int(count + nan + posinf + neginf) * repeat
        tally.zero += int(zero) * repeat
        tally.nan += int(nan) * repeat
        tally.posinf += int(posinf) * repeat
        tally.neginf += int(neginf) * repeat
        tally.add(int(count) * repeat, lo, hi, math.ldexp(mean, shift), math.ldexp(squares, 2 * shift) * repeat)
    return stats_of(tally, math.ldexp(1.0, largest))
