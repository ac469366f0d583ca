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
        pairs = np.array(self._pairs, np.int64).reshape(-1, 2)
        return {"spans": pairs, "whole": np.array([whole], np.int64)}

    def samples(self) -> Counts:
        """The number in the whole of each sample, in their order here: rising."""
        rows = [np.arange(first, first + count) for first, count in self._pairs]
        return np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class SamplesValue:
    """A LazyValue of which each sample is read from the rank that has it.

    Attributes:
        shape: Of the whole, samples first.
        dtype: Of what is read; one that has NaN, where a sample is missing.
        parts: Rank -> its value, its own samples first.
        samples: Rank -> the number in the whole of each of them, rising.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    parts: Mapping[int, Tensor | LazyValue]
    samples: Mapping[int, Counts]

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
        found = {rank: self._own(rank, asked) for rank in self.parts}
        touched = {rank: own for rank, own in found.items() if own.start < own.stop}
        with torch.inference_mode(False), torch.no_grad():
            whole = torch.empty([len(each) for each in wanted], dtype=self.dtype)
            if sum(own.stop - own.start for own in touched.values()) < len(asked):
                whole.fill_(math.nan)
            for rank, own in touched.items():
                value, inside = self.parts[rank], (own, *rest)
                part = value[inside] if isinstance(value, Tensor) else value.read(inside)
                whole[torch.from_numpy(self.samples[rank][own] - asked.start)] = part.to(self.dtype)
            return whole[keep]

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * len(self.shape))

    def missing(self, index: tuple[int, ...]) -> bool:
        """Whether nobody recorded an element; -1 stands for all positions of an axis, of which one is enough."""
        asked = range(self.shape[0]) if index[0] < 0 else range(index[0], index[0] + 1)
        there = [self._own(rank, asked) for rank in self.parts]
        recorded: int = sum(own.stop - own.start for own in there)
        return recorded < len(asked)

    def _own(self, rank: int, asked: range) -> slice:
        """Where in its own samples a rank has those that are asked for."""
        first, stop = np.searchsorted(self.samples[rank], (asked.start, asked.stop))
        return slice(int(first), max(int(first), int(stop)))

    def __repr__(self) -> str:
        return f"<SamplesValue: {' x '.join(map(str, self.shape))}, {len(self.parts)} ranks>"
