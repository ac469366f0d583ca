"""What the health report reads of a recording: calls of the same place together, and a bounded sample of each value.

In: a cache, that is anything with ``records`` and ``value(record)``. Out: numpy arrays of at most ``SAMPLE_CELLS``
numbers per place, and a note for every value that could not be read. A lazy value is never asked for all of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..capture import LazyValue
from ..records import TensorRecord
from .numbers import thinned

Numbers = npt.NDArray[np.float32]

SAMPLE_CELLS = 2**16
"""Most values that are read of one place, over all of its calls, or else ``UNIT_CELLS`` per unit where that is more."""

UNIT_CELLS = 512
"""Enough of each unit for a share of 1 % to be told from 0."""

MOST_CALLS = 16
"""Most calls of one place that are read, at even distances."""

LAZY_RUNS = 4
"""Runs at even distances in which a lazy value is read along the axis that is cut."""

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Dtypes of activations. Bool, integer and complex values have no dead units and no scale to compare."""


class CacheLike(Protocol):
    """What the report needs of a cache."""

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """All records in order of completion, after them those that join others over time."""
        ...

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value of a record; may raise anything when there is none."""
        ...


@dataclass(slots=True, eq=False)
class Reader:
    """Reads samples, and remembers what could not be read.

    Attributes:
        cache: Where the values are.
        on_demand: Whether values that are not held may be computed again or read from disk.
        unread: Index of a record -> why its value was not read.
        brought_back: Indices of the records that were not held, and whose values were wanted on demand so far.
    """

    cache: CacheLike
    on_demand: bool
    unread: dict[int, str] = field(default_factory=dict)
    brought_back: set[int] = field(default_factory=set)

    def value(self, record: TensorRecord) -> Tensor | LazyValue | None:
        """The value, or None with a note in ``unread``."""
        if not record.kept and not (self.on_demand and record.on_demand):
            self.unread[record.index] = "not held" if record.on_demand else record.note or "not kept"
            return None
        if not record.kept:
            self.brought_back.add(record.index)
        try:
            value = self.cache.value(record)
        except Exception as error:  # a replay runs the user's model, which may raise anything; a report must not
            self.unread[record.index] = f"{type(error).__name__}: {error}"
            return None
        if isinstance(value, Tensor) and (value.device.type == "meta" or value.layout is not torch.strided):
            self.unread[record.index] = f"a {value.layout} tensor on {value.device} has no plain values"
            return None
        return value

    def units(self, records: Sequence[TensorRecord], dim: str) -> Numbers | None:
        """A sample per unit of an axis that has the same size in all of the records; None when nothing could be read.

        Returns:
            float32 (C, n), C the size of the axis.
        """
        return self._rows(records, dim, records[0].shape[records[0].dims.index(dim)])

    def values(self, records: Sequence[TensorRecord]) -> Numbers | None:
        """A sample of all values of the records, float32 (n,); None when nothing could be read."""
        rows = self._rows(records, "", 1)
        return None if rows is None else rows[0]

    def _rows(self, records: Sequence[TensorRecord], dim: str, units: int) -> Numbers | None:
        chosen = spread_out(records, MOST_CALLS)
        most = max(SAMPLE_CELLS, UNIT_CELLS * units) // len(chosen)
        found = [self._rows_of(record, dim, most) for record in chosen]
        rows = [each for each in found if each is not None and each.size]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, 1) if rows else None

    def _rows_of(self, record: TensorRecord, dim: str, most: int) -> Numbers | None:
        """(C, n) of one record, (1, n) without an axis to keep."""
        value = self.value(record)
        if value is None:
            return None
        kept = record.dims.index(dim) if dim else None
        try:
            part = _thinned(value, kept, most) if isinstance(value, Tensor) else lazy_part(value, kept, most)
            rows = part.movedim(kept, 0).flatten(1) if kept is not None and part.dim() > 1 else part.reshape(1, -1)
            return as_numbers(rows)
        except Exception as error:  # as above: reading a lazy value may run the user's own functions
            self.unread[record.index] = f"{type(error).__name__}: {error}"
            return None


def _thinned(value: Tensor, kept: int | None, most: int) -> Tensor:
    """A view of about ``most`` values at even distances."""
    return thinned(value.detach().unsqueeze(0), most, 0 if kept is None else kept + 1).squeeze(0)


def lazy_part(value: LazyValue, kept: int | None, most: int) -> Tensor:
    """About ``most`` values of a lazy value: ``LAZY_RUNS`` runs of the axis that is longest, one run of each other."""
    sizes = list(value.shape)
    for dim in sorted((dim for dim in range(len(sizes)) if dim != kept), key=lambda dim: sizes[dim]):
        beside = max(1, int(np.prod(sizes)) // max(1, sizes[dim]))
        sizes[dim] = min(sizes[dim], max(1, most // beside))
    cut = [dim for dim, size in enumerate(sizes) if size < value.shape[dim]]
    if not cut:
        return value.read(tuple(slice(0, size) for size in sizes))
    dim = max(cut, key=lambda dim: sizes[dim])
    parts = []
    for start, stop in runs(value.shape[dim], sizes[dim]):
        index = [slice(0, size) for size in sizes]
        index[dim] = slice(start, stop)
        parts.append(value.read(tuple(index)))
    return torch.cat(parts, dim)


def runs(size: int, wanted: int) -> list[tuple[int, int]]:
    """Runs (start, stop) at even distances, ``wanted`` positions of ``size`` in all."""
    if wanted >= size:
        return [(0, size)]
    count = min(LAZY_RUNS, wanted)
    length = wanted // count
    starts = [number * (size - length) // max(1, count - 1) for number in range(count)]
    return [(start, start + length) for start in starts]


def as_numbers(values: Tensor) -> Numbers:
    """float32 on the CPU as numpy, of the same shape; float64 beyond its range becomes Inf."""
    numbers: Numbers = values.detach().to("cpu", torch.float32).resolve_neg().numpy()
    return numbers


def spread_out(records: Sequence[TensorRecord], most: int) -> list[TensorRecord]:
    """At most ``most`` of the records, at even distances."""
    if len(records) <= most:
        return list(records)
    return [records[number * (len(records) - 1) // (most - 1)] for number in range(most)]


def places(records: Iterable[TensorRecord], *kinds: str) -> list[list[TensorRecord]]:
    """Records of these kinds that are of one place: same path, kind, item, axes; calls and steps together, in order.

    Of a memory that was joined over time the joined record stands for its parts.
    """
    everything = tuple(records)
    joined = {part for record in everything for part in record.parts}
    found: dict[tuple[object, ...], list[TensorRecord]] = {}
    for record in everything:
        if record.kind in kinds and record.index not in joined:
            found.setdefault((record.path, record.kind, record.item, record.dims), []).append(record)
    return list(found.values())


def is_main(record: TensorRecord) -> bool:
    """Whether a record is what its module is there for: its only or first result, not a state or a mask beside it."""
    return record.kind == "output" and "." not in record.item and (record.item == "0" or not record.item.isdigit())


def is_clean(record: TensorRecord) -> bool:
    """Whether there is at least one value and no NaN or Inf, as far as that is known."""
    stats = record.stats
    return 0 not in record.shape and (stats is None or not stats.nan + stats.posinf + stats.neginf)
