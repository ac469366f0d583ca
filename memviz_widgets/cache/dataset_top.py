"""TopTally: the samples that excite each channel most, of all that come by, each seen once.

In: pieces (samples, channels, places) with the number of their first sample. Out: per channel the k samples with the
largest values, and where in the sample that value is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .dataset_statistics import Array, Counts


@dataclass(frozen=True, slots=True)
class Example:
    """A sample that excites a channel.

    Attributes:
        sample: Its number in the data set, 0 = first.
        value: Its largest value in the channel.
        position: Where that value is: an index per axis besides batch and channel, the first where several are as
            large; () where there is no such axis.
    """

    sample: int
    value: float
    position: tuple[int, ...]


class TopTally:
    """The largest that have been seen so far, in order: value falling, of equal ones the earlier sample first.

    NaN is left out; a sample that is -Inf or NaN everywhere is no example.

    Args:
        channels: Number of channels.
        most: How many examples per channel are kept.
    """

    def __init__(self, channels: int, most: int) -> None:
        self._most = most
        self._value = torch.full((most, channels), -torch.inf, dtype=torch.float64)
        self._sample = torch.full((most, channels), -1, dtype=torch.int64)
        self._place = torch.full((most, channels), -1, dtype=torch.int64)

    def state(self) -> dict[str, Array]:
        """All there is, as arrays by name; those of the tally itself."""
        return {
            "top_value": self._value.numpy(),
            "top_sample": self._sample.numpy(),
            "top_place": self._place.numpy(),
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a state."""
        for name, there in self.state().items():
            there[...] = state[name]

    def add(self, values: Tensor, first: int) -> None:
        """Take a piece whose samples are ``first``, ``first + 1``, ..., later ones than all before."""
        if not self._most or not values.numel():
            return
        loudest = values.amax(2)  # (samples, channels); NaN where there is one
        if loudest.isnan().any():
            values = values.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
            loudest = values.amax(2)
        loudest = loudest.double()
        better = (loudest.amax(0) > self._value[-1]).nonzero().view(-1)  # an equal one is later and stays out
        if not len(better):
            return
        found = loudest[:, better]
        samples = torch.arange(first, first + len(found)).unsqueeze(1).expand_as(found)
        all_values = torch.cat([self._value[:, better], found])
        # Stable: of equal values the earlier row stays first, and that is the earlier sample.
        order = all_values.sort(dim=0, descending=True, stable=True).indices[: self._most]
        self._value[:, better] = all_values.gather(0, order)
        self._sample[:, better] = torch.cat([self._sample[:, better], samples]).gather(0, order)
        unknown = torch.full(found.shape, -1)
        self._place[:, better] = torch.cat([self._place[:, better], unknown]).gather(0, order)
        self._sample.masked_fill_(self._value == -torch.inf, -1)
        self._find_places(values, first)

    def _find_places(self, values: Tensor, first: int) -> None:
        """Where the value of each new example is."""
        rank, channel = ((self._sample >= first) & (self._place < 0)).nonzero(as_tuple=True)
        maps = values[self._sample[rank, channel] - first, channel]
        self._place[rank, channel] = torch.from_numpy(maps.numpy().argmax(1))  # numpy's: the first of equal ones

    def merge(self, other: TopTally, number: Callable[[Counts], Counts]) -> None:
        """Take those of another one as well; ``number``: gives the numbers here of its samples."""
        if not self._most:
            return
        theirs = other._sample.clone()
        known = theirs >= 0
        theirs[known] = torch.from_numpy(number(theirs[known].numpy()))
        value = torch.cat([self._value, other._value])
        sample = torch.cat([self._sample, theirs])
        place = torch.cat([self._place, other._place])
        # Stable, so that of equal values the earlier sample is first.
        by_sample = sample.sort(dim=0, stable=True).indices
        order = by_sample.gather(0, value.gather(0, by_sample).sort(dim=0, descending=True, stable=True).indices)
        order = order[: self._most]
        self._value, self._sample, self._place = (each.gather(0, order) for each in (value, sample, place))

    def examples(self, channel: int, sizes: tuple[int, ...]) -> tuple[Example, ...]:
        """The examples of a channel; ``sizes``: of the axes besides batch and channel."""
        found = []
        rows = zip(self._value[:, channel], self._sample[:, channel], self._place[:, channel], strict=True)
        for value, sample, place in rows:
            if sample >= 0:
                position = np.unravel_index(int(place), sizes) if sizes else ()
                found.append(Example(int(sample), float(value), tuple(map(int, position))))
        return tuple(found)
