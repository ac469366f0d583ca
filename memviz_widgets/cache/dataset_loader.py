"""Batches from the middle of a loader: a recording that goes on does not load again what is complete.

In: a loader, how many batches are left out. Out: the others, where the loader can begin there; it is told which can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

_SAME = (
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
)
"""What the loader of the other batches has from the whole one."""


def batches_from(loader: Iterable[Any], first: int, stop: int | None = None) -> Iterable[Any] | None:
    """The batches from ``first`` up to ``stop``, without making others; None when only the front can be begun at.

    Of a list or tuple of batches, and of a DataLoader over numbered samples in their order. One with a sampler of its
    own, or of a class of its own, is asked for all its batches.
    """
    if isinstance(loader, Sequence):
        return (loader[number] for number in range(len(loader))[first:stop])
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return None
    sampler: Any = loader.batch_sampler
    if type(sampler) is not BatchSampler or type(sampler.sampler) is not SequentialSampler:
        return None
    rest = _Rest(len(sampler.sampler), sampler.batch_size, slice(first, stop), drop_last=sampler.drop_last)
    made: DataLoader[Any] = DataLoader(
        loader.dataset, batch_sampler=rest, **{name: getattr(loader, name) for name in _SAME}
    )
    return made


class _Rest:
    """Numbers of the samples of some batches in a row. Not a list of them: there may be a billion."""

    def __init__(self, samples: int, size: int, part: slice, *, drop_last: bool) -> None:
        self._starts = range(0, samples - size + 1 if drop_last else samples, size)[part]
        self._samples, self._size = samples, size

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[list[int]]:
        for start in self._starts:
            yield list(range(start, min(start + self._size, self._samples)))
