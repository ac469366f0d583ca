"""Which samples of a whole data set a rank has, and the values of all ranks as one.

In: spans of samples as they come; or the values of each rank with its spans. Out: arrays for the commit; or a LazyValue
over all samples, in which those that no rank recorded are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..capture import LazyValue
from ..capture.attention import span
from ..capture.lazy import Index
from ..errors import FormatError
from .dataset_format import Commit
from .dataset_statistics import Array, Counts


class Spans:
    """Samples in a row, and again, each later in the whole than those before it.

    Args:
        pairs: First sample in the whole, and number of samples, of each span.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._pairs = [list(pair) for pair in pairs]

    @classmethod
    def of(cls, state: Mapping[str, Array], commit: Commit) -> Spans:
        """Those of a commit.

        Raises:
            FormatError: when they do not fit its samples.
        """
        found = state.get("spans")
        pairs = np.zeros((0, 2), np.int64) if found is None else found.astype(np.int64)
        starts, counts = pairs[:, 0], pairs[:, 1]
        apart = starts[1:] >= starts[:-1] + counts[:-1]
        if counts.sum() != commit.samples or (counts < 1).any() or (starts < 0).any() or not apart.all():
            raise FormatError("its commit does not say which samples of the whole it has")
        return cls((int(first), int(count)) for first, count in pairs)

    def add(self, first: int, count: int) -> None:
        """So many samples more, from ``first`` of the whole on."""
        if self._pairs and sum(self._pairs[-1]) == first:
            self._pairs[-1][1] += count
        else:
            self._pairs.append([first, count])

    def state(self, whole: tuple[int, int]) -> dict[str, Array]:
        """For the commit; ``whole``: batches and samples of the whole loader."""
        return {"spans": self.pairs(), "whole": np.array([whole], np.int64)}

    def __len__(self) -> int:
        return sum(count for _, count in self._pairs)

    def pairs(self) -> Counts:
        """First sample in the whole, and number of samples, of each span: (spans, 2)."""
        return np.array(self._pairs, np.int64).reshape(-1, 2)

    def places(self) -> Places:
        """The same, to look samples up."""
        starts, counts = self.pairs().T
        return Places(starts, np.concatenate([np.zeros(1, np.int64), counts.cumsum()]))


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the samples of a rank are in the whole. As large as the spans, however many samples are in them.

    Attributes:
        starts: (spans,), first sample of each in the whole, rising.
        before: (spans + 1,), samples of the rank before each, and all of them.
    """

    starts: Counts
    before: Counts

    def whole(self, own: Counts) -> Counts:
        """The numbers in the whole of some of the rank's own samples."""
        at = np.searchsorted(self.before, own, side="right") - 1
        return self.starts[at] + own - self.before[at]

    def own(self, asked: range) -> slice:
        """Which of its own samples lie among some of the whole, which are in a row."""
        first, stop = (self._count_before(edge) for edge in (asked.start, asked.stop))
        return slice(first, max(first, stop))

    def _count_before(self, sample: int) -> int:
        """How many of its own samples come before one of the whole."""
        at = int(np.searchsorted(self.starts, sample, side="right")) - 1
        if at < 0:
            return 0
        return int(min(self.before[at] + sample - self.starts[at], self.before[at + 1]))


@dataclass(frozen=True, slots=True, eq=False)
class SamplesValue:
    """A LazyValue of which each sample is read from the rank that has it.

    Attributes:
        shape: Of the whole, samples first.
        dtype: Of what is read; one that has NaN, where a sample is missing.
        parts: Rank -> its value, its own samples first.
        places: Rank -> where in the whole these are.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    parts: Mapping[int, Tensor | LazyValue]
    places: Mapping[int, Places]

    def read(self, index: Index) -> Tensor:
        """A part, on the CPU. Of each rank what is asked for is read at once.

        Raises:
            IndexError: for an index that does not fit the shape.
            ClosedError, FormatError: when a part cannot be read.
        """
        if len(index) != len(self.shape):
            raise IndexError(f"{len(index)} indices for {len(self.shape)} axes; give an int or a slice per axis.")
        wanted = [span(entry, size) for entry, size in zip(index, self.shape, strict=True)]
        keep = tuple(slice(None) if isinstance(entry, slice) else 0 for entry in index)
        rest = tuple(slice(each.start, each.stop) for each in wanted[1:])
        asked = wanted[0]
        found = {rank: self.places[rank].own(asked) for rank in self.parts}
        touched = {rank: own for rank, own in found.items() if own.start < own.stop}
        with torch.inference_mode(False), torch.no_grad():
            whole = torch.empty([len(each) for each in wanted], dtype=self.dtype)
            if sum(own.stop - own.start for own in touched.values()) < len(asked):
                whole.fill_(math.nan)
            for rank, own in touched.items():
                value, inside = self.parts[rank], (own, *rest)
                part = value[inside] if isinstance(value, Tensor) else value.read(inside)
                numbers = self.places[rank].whole(np.arange(own.start, own.stop))
                whole[torch.from_numpy(numbers - asked.start)] = part.to(self.dtype)
            return whole[keep]

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * len(self.shape))

    def missing(self, index: tuple[int, ...]) -> bool:
        """Whether nobody recorded an element; -1 stands for all positions of an axis, of which one is enough."""
        asked = range(self.shape[0]) if index[0] < 0 else range(index[0], index[0] + 1)
        there = [self.places[rank].own(asked) for rank in self.parts]
        recorded: int = sum(own.stop - own.start for own in there)
        return recorded < len(asked)

    def __repr__(self) -> str:
        return f"<SamplesValue: {' x '.join(map(str, self.shape))}, {len(self.parts)} ranks>"
