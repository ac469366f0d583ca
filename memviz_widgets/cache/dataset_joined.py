"""RanksDataset: what several ranks recorded of a data set, as one; ranks may be missing, or not be ready.

In: the folder of the whole. Out: an ActivationDataset over all samples in the loader's order, with statistics and top
examples of all that is there. Values are read from the parts when they are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ..capture import LazyValue
from ..errors import FormatError
from ..records import TensorRecord
from .budget import format_bytes
from .dataset_cache import ActivationDataset, Contents, read_contents, tallies_of
from .dataset_format import DatasetPlan
from .dataset_ranks import Whole
from .dataset_shards import DatasetFolder
from .dataset_spans import SamplesValue, Spans
from .opening_values import LATEST_BYTES
from .ranks_notes import ranks_text
from .ranks_store import LEAST_LATEST_BYTES, part_place
from .ranks_values import whole_dtype
from .store_files import StorePlace


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one rank recorded.

    Attributes:
        contents: Its own data set.
        spans: Which samples of the whole these are.
        whole: Batches and samples of the whole loader, 0 = not known.
    """

    contents: Contents
    spans: Spans
    whole: tuple[int, int]


class RanksDataset(ActivationDataset):
    """A data set of several ranks. Samples that no rank recorded are NaN, and count in no statistics.

    Args:
        parts: Rank -> what it recorded, at least one.
        label: Of the whole.
        budget_bytes: As in ActivationCache.
    """

    def __init__(self, parts: Mapping[int, Part], label: Whole, budget_bytes: int) -> None:
        recorded = sum(len(part.spans) for part in parts.values())
        batches = max(part.whole[0] for part in parts.values())
        known = max(part.whole[1] for part in parts.values())
        samples = max(known, *(int(part.spans.pairs().sum(1).max(initial=0)) for part in parts.values()))
        super().__init__(_joined(parts, samples, gaps=recorded < samples), budget_bytes)
        self.complete = bool(known) and recorded == samples
        self._parts = {
            rank: ActivationDataset(part.contents, budget_bytes, max(LEAST_LATEST_BYTES, LATEST_BYTES // len(parts)))
            for rank, part in parts.items()
        }
        self._places = {rank: part.spans.places() for rank, part in parts.items()}
        self._values.recorded_bytes = sum(each.recorded_bytes for each in self._parts.values())
        self._world_size = label.world_size
        self._unfinished = _unfinished(parts, label, batches)
        if self._unfinished and not self.complete:
            gaps = f"{recorded} of {samples} samples are recorded" if known else f"{recorded} samples are recorded"
            self._trace.remark(f"{'; '.join(self._unfinished)}: {gaps}, the others are drawn as NaN")

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """As of any cache: put together from the ranks when it is read. Raises ClosedError."""
        self._check_open()
        parts = {rank: each.value(each.records[record.index]) for rank, each in self._parts.items()}
        dtype = self._plan.arrays[record.index].dtype
        return SamplesValue(record.shape, dtype, parts, self._places)

    def value_or_none(self, record: TensorRecord) -> Tensor | LazyValue | None:
        """As :meth:`value`; None after :meth:`close`."""
        return None if self.closed else self.value(record)

    @property
    def summary(self) -> str:
        """What was recorded, and which ranks are not ready, as one line."""
        facts = (f"{format_bytes(self.recorded_bytes)} recorded by {self._world_size} ranks", "on disk")
        return ", ".join((*facts, *self._unfinished))

    def close(self) -> None:
        """Nothing is read any more. The files stay."""
        super().close()
        for each in self._parts.values():
            each.close()


def open_ranks(place: StorePlace, label: Whole, budget_bytes: int) -> RanksDataset:
    """The whole, of the ranks that are there.

    Raises:
        FormatError: when no rank has committed anything, a part is damaged, or parts do not belong together.
    """
    found = {rank: _part(part_place(place, rank)) for rank in range(label.world_size)}
    parts = {rank: part for rank, part in found.items() if part is not None}
    if not parts:
        raise FormatError("no sample is complete in it yet: no rank has committed any")
    first = next(iter(parts))
    for rank, part in parts.items():
        mine, theirs = parts[first].contents.plan, part.contents.plan
        if difference := mine.difference(theirs):
            raise FormatError(f"its parts do not belong together: rank {first} recorded {difference} as rank {rank}")
        if _sizes(mine) != _sizes(theirs):
            raise FormatError(f"its parts do not belong together: outputs of ranks {first} and {rank} differ")
    every = np.concatenate([part.spans.pairs() for part in parts.values()])
    every = every[every[:, 0].argsort()]
    if (every[1:, 0] < every[:-1].sum(1)).any():
        raise FormatError("two of its parts have the same samples: the ranks had different loaders")
    wholes = {part.whole for part in parts.values() if part.whole[0]}
    if len(wholes) > 1:
        raise FormatError("its parts are of loaders of different lengths")
    return RanksDataset(parts, label, budget_bytes)


def _part(place: StorePlace) -> Part | None:
    """What a rank recorded; None when it has committed nothing."""
    if place.local and not Path(place.root).is_dir():
        return None
    try:
        folder = DatasetFolder(place)
        read = read_contents(folder, folder.label())
    except FileNotFoundError:
        return None
    if read is None:
        return None
    contents, state = read
    whole = state.get("whole")
    if whole is None or whole.shape != (1, 2):
        raise FormatError(f"{place.text!r} is no part of a data set of several ranks")
    batches, samples = map(int, whole[0])
    return Part(contents, Spans.of(state, contents.commit), (batches, samples))


def _sizes(plan: DatasetPlan) -> list[object]:
    return [replace(each, together=1) for each in plan.arrays]


def _joined(parts: Mapping[int, Part], samples: int, *, gaps: bool) -> Contents:
    """Plan, statistics and examples of all parts together."""
    first = next(iter(parts.values())).contents
    arrays = [replace(each, dtype=whole_dtype(each.dtype, whole=not gaps)) for each in first.plan.arrays]
    plan = replace(first.plan, arrays=tuple(arrays))
    tallies, tops = tallies_of(plan, None)
    for part in parts.values():
        places = part.spans.places()
        for number in range(len(plan.arrays)):
            tallies[number].merge(part.contents.tallies[number])
            tops[number].merge(part.contents.tops[number], places.whole)
    return Contents(plan, replace(first.commit, samples=samples), tallies, tops, None)


def _unfinished(parts: Mapping[int, Part], label: Whole, batches: int) -> tuple[str, ...]:
    """ "rank 1 of 4 has 12 of 50 batches" of each that is not ready; "rank 2 of 4 missing"."""
    of = f"of {label.world_size}"
    absent = [rank for rank in range(label.world_size) if rank not in parts]
    lost = [rank for rank in absent if not batches or label.share(rank, batches)]
    said = [f"{ranks_text(lost)} {of} missing"] if lost else []
    for rank, part in parts.items():
        if not part.contents.commit.complete:
            total = f" of {label.share(rank, batches)}" if batches else ""
            said.append(f"rank {rank} {of} has {part.contents.commit.batches}{total} batches")
    return tuple(said)
