"""Measures per channel, by which a contact sheet is ordered.

In: a recorded tensor and which of its dims is the channel. Out: three numbers per channel.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .numbers import PIECE_CELLS, pieces, real_numbers


def channel_measures(values: Tensor, channel_dim: int) -> Tensor:
    """Mean magnitude, variance and share of zeros of each channel, over all other dims.

    Non-finite values are left out of the first two; the third is the share among *all* elements, NaN and Inf being no
    zeros. Complex values count as ``|z|``. Sums are float64 and the tensor is read in bounded pieces.

    Args:
        values: any shape of at least one dim, any dtype.
        channel_dim: position of the channel dim, negative counts from the last.

    Returns:
        float32 of shape ``(3, C)`` on the CPU: mean ``|x|``; population variance (``mean((x - mean(x))**2)``); share of
        zeros, 0..1. A channel without a finite value has NaN in rows 0 and 1, an empty one NaN in all three. What
        does not fit float32 is inf.
    """
    channels = values.shape[channel_dim]
    measures = torch.full((3, channels), torch.nan, dtype=torch.float64, device="cpu")  # (3, C)
    for start, block in _channel_blocks(values, channel_dim):
        tally = _Tally(block.shape[channel_dim])
        for piece in [block] if block.shape[channel_dim] > 1 else pieces(block):
            tally.add(real_numbers(piece).movedim(channel_dim, 0))
        measures[:, start : start + block.shape[channel_dim]] = tally.measures(values.numel() // channels)
    return measures.to(torch.float32)


def _channel_blocks(values: Tensor, channel_dim: int) -> Iterator[tuple[int, Tensor]]:
    """(first channel, view of whole channels): as many channels at once as fit a piece, at least one."""
    channels = values.shape[channel_dim]
    if not values.numel():
        return
    at_once = max(1, PIECE_CELLS * channels // values.numel())
    for start in range(0, channels, at_once):
        yield start, values.narrow(channel_dim, start, min(at_once, channels - start))


class _Tally:
    """Count, mean, squared deviations, magnitude and zeros per channel, float64 ``(c,)`` each, merged piece by piece.

    Mean and squared deviations are merged by Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances" (1979), eq. 2.1, because the difference of two large sums would lose the variance of
    data far from zero.
    """

    def __init__(self, channels: int) -> None:
        zero = torch.zeros(channels, dtype=torch.float64, device="cpu")
        self.count, self.mean, self.squares, self.magnitude, self.zeros = (zero.clone() for _ in range(5))

    def add(self, numbers: Tensor) -> None:
        """Take in float64 ``(c, ...)``."""
        count, mean, squares, magnitude, zeros = _sums(numbers).cpu()
        both = (self.count + count).clamp(min=1)
        step = mean - self.mean
        self.squares += squares + step.square() * (self.count * count / both)
        self.mean += step * (count / both)
        self.magnitude += magnitude
        self.count += count
        self.zeros += zeros

    def measures(self, elements: int) -> Tensor:
        """float64 ``(3, c)``, given how many elements one channel has."""
        at_least_one = self.count.clamp(min=1)
        measures = torch.stack([self.magnitude / at_least_one, self.squares / at_least_one, self.zeros / elements])
        measures.nan_to_num_(nan=torch.inf)  # sums beyond float64: Inf - Inf is no statement about the values
        measures[:2, self.count == 0] = torch.nan
        return measures


def _sums(numbers: Tensor) -> Tensor:
    """float64 ``(5, c)`` of float64 ``(c, ...)``: finite values, their mean, squared deviations, magnitude; zeros."""
    numbers = numbers.reshape(numbers.shape[0], -1)  # (c, elements)
    count = torch.full_like(numbers[:, 0], numbers.shape[1])
    zeros = count - numbers.count_nonzero(1)
    magnitude = numbers.abs().sum(1)
    finite = torch.ones((), dtype=torch.bool)
    if not bool(magnitude.isfinite().all()):
        finite = numbers.isfinite()
        count = finite.sum(1, dtype=torch.float64)
        numbers = torch.where(finite, numbers, 0.0)
        magnitude = numbers.abs().sum(1)
    mean = numbers.sum(1) / count.clamp(min=1)
    deviation = numbers - mean[:, None]
    if finite.dim():
        deviation.masked_fill_(~finite, 0.0)
    return torch.stack([count, mean, deviation.square_().sum(1), magnitude, zeros])
