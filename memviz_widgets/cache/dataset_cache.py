"""ActivationDataset: the recorded activations of a data set, as a cache whose records have an axis of all samples.

In: a folder that ``record_dataset`` writes or has written. Out: records, values that are read sample by sample when a
picture needs them, statistics per channel and the samples that excite a channel most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DatasetError, FormatError
from ..records import TensorRecord
from .activation_cache import ActivationCache
from .bringing_back import BringingBack
from .budget import format_bytes
from .dataset_format import ArrayPlan, Commit, DatasetPlan, read_commit, read_plan
from .dataset_layers import place_axes
from .dataset_shards import DatasetFolder
from .dataset_statistics import Array, ChannelStatistics, ChannelTally, summary_of
from .dataset_top import Example, TopTally
from .held import Entry, Value
from .opening_values import LATEST_BYTES, SavedValues
from .spill import INTEGERS
from .store_files import damaged
from .store_format_arrays import Place, StoredArray
from .values import ValueStore


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a data set is made of.

    Attributes:
        plan: What it holds.
        commit: How far it is.
        tallies, tops: Statistics and examples of each array.
        folder: Where its values are; None where they are put together from elsewhere.
    """

    plan: DatasetPlan
    commit: Commit
    tallies: list[ChannelTally]
    tops: list[TopTally]
    folder: DatasetFolder | None


def read_contents(folder: DatasetFolder, label: bytes) -> tuple[Contents, dict[str, Array]] | None:
    """What a folder with this label holds, and the state in its commit; None before the first one.

    Raises:
        FormatError, OSError: when it cannot be read, FileNotFoundError when there is nothing.
    """
    plan = read_plan(label)
    data = folder.commit()
    if data is None:
        return None
    commit, state = read_commit(data, plan)
    return Contents(plan, commit, *tallies_of(plan, state), folder), state


class ActivationDataset(ActivationCache):
    """What chosen layers gave for every sample of a data set. Made by ``open_dataset`` and ``record_dataset``.

    It is a cache: ``ActivationExplorer(dataset)`` shows it, with a slider over all samples and the samples that excite
    the selected channel most. ``dataset.get(path)`` reads all samples at once; ``dataset.sample(path, 7)`` one.

    Attributes:
        samples: Number of samples.
        complete: Whether the whole loader was recorded.
        reduce: Name of the reduction, "" for none.
    """

    def __init__(self, contents: Contents, budget_bytes: int, latest_bytes: int = LATEST_BYTES) -> None:
        super().__init__(budget_bytes)
        plan, commit, folder = contents.plan, contents.commit, contents.folder
        self.samples = commit.samples
        self.complete = commit.complete
        self.reduce = plan.reduce
        self._plan, self._tops = plan, contents.tops
        self._statistics = statistics = [each.statistics() for each in contents.tallies]
        values = ValueStore(budget_bytes)
        arrays = [_stored(each, commit.samples) for each in plan.arrays]
        values.recorded_bytes = sum(each.nbytes for each in arrays)
        if folder is not None:
            values.saved = saved = _DatasetValues(folder, plan, arrays)
            saved.latest_bytes = latest_bytes
            for array in arrays:
                value = Value(
                    array.nbytes, dense=True, recorded=True, looked_at=True, spilled=saved.value(array.number)
                )
                value.stats = summary_of(statistics[array.number])
                values.adopt(array.number, Entry({"": value}))
        self._values = values
        self._again = BringingBack(values, None)
        self._records = tuple(
            _record(each, array, summary_of(numbers))
            for each, array, numbers in zip(plan.arrays, arrays, statistics, strict=True)
        )
        self._trace.names.update({each.path: each.path for each in plan.arrays})
        self._trace.types.update({each.path: each.module_type for each in plan.arrays})

    def sample(self, path: str, number: int, *, call: int | None = None, item: str | None = None) -> Tensor:
        """What a layer gave for one sample, without the axis of samples; only this sample is read.

        Raises:
            DatasetError: for a sample that is not there.
            As :meth:`get`.
        """
        self._check_open()
        record = self.find(path, "output", call, item)
        self._check_sample(number)
        value = self.value(record)
        rest = (slice(None),) * (len(record.shape) - 1)
        return value[number].clone() if isinstance(value, Tensor) else value.read((number, *rest))

    def statistics(self, path: str, *, call: int | None = None, item: str | None = None) -> ChannelStatistics:
        """Numbers about all values of a layer, per channel. Raises UnknownRecordError."""
        return self._statistics[self.find(path, "output", call, item).index]

    def top(
        self, path: str, channel: int = 0, *, call: int | None = None, item: str | None = None
    ) -> tuple[Example, ...]:
        """The samples that excite a channel most, the strongest first; of equal ones the earlier sample first.

        Raises:
            DatasetError: for a channel that is not there.
            UnknownRecordError: for a layer that was not recorded.
        """
        return self.top_of(self.find(path, "output", call, item), channel)

    def top_of(self, record: TensorRecord, channel: int) -> tuple[Example, ...]:
        """As :meth:`top`, of a record."""
        array = self._plan.arrays[record.index]
        if not 0 <= channel < array.channels:
            raise DatasetError(f"no channel {channel} in {record.label!r}; it has {array.channels}, counted from 0.")
        sizes = tuple(record.shape[axis] for axis in place_axes(record.dims))
        return self._tops[record.index].examples(channel, sizes)

    @property
    def summary(self) -> str:
        """What was recorded, as one line; none of it is in memory."""
        state = "" if self.complete else ", not complete"
        return f"{format_bytes(self.recorded_bytes)} recorded, on disk{state}"

    def _check_sample(self, number: int) -> None:
        if not 0 <= number < self.samples:
            raise DatasetError(f"no sample {number}; {self.samples} are recorded, counted from 0.")

    def __repr__(self) -> str:
        state = "closed" if self.closed else "complete" if self.complete else "not complete"
        return f"<ActivationDataset: {self.samples} samples, {len(self)} modules, {state}>"


def tallies_of(plan: DatasetPlan, state: dict[str, Array] | None) -> tuple[list[ChannelTally], list[TopTally]]:
    """The statistics and top examples of each array, new or as they were."""
    tallies = [ChannelTally(each.channels) for each in plan.arrays]
    tops = [TopTally(each.channels, plan.top_k) for each in plan.arrays]
    for number, pair in enumerate(zip(tallies, tops, strict=True)):
        for each in pair:
            if state is not None:
                each.restore({part: state[f"{number}.{part}"] for part in each.state()})
    return tallies, tops


def state_of(tallies: list[ChannelTally], tops: list[TopTally]) -> dict[str, Array]:
    """What :func:`tallies_of` makes them of again."""
    return {
        f"{number}.{name}": array
        for number, pair in enumerate(zip(tallies, tops, strict=True))
        for each in pair
        for name, array in each.state().items()
    }


class _DatasetValues(SavedValues):
    """The values of a data set, read chunk by chunk from its shards."""

    def __init__(self, folder: DatasetFolder, plan: DatasetPlan, arrays: list[StoredArray]) -> None:
        super().__init__(folder.place, _NoFiles(), arrays)
        self._folder = folder
        self._plan = plan

    def read(self, name: str, array: StoredArray, chunks: tuple[int, ...], spans: tuple[slice, ...]) -> Tensor:
        """As of a saved capture; of many samples, what lies side by side is read at once and not kept."""
        span, together = spans[0], chunks[0]
        first, stop = span.start // together, -(-span.stop // together)
        if self.closed or stop - first <= 1:
            return super().read(name, array, chunks, spans)
        whole = torch.empty([each.stop - each.start for each in spans], dtype=INTEGERS[array.dtype.itemsize])
        for number, chunk in self._chunks(array, first, stop):
            begin, end = max(span.start, number * together), min(span.stop, (number + 1) * together)
            source = chunk[begin - number * together : end - number * together]
            inside = (slice(None), *spans[1:])
            whole[begin - span.start : end - span.start] = source[inside]
        return whole

    def _read_chunk(self, array: StoredArray, place: Place) -> Tensor:
        return next(self._chunks(array, place[0], place[0] + 1))[1]

    def _chunks(self, array: StoredArray, first: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        plan = self._plan.arrays[array.number]
        kind = f"<i{array.dtype.itemsize}" if array.dtype.itemsize > 1 else "u1"
        try:
            for number, data in self._folder.chunks(self._plan, plan, first, stop):
                integers = torch.from_numpy(np.frombuffer(bytearray(data), kind))
                yield number, integers.view(INTEGERS[array.dtype.itemsize]).reshape(array.chunks)
        except FormatError as error:
            raise damaged(self.place, error) from error


class _NoFiles:
    """In the place of files per chunk: sizes are compared when a chunk is read."""

    held_bytes = 0

    def check(self, arrays: Any) -> None:
        """Nothing."""

    def sizes(self, array: StoredArray, place: Place) -> tuple[int, ...]:
        """The same for all chunks of an array."""
        return array.chunks

    def read(self, array: StoredArray, place: Place, nbytes: int) -> bytes:
        """Never called."""
        raise NotImplementedError


def _stored(plan: ArrayPlan, samples: int) -> StoredArray:
    shape = (samples, *plan.sample)
    return StoredArray(plan.number, plan.dtype, shape, shape, (plan.together, *plan.sample))


def _record(plan: ArrayPlan, array: StoredArray, stats: Any) -> TensorRecord:
    dtype = str(plan.dtype).removeprefix("torch.")
    where = (plan.number, plan.path, plan.module_type, plan.call, "output", plan.item)
    return TensorRecord(*where, plan.dims, array.full, dtype, "cpu", array.nbytes, stats, kept=True, note=plan.note)
