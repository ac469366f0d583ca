"""Joining over time: what a memory held after each call, as one record over all calls.

In: drafts of the parts of memories, one per call, and what reads their values. Out: records with a time axis, and
values that are put together from those of the parts when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from ..capture import LazyValue, hop_groups
from ..records import Draft, TensorRecord, TensorStats
from .ranks_values import not_recorded

Read = Callable[[int], Tensor | LazyValue]
"""The value of a record, given by its index."""


def joined_records(drafts: Sequence[Draft], records: Sequence[TensorRecord]) -> list[TensorRecord]:
    """A record over time for every part of a memory that was recorded call by call; their indices follow the others.

    Parts without a time axis are joined within a step; over the steps when each has one call (the user's loop). Parts
    with a time axis are joined where one goes on where the one before ended (``Draft.start``).
    """
    groups: dict[tuple[str, str, str, str], list[Draft]] = {}
    for draft in drafts:
        if draft.memory and draft.dtype:
            groups.setdefault((draft.path, draft.kind, draft.item, draft.memory), []).append(draft)
    found: list[TensorRecord] = []
    for members in groups.values():
        for run in _runs(members):
            if len(run) > 1:
                found.append(_joined(len(records) + len(found), [records[draft.index] for draft in run]))
    return found


def hop_records(records: Sequence[TensorRecord], start: int = 0) -> list[TensorRecord]:
    """Reads in a row, as of a memory network's hops, as weights over slots (batch, time, head, slot) of one memory.

    ``start``: index of the first record that may be one of them.
    """
    found: list[TensorRecord] = []
    for label, indices in hop_groups(records[start:]):
        first = records[indices[0]]
        batch, heads, _, slots = first.shape
        record = _joined(len(records) + len(found), [records[index] for index in indices])
        shape = (batch, len(indices), heads, slots)
        found.append(
            replace(
                record, kind="read_weights", item="", memory=label, dims=("batch", "time", "head", "slot"), shape=shape
            )
        )
    return found


def _runs(drafts: list[Draft]) -> list[list[Draft]]:
    """The parts that make one sequence each, in order."""
    if "time" in drafts[0].dims:
        return _continued(drafts)
    steps = [draft.step for draft in drafts]
    over_steps = len(set(steps)) == len(steps)
    runs: dict[tuple[int, tuple[int, ...], str], list[Draft]] = {}
    for draft in drafts:
        runs.setdefault((0 if over_steps else draft.step, draft.shape, draft.dtype), []).append(draft)
    return list(runs.values())


def _continued(drafts: list[Draft]) -> list[list[Draft]]:
    """Runs in which each part starts where the one before ended."""
    runs: list[list[Draft]] = []
    end = -1
    for draft in drafts:
        if draft.start < 0 or draft.start != end or not _same_but_time(runs[-1][-1], draft):
            runs.append([])
        runs[-1].append(draft)
        end = draft.start + draft.shape[draft.dims.index("time")] if draft.start >= 0 else -1
    return runs


def _same_but_time(one: Draft, other: Draft) -> bool:
    return (one.dims, one.dtype) == (other.dims, other.dtype) and all(
        dim == "time" or first == second for dim, first, second in zip(one.dims, one.shape, other.shape, strict=True)
    )


def _joined(index: int, parts: list[TensorRecord]) -> TensorRecord:
    first = parts[0]
    if "time" in first.dims:
        at = first.dims.index("time")
        dims, steps = first.dims, sum(part.shape[at] for part in parts)
        shape = (*first.shape[:at], steps, *first.shape[at + 1 :])
    else:
        at = 1 if first.dims[:1] == ("batch",) else 0
        dims = (*first.dims[:at], "time", *first.dims[at:])
        shape = (*first.shape[:at], len(parts), *first.shape[at:])
    notes = dict.fromkeys(part.note for part in parts)
    kept = all(part.kept for part in parts)
    return replace(
        first,
        index=index,
        dims=dims,
        shape=shape,
        nbytes=sum(part.nbytes for part in parts),
        stats=joined_stats([part.stats for part in parts]),
        kept=kept,
        on_demand=not kept and all(part.available for part in parts),
        note="; ".join(filter(None, notes)),
        parts=tuple(part.index for part in parts),
        placement=None,  # of its parts, each for itself
    )


def joined_stats(parts: Sequence[TensorStats | None]) -> TensorStats | None:
    """Statistics of all elements of several tensors, from those of each; None when one has none."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    finite = [part.count - part.nan - part.posinf - part.neginf for part in known]
    count, total = sum(part.count for part in known), sum(finite)
    means = [(weight, part.mean, part.std) for weight, part in zip(finite, known, strict=True) if weight]
    mean = std = None
    if total and all(each is not None and spread is not None for _, each, spread in means):
        mean = sum(weight * (each or 0.0) for weight, each, _ in means) / total
        # The variance of all is the mean of the variances plus the variance of the means.
        around = sum(weight * ((spread or 0.0) ** 2 + ((each or 0.0) - mean) ** 2) for weight, each, spread in means)
        std = math.sqrt(around / total)
    return TensorStats(
        min=min((part.min for part in known if part.min is not None), default=None),
        max=max((part.max for part in known if part.max is not None), default=None),
        mean=mean,
        std=std,
        zeros=sum(round(part.zeros * part.count) for part in known) / count if count else 0.0,
        nan=sum(part.nan for part in known),
        posinf=sum(part.posinf for part in known),
        neginf=sum(part.neginf for part in known),
        count=count,
    )


@dataclass(frozen=True, slots=True, eq=False)
class JoinedValue:
    """Values of several records, one after the other along a time axis. A LazyValue.

    Attributes:
        shape: Of all together.
        dtype: Of each.
        time: Position of the time axis.
        indices: The records.
        starts: The first timestep of each, and the end of the last.
        stacked: Whether each is one timestep, without a time axis of its own.
        single: Position in each of an axis of one position that the whole does not have; None = there is none.
        of: Reads the value of a record.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    time: int
    indices: tuple[int, ...]
    starts: tuple[int, ...]
    stacked: bool
    single: int | None
    of: Read

    def read(self, index: tuple[int | slice, ...]) -> Tensor:
        """A part; only the records that it is in are read."""
        entry = index[self.time]
        steps = range(self.shape[self.time])[entry]
        if isinstance(steps, int):
            place = next(place for place, stop in enumerate(self.starts[1:]) if steps < stop)
            return self._piece(place, index, steps - self.starts[place])
        pieces = [
            self._piece(place, index, slice(max(steps.start, start) - start, min(steps.stop, stop) - start))
            for place, (start, stop) in enumerate(zip(self.starts, self.starts[1:], strict=False))
            if start < steps.stop and steps.start < stop
        ]
        axis = sum(isinstance(each, slice) for each in index[: self.time])
        if not pieces:  # an empty span
            return self.read((*index[: self.time], slice(0, 1), *index[self.time + 1 :])).narrow(axis, 0, 0)
        return torch.stack(pieces, axis) if self.stacked else torch.cat(pieces, axis)

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * len(self.shape))

    def missing(self, index: tuple[int, ...]) -> bool:
        """Whether no rank recorded an element; -1 stands for all positions of an axis, of which one is enough."""
        found = False
        for place, (start, stop) in enumerate(zip(self.starts, self.starts[1:], strict=False)):
            step = index[self.time]
            if step < 0 or start <= step < stop:
                inside = () if self.stacked else (min(step, step - start),)
                wanted = [*index[: self.time], *inside, *index[self.time + 1 :]]
                if self.single is not None:
                    wanted.insert(self.single, 0)
                found = found or not_recorded(self.of(self.indices[place]), tuple(wanted))
        return found

    def _piece(self, place: int, index: tuple[int | slice, ...], steps: int | slice) -> Tensor:
        """What one record has of a part. Of a stacked one, without the time axis."""
        value = self.of(self.indices[place])
        before, after = index[: self.time], index[self.time + 1 :]
        wanted = [*before, *after] if self.stacked else [*before, steps, *after]
        if self.single is not None:
            wanted.insert(self.single, 0)
        return value[tuple(wanted)].detach() if isinstance(value, Tensor) else value.read(tuple(wanted))


def joined_parts(record: TensorRecord, parts: Sequence[TensorRecord], of: Read) -> JoinedValue:
    """The value of a joined record."""
    time = record.dims.index("time")
    stacked = "time" not in parts[0].dims
    lengths = [1 if stacked else part.shape[time] for part in parts]
    starts = tuple(accumulate(lengths, initial=0))
    single = parts[0].dims.index("query") if parts[0].kind == "attention" else None
    return JoinedValue(record.shape, getattr(torch, record.dtype), time, record.parts, starts, stacked, single, of)
