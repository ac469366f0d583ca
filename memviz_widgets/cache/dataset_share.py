"""Which batches of a loader a process records, and which samples of the whole these are.

In: the loader of the whole data set, a rank and the number of ranks. Out: a Share. The ranks do not talk to each other:
each knows from the loader what is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import accumulate
from typing import Any

from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, WeightedRandomSampler
from torch.utils.data.distributed import DistributedSampler

from ..errors import DatasetError
from .dataset_layers import tensors_in
from .dataset_loader import batches_from

BLOCKS, TURNS = "blocks", "turns"
"""How batches are dealt out: to each rank as many in a row, or every W-th."""
_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


class Share:
    """All batches of a loader: what a process that is alone records.

    Args:
        loader: The whole loader.

    Attributes:
        total: Number of batches of this share, 0 = not known.
        split: BLOCKS or TURNS; "" when there is one process.
        whole: Batches and samples of the whole loader, 0 = not known (yet).
    """

    split = ""

    def __init__(self, loader: Iterable[Any]) -> None:
        self._loader = loader
        self.total = len(loader) if isinstance(loader, Sized) else 0
        self.whole = (0, 0)

    def front(self) -> Iterable[Any]:
        """Its batches."""
        return self._loader

    def rest(self, first: int) -> Iterable[Any] | None:
        """Its batches from number ``first`` on; None when only the front can be begun at."""
        return batches_from(self._loader, first)

    def number(self, own: int) -> int:
        """The number in the whole loader of one of its batches."""
        return own

    def first_sample(self, own: int, rows: int) -> int:
        """The number in the whole data set of the first sample of a batch, which is being taken and has ``rows``.

        Raises:
            DatasetError: when the batch has another number of samples than the loader let expect.
        """
        raise NotImplementedError


class Block(Share):
    """Batches in a row, of a loader that can begin anywhere.

    Args:
        loader: A sequence of batches, or a DataLoader over numbered samples in their order.
        rank, world_size: Whose block.

    Raises:
        DatasetError: when there are fewer batches than ranks, or a batch does not say how many samples it has.
    """

    split = BLOCKS

    def __init__(self, loader: Any, rank: int, world_size: int) -> None:
        super().__init__(loader)
        count = self.total
        if count < world_size:
            raise DatasetError(
                f"the loader has {count} batches for {world_size} ranks; give smaller batches, or start fewer ranks."
            )
        self._first, self._stop = rank * count // world_size, (rank + 1) * count // world_size
        self._starts = _starts_of(loader)
        self.whole = (count, self._starts[count])
        self.total = self._stop - self._first

    def front(self) -> Iterable[Any]:
        """Its batches; no other is loaded."""
        found = self.rest(0)
        assert found is not None
        return found

    def rest(self, first: int) -> Iterable[Any] | None:
        """Its batches from number ``first`` on."""
        return batches_from(self._loader, self._first + first, self._stop)

    def number(self, own: int) -> int:
        """The number in the whole loader."""
        return self._first + own

    def first_sample(self, own: int, rows: int) -> int:
        """From the sizes of the batches before it."""
        at = self.number(own)
        start, stop = self._starts[at], self._starts[at + 1]
        _check_rows(at, rows, stop - start)
        return start


class Turn(Share):
    """Every W-th batch, of a loader that can begin at its front only. The others are loaded, and not run.

    Args:
        loader: Any iterable of batches.
        rank, world_size: Whose turn.
    """

    split = TURNS

    def __init__(self, loader: Iterable[Any], rank: int, world_size: int) -> None:
        super().__init__(loader)
        self._rank, self._world_size = rank, world_size
        self.total = len(range(rank, self.total, world_size))
        self._now = (0, 0)  # first sample and size of the batch that came last

    def front(self) -> Iterator[Any]:
        """Its batches.

        Raises:
            DatasetError: when none is its own, or a batch does not say how many samples it has.
        """
        number, first = -1, 0
        for number, batch in enumerate(self._loader):
            rows = _rows_of(batch, number)
            if number % self._world_size == self._rank:
                self._now = (first, rows)
                yield batch
            first += rows
        if number < self._rank:
            raise DatasetError(
                f"the loader has {number + 1} batches for {self._world_size} ranks; give smaller batches, or start "
                "fewer ranks."
            )
        self.whole = (number + 1, first)

    def rest(self, first: int) -> None:
        """It begins at the front."""

    def number(self, own: int) -> int:
        """The number in the whole loader."""
        return self._rank + own * self._world_size

    def first_sample(self, own: int, rows: int) -> int:
        """From the sizes of the batches that came before it."""
        _check_rows(self.number(own), rows, self._now[1])
        return self._now[0]


def share_of(loader: Iterable[Any], rank: int, world_size: int) -> Share:
    """The share of a rank: a block where the loader can begin anywhere, else every W-th batch.

    Raises:
        DatasetError: when the loader deals out samples itself, or in another order on each rank.
    """
    inner = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    samplers = [each for each in (getattr(loader, "sampler", None), inner) if each is not None]
    if any(isinstance(each, DistributedSampler) for each in samplers):
        raise DatasetError(
            "the loader has a DistributedSampler, which deals out samples and repeats some. Give a DataLoader of the "
            "whole data set without sampler=: each rank takes its own batches of it."
        )
    if any(isinstance(each, _RANDOM) for each in samplers):
        raise DatasetError(
            f"the loader draws its samples at random ({type(samplers[0]).__name__}), each rank in another order. Give "
            "shuffle=False."
        )
    if isinstance(loader, Sized) and batches_from(loader, 0) is not None:
        return Block(loader, rank, world_size)
    return Turn(loader, rank, world_size)


class _Even:
    """First samples of batches of one size, the last of which may be smaller. No list: there may be a billion."""

    def __init__(self, batches: int, size: int, samples: int) -> None:
        self._batches, self._size, self._samples = batches, size, samples

    def __getitem__(self, batch: int) -> int:
        return self._samples if batch == self._batches else batch * self._size


def _starts_of(loader: Any) -> _Even | list[int]:
    """The first sample of each batch, and the number of samples after the last."""
    count = len(loader)
    if isinstance(loader, (list, tuple)):
        return list(accumulate((_rows_of(batch, number) for number, batch in enumerate(loader)), initial=0))
    if isinstance(loader, DataLoader):
        sampler: Any = loader.batch_sampler
        samples = len(sampler.sampler)
        return _Even(count, sampler.batch_size, min(samples, count * sampler.batch_size))
    assert isinstance(loader, Sequence)
    size = _rows_of(loader[0], 0)
    return _Even(count, size, (count - 1) * size + _rows_of(loader[count - 1], count - 1))


def _rows_of(batch: object, number: int) -> int:
    """Samples of a batch that is not run: rows of its first tensor."""
    first = next((each for each in tensors_in(batch) if each.dim()), None)
    if first is None:
        raise DatasetError(
            f"batch {number} has no tensor with a row per sample, and how many samples other ranks have must be known. "
            "Give a DataLoader over numbered samples, or batches of tensors."
        )
    return len(first)


def _check_rows(number: int, rows: int, expected: int) -> None:
    if rows != expected:
        raise DatasetError(
            f"batch {number} gave {rows} samples, and {expected} were expected from its first tensor, or from the "
            "size of batches. Ranks need batches with the samples along the first axis of that; a collate_fn must not "
            "leave any out."
        )
