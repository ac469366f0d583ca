"""Which records make up a memory, what its law is made of, and which pictures its parts have.

In: records, their dims and shapes. Out: parts by kind, laws, geometry. No tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..analysis.memory_law import CONTENTS, MemoryLaw, law_of
from ..capture.memory import PINNED_KINDS
from ..records import TensorRecord
from .plan import Axis, Picture, frames_per_page, named_axes
from .pool import MAX_CELLS, window

ALL_CONTENTS = (*CONTENTS, "key", "association")
"""Kinds that are the content of a memory; of two the first is."""

SHARES = ("read_weights", "write_weights", "usage", "precedence", "link", "read_modes", "association", "erase")
PINNED = frozenset((*PINNED_KINDS, *SHARES))
"""Kinds whose values are 0..1: the colours keep to that range."""

OF_HEADS = ("read_weights", "write_weights", "erase", "add")
"""Kinds of which each head of a memory of slots has its own."""

MOST_STEPS = 4096
"""Most steps of a map of who wrote what: it has as many rows and columns."""

UNIT_MAPS = 16
"""Most maps of single units on a page: each is computed by itself."""

MAX_LAGS = 256
"""Most lags of a retention curve."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Pictures of a part of a memory over time; see frames.entries.MemoryFrames.

    ``units``: the dim of the rows, "" = none; ``unit``: its axis. ``time`` is None with fewer than two timesteps;
    ``steps`` is their number, 0 without a dim time. ``wrote_unit`` is None when units have no selection trait.
    """

    units: str
    unit: Axis | None
    steps: int
    time: Picture | None
    wrote: Picture | None
    wrote_unit: Picture | None
    reads: Picture | None


@lru_cache(maxsize=4096)
def plan_memory(dims: tuple[str, ...], shape: tuple[int, ...]) -> MemoryPlan:
    """The plan of a record with these dims.

    Units are the first of channel, slot, width, else the last dim that is not batch, time or head, else head.
    """
    units = unit_dim(dims)
    at = dims.index("time") if "time" in dims else -1
    row = dims.index(units) if units else -1
    axes = named_axes(dims, shape, (row, at))
    unit = axes[row] if units else None
    steps = shape[at] if at >= 0 and 0 not in shape else 0
    if steps < 2:
        return MemoryPlan(units, unit, steps, None, None, None, None)
    beside = [axis for axis in axes if axis.position not in (row, at)]
    shown = tuple(sorted((axis for axis in beside if axis.trait), key=lambda axis: axis.trait != "sample"))
    fixed = tuple(axis.position for axis in beside if not axis.trait)
    pools = (window(unit.size, MAX_CELLS) if unit else 1, window(steps, MAX_CELLS))
    sample = tuple(axis for axis in shown if axis.trait == "sample")
    head = tuple(axis for axis in shown if axis.trait == "head")
    return MemoryPlan(
        units,
        unit,
        steps,
        _paged(Picture(unit, axes[at], shown, fixed, *pools)),
        _map(axes[at], sample),
        _map(axes[at], (*sample, unit), UNIT_MAPS) if unit and unit.trait else None,
        _map(axes[at], (*sample, *head)),
    )


def unit_dim(dims: Sequence[str]) -> str:
    """The dim whose positions are the units of a memory; "" when there is none."""
    named = [dim for dim in ("channel", "slot", "width") if dim in dims]
    others = [dim for dim in dims if dim not in ("batch", "time", "head")]
    return (named[:1] or others[-1:] or [dim for dim in dims if dim == "head"] or [""])[0]


def form_of(kinds: Sequence[str], content: TensorRecord | None) -> str:
    """What a memory is like: "kv", "slots", "association", "matrix" or "vector"."""
    if "key" in kinds:
        return "kv"
    if {"memory", "read_weights", "write_weights"} & set(kinds):
        return "slots"
    if content is None or content.kind == "association":
        return "association" if content else "vector"
    return "matrix" if len(set(content.dims) - {"batch", "time", "head"}) > 1 else "vector"


READ_PHASES = {"before_write": "reads before the write", "after_write": "reads after the write"}
"""What the note of read weights says, by the phase that it means."""


def read_phase(record: TensorRecord | None) -> str:
    """Which content the reads of these read weights saw, by the words of their adapter; "" = not known."""
    note = "" if record is None else record.note
    return next((phase for phase, text in READ_PHASES.items() if text in note), "")


def runs_backwards(record: TensorRecord) -> bool:
    """Whether time runs from the last position to the first: the reverse direction of a bidirectional layer."""
    return record.item.endswith("_reverse")


class MemoryRecords:
    """The parts of the memories of a recording, joined ones in place of those they join."""

    def __init__(self, records: Sequence[TensorRecord]) -> None:
        # A part of a memory is seen in what joins it; attention that is joined as hops stays a layer of its own.
        self.hidden = {index for record in records for index in record.parts if records[index].memory}
        self.by_label: dict[str, list[TensorRecord]] = {}
        self._kinds: dict[tuple[str, int], dict[str, None]] = {}
        self._by_run: dict[tuple[str, int, str], list[TensorRecord]] = {}
        self._by_call: dict[tuple[str, int, str, int], list[TensorRecord]] = {}
        for record in records:
            if record.memory and record.index not in self.hidden:
                self.by_label.setdefault(record.memory, []).append(record)
                run = (record.memory, record.step)
                self._kinds.setdefault(run, {})[record.kind] = None
                self._by_run.setdefault((*run, record.kind), []).append(record)
                self._by_call.setdefault((*run, record.kind, record.call), []).append(record)

    def parts(self, record: TensorRecord, kind: str) -> list[TensorRecord]:
        """Records of one kind of the same memory and run, with as many steps and samples; several heads in order.

        Where the record's own item is among them (a direction of a layer, one of two states) it is the only one.
        """
        run = (record.memory, record.step, kind)
        found = _fitting(record, self._by_call.get((*run, record.call), ()))
        found = found or _fitting(record, self._by_run.get(run, ()))  # heads may be modules with calls of their own
        return [each for each in found if each.item == record.item] or found

    def content(self, record: TensorRecord) -> TensorRecord | None:
        """The record of what the memory holds."""
        return next((found[0] for kind in ALL_CONTENTS if (found := self.parts(record, kind))), None)

    def law(self, record: TensorRecord) -> tuple[TensorRecord, MemoryLaw] | None:
        """The content of a record's memory with the law that its parts make up; None when they do not."""
        content = self.content(record)
        if content is None or "time" not in content.dims:
            return None
        kinds = self._kinds[record.memory, record.step]
        law = law_of(content.kind, [kind for kind in kinds if self.parts(content, kind)])
        if law is None or len({self._heads(content, kind) for kind in law.kinds}) > 1:
            return None
        return content, law

    def _heads(self, content: TensorRecord, kind: str) -> int:
        """Heads that a part of slots has, over all its records; of other parts 1."""
        return sum(size_of(each, "head") for each in self.parts(content, kind)) if kind in OF_HEADS else 1


def same_units(one: TensorRecord, other: TensorRecord) -> bool:
    """Whether two parts have the same units: the same dim with the same size."""
    dims = unit_dim(one.dims), unit_dim(other.dims)
    return dims[0] == dims[1] != "" and size_of(one, dims[0]) == size_of(other, dims[1])


def size_of(record: TensorRecord, dim: str) -> int:
    """Size of a dim, 1 where the record has none of that name."""
    return record.shape[record.dims.index(dim)] if dim in record.dims else 1


def elements_per_step(record: TensorRecord) -> int:
    """Numbers that a part has per sample and timestep."""
    return math.prod(size for dim, size in zip(record.dims, record.shape, strict=True) if dim not in ("batch", "time"))


def _fitting(record: TensorRecord, others: Sequence[TensorRecord]) -> list[TensorRecord]:
    """Those that have values, as many samples and as many steps."""
    return [
        other
        for other in others
        if other.available
        and 0 not in other.shape
        and all(size_of(record, dim) == size_of(other, dim) for dim in ("batch", "time"))
    ]


def _paged(picture: Picture) -> Picture:
    return replace(picture, frames_per_page=frames_per_page(picture, cell_bytes=1))


def _map(time: Axis, axes: tuple[Axis, ...], most: int | None = None) -> Picture:
    """A map of timesteps at which is read, down, by those that wrote; its columns are no timestep of the cursor."""
    pooled = window(time.size, MAX_CELLS)
    read_at, written_at = replace(time, dim="read at"), replace(time, dim="written at", trait="")
    picture = _paged(Picture(read_at, written_at, axes, (), pooled, pooled))
    return replace(picture, frames_per_page=min(picture.frames_per_page, most or picture.frames))
