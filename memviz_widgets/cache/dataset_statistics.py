"""ChannelTally: statistics per channel of values that come by, piece after piece, each seen once.

In: pieces (samples, channels, places). Out: counts, moments, extremes and a histogram per channel. Means and variances
of pieces are merged in float64 by the formula of Chan, Golub and LeVeque (1983), "Algorithms for computing the sample
variance". The state is a few arrays of the size of the channels, however many samples came by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..records import TensorStats

LEAST_POWER, MOST_POWER = -16, 16
"""The histogram tells magnitudes 2**-16 .. 2**16 apart."""
BLOCK_CELLS = 1 << 17
"""Elements whose float64 copies are made at once: 1 MiB, which stays in the cache."""

_POWERS = [2.0**power for power in range(LEAST_POWER, MOST_POWER + 1)]
HISTOGRAM_EDGES = np.array([-np.inf, *(-power for power in reversed(_POWERS)), *_POWERS, np.inf])
"""The 68 edges of the 67 bins: -inf, -2**16, -2**15, ... -2**-16, 2**-16, ... 2**16, inf."""
BINS = len(HISTOGRAM_EDGES) - 1
_MIDDLE = BINS // 2
_LAYOUTS = {torch.float32: (torch.int32, 23, 8), torch.float64: (torch.int64, 52, 11)}
"""dtype -> integer of its size, bits of the fraction, bits of the exponent."""

Array = npt.NDArray[np.generic]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ChannelStatistics:
    """Numbers about all values of one layer, per channel: arrays of shape (C,), C = 1 for a layer without channels.

    Attributes:
        count: Number of elements.
        mean: Mean of the finite ones, NaN where there is none.
        variance: Population variance of the finite ones, NaN where there is none.
        min: Smallest finite one, inf where there is none.
        max: Largest finite one, -inf where there is none.
        zeros: Share of all elements that are exactly zero, 0..1.
        nan: Number of NaN elements.
        posinf: Number of +Inf elements.
        neginf: Number of -Inf elements.
        histogram: (C, 67), number of finite elements between two of ``edges``. A power of two, and minus one, is
            counted with the larger magnitudes: bins are closed at the edge that is nearer to zero.
        edges: (68,), the same for all channels: see :data:`HISTOGRAM_EDGES`.
    """

    count: Counts
    mean: Floats
    variance: Floats
    min: Floats
    max: Floats
    zeros: Floats
    nan: Counts
    posinf: Counts
    neginf: Counts
    histogram: Counts
    edges: Floats


class ChannelTally:
    """What has been seen so far.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._whole = {name: np.zeros(channels, np.int64) for name in ("count", "finite", "zero", "posinf", "neginf")}
        self._moments = {"mean": np.zeros(channels), "squares": np.zeros(channels)}
        self._ends = {"min": np.full(channels, np.inf), "max": np.full(channels, -np.inf)}
        self._histogram = np.zeros((channels, BINS), np.int64)

    def state(self) -> dict[str, Array]:
        """All there is, as arrays by name; those of the tally itself."""
        return {**self._whole, **self._moments, **self._ends, "histogram": self._histogram}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a state."""
        for name, there in self.state().items():
            there[...] = state[name]

    def add(self, values: Tensor) -> None:
        """Count a piece, float32 or float64 on the CPU, (samples, channels, places)."""
        if not values.numel():
            return
        counts = _histogram(values, self._channels)
        finite = counts[:, :BINS].sum(1)
        each = values.shape[0] * values.shape[2]
        self._whole["count"] += each
        self._whole["finite"] += finite
        self._whole["zero"] += (values == 0).sum((0, 2)).numpy()
        self._histogram += counts[:, :BINS]
        mask = None
        if int(finite.sum()) < values.numel():
            self._whole["posinf"] += values.isposinf().sum((0, 2)).numpy()
            self._whole["neginf"] += values.isneginf().sum((0, 2)).numpy()
            mask = values.isfinite()
        self._add_ends(values, mask)
        self._add_moments(*_moments(values, mask, finite), finite)

    def _add_ends(self, values: Tensor, mask: Tensor | None) -> None:
        low = values if mask is None else values.masked_fill(~mask, torch.inf)
        high = values if mask is None else values.masked_fill(~mask, -torch.inf)
        np.minimum(self._ends["min"], low.amin(2).amin(0).double().numpy(), out=self._ends["min"])
        np.maximum(self._ends["max"], high.amax(2).amax(0).double().numpy(), out=self._ends["max"])

    def _add_moments(self, mean: Floats, squares: Floats, count: Counts) -> None:
        total = np.maximum(self._whole["finite"], 1)  # with those of this piece
        before = self._whole["finite"] - count
        delta = mean - self._moments["mean"]
        self._moments["squares"] += squares + delta * delta * (before * (count / total))
        self._moments["mean"] += delta * (count / total)

    def merge(self, other: ChannelTally) -> None:
        """Count what another tally has seen as well."""
        for name, theirs in other._whole.items():
            self._whole[name] += theirs
        self._histogram += other._histogram
        np.minimum(self._ends["min"], other._ends["min"], out=self._ends["min"])
        np.maximum(self._ends["max"], other._ends["max"], out=self._ends["max"])
        self._add_moments(other._moments["mean"], other._moments["squares"], other._whole["finite"])

    def statistics(self) -> ChannelStatistics:
        """The numbers."""
        count, finite = self._whole["count"].copy(), self._whole["finite"]
        infinite = self._whole["posinf"] + self._whole["neginf"]
        none = np.where(finite > 0, 0.0, np.nan)
        return ChannelStatistics(
            count=count,
            mean=self._moments["mean"] + none,
            variance=self._moments["squares"] / np.maximum(finite, 1) + none,
            min=self._ends["min"].copy(),
            max=self._ends["max"].copy(),
            zeros=self._whole["zero"] / np.maximum(count, 1),
            nan=count - finite - infinite,
            posinf=self._whole["posinf"].copy(),
            neginf=self._whole["neginf"].copy(),
            histogram=self._histogram.copy(),
            edges=HISTOGRAM_EDGES.copy(),
        )


def summary_of(each: ChannelStatistics) -> TensorStats:
    """The statistics of all channels together."""
    count = int(each.count.sum())
    weights = each.histogram.sum(1)  # finite elements per channel
    finite = int(weights.sum())
    nan, posinf, neginf = int(each.nan.sum()), int(each.posinf.sum()), int(each.neginf.sum())
    zeros = float((each.zeros * each.count).sum() / max(count, 1))
    if not finite:
        return TensorStats(None, None, None, None, zeros, nan, posinf, neginf, count)
    seen = weights > 0
    mean = float((each.mean[seen] * weights[seen]).sum() / finite)
    spread = each.variance[seen] + (each.mean[seen] - mean) ** 2
    std = float(np.sqrt((spread * weights[seen]).sum() / finite))
    return TensorStats(float(each.min.min()), float(each.max.max()), mean, std, zeros, nan, posinf, neginf, count)


def _moments(values: Tensor, mask: Tensor | None, finite: Counts) -> tuple[Floats, Floats]:
    """Mean and sum of squared deviations from it of the finite elements, per channel."""
    values = values if mask is None else values.masked_fill(~mask, 0.0)
    count = torch.from_numpy(np.maximum(finite, 1))
    mean = values.sum(2, dtype=torch.float64).sum(0) / count
    squares = torch.zeros_like(mean)
    at_once = max(1, BLOCK_CELLS // max(1, values[0].numel()))
    for start in range(0, values.shape[0], at_once):
        apart = values[start : start + at_once].double() - mean[:, None]
        if mask is not None:
            apart.masked_fill_(~mask[start : start + at_once], 0.0)
        squares += apart.square_().sum(2).sum(0)
    return mean.numpy(), squares.numpy()


def _histogram(values: Tensor, channels: int) -> Counts:
    """(C, 68): elements per bin, and in the last column those that are not finite. By sign and exponent: no search."""
    integer, fraction, exponent = _LAYOUTS[values.dtype]
    bins = _bins_of(exponent)
    # Counted by exponent and put into bins afterwards, where there are more elements than such counts.
    late = channels * len(bins) <= values.numel()
    width = len(bins) if late else BINS + 1
    row = torch.arange(channels, dtype=integer).unsqueeze(1) * width
    counts = torch.zeros(channels * width, dtype=torch.int64)
    numbers = values.contiguous().view(integer)
    at_once = max(1, BLOCK_CELLS // max(1, values[0].numel()))
    for start in range(0, len(numbers), at_once):
        places = (numbers[start : start + at_once] >> fraction).bitwise_and_(len(bins) - 1)
        if not late:
            places = torch.from_numpy(bins)[places.long()]
        counts += torch.bincount((places + row).view(-1), minlength=len(counts))
    by_width = counts.view(channels, width).numpy()
    if not late:
        return by_width
    order = bins.argsort(kind="stable")
    return np.add.reduceat(by_width[:, order], np.searchsorted(bins[order], np.arange(BINS + 1)), axis=1)


@lru_cache(maxsize=2)
def _bins_of(exponent: int) -> Counts:
    """Bin of every sign and exponent, the sign in the highest bit; BINS for NaN and Inf. No bin is without one."""
    size = 1 << exponent
    power = np.arange(size) - (size // 2 - 1)  # the magnitude is 2**power .. 2**(power + 1)
    beyond = np.clip(power - LEAST_POWER + 1, 0, MOST_POWER - LEAST_POWER + 1)
    beyond[0] = 0  # zero and what is too small for an exponent
    both = np.concatenate([_MIDDLE + beyond, _MIDDLE - beyond])
    both[[size - 1, 2 * size - 1]] = BINS
    return both.astype(np.int64)
