"""The records of several ranks as one recording: what lies over ranks is one record, what does not fit stays apart.

In: the records of each rank's part. Out: records, and for each where its values are; or FormatError where parts
contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import FormatError
from ..records import Placement, TensorRecord
from .joined import joined_stats
from .joining import rejoined
from .ranks_boxes import Box, Layout, NotJoinedError, layout_of
from .ranks_notes import apart_note, layout_note, ranks_text
from .ranks_samples import follows_samples, samples_mesh
from .ranks_values import whole_dtype
from .store_format_arrays import may_repeat

Member = tuple[int, TensorRecord]
"""A rank and its record."""
Sameness = Callable[[int, int], object]
"""Rank, index of a record -> something that is equal where the values are, None where that is not known."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Where the values of a record are.

    Attributes:
        boxes: Its parts; () of a record without values, and of one that joins others over time.
        indices: Rank -> index of the record that it has of it.
    """

    boxes: tuple[Box, ...]
    indices: Mapping[int, int]


class RanksRecords:
    """Joins the records of all ranks.

    Args:
        parts: Rank -> its records. Ranks that are lost are not in it.
        world_size: Number of ranks.
        sameness: Compares values of which nothing says how they lie over the ranks.

    Attributes:
        records: All records; ``records[i].index == i``. Those that join others over time come last.
        values: Where the values of each are.

    Raises:
        FormatError: when parts contradict each other, with both.
    """

    def __init__(self, parts: Mapping[int, Sequence[TensorRecord]], world_size: int, sameness: Sameness) -> None:
        self.records: list[TensorRecord] = []
        self.values: list[Joined] = []
        self._parts = parts
        self._lost = frozenset(range(world_size)) - frozenset(parts)
        self._world_size = world_size
        self._sameness = sameness
        self._samples = samples_mesh(parts)
        self._placed: dict[tuple[int, int], int] = {}
        for members in _aligned(parts, over_time=False):
            for group in self._groups(members):
                self._add(group)
        for members in _aligned(parts, over_time=True):
            self._add_over_time(members)

    def _groups(self, members: list[Member]) -> Iterator[list[Member]]:
        """Members that are parts of one value; each alone where nothing says so."""
        groups: dict[object, list[Member]] = {}
        for rank, record in members:
            placement = record.placement
            key: object = ("no tensor", record.note)
            if record.dtype and placement is not None:
                key = (placement.mesh, placement.ranks, placement.placements, record.dims)
            elif record.dtype:
                same = self._sameness(rank, record.index)
                key = ("alone", rank) if same is None else ("same", same)
            groups.setdefault(key, []).append((rank, record))
        if len(groups) > 1 and self._samples and follows_samples(self._samples, groups.values(), self._lost):
            # What says "local shard" says that nothing was known of it on its rank alone.
            notes = {f"local shard, rank {rank}" for rank, _ in members}
            yield [
                (rank, replace(each, placement=self._samples, note="" if each.note in notes else each.note))
                for rank, each in members
            ]
        elif len(members) > 1 and len(groups) > 1:
            for group in groups.values():
                yield [(rank, _named_apart(record, [rank for rank, _ in group])) for rank, record in group]
        else:
            yield from groups.values()

    def _add(self, group: list[Member]) -> None:
        """A record of what the members have together."""
        placement = group[0][1].placement
        if placement is not None and group[0][1].dtype:
            try:
                self._append(*self._over_ranks(placement, group), group)
            except NotJoinedError as error:
                for member in group:
                    rank, record = member
                    note = apart_note(record.note, rank, str(error))
                    alone = replace(_named_apart(record, [rank]), note=note)
                    self._append(alone, _own_box(record, rank), [member])
            return
        rank, record = next((each for each in group if each[1].available), group[0])
        several = len(group) > 1
        if several and record.dtype:
            own = "" if record.note == f"local shard, rank {rank}" else record.note
            record = replace(record, note="; ".join(filter(None, (own, f"the same on {len(group)} ranks"))))
        elif record.dtype:
            record = replace(record, note=apart_note(record.note, rank, ""))
        self._append(replace(record, rank=None if several else rank), _own_box(record, rank), group)

    def _append(self, record: TensorRecord, boxes: tuple[Box, ...], members: Sequence[Member]) -> None:
        index = len(self.records)
        self.records.append(replace(record, index=index, parts=()))
        self.values.append(Joined(boxes, {rank: each.index for rank, each in members}))
        for rank, each in members:
            self._placed[rank, each.index] = index

    def _over_ranks(self, placement: Placement, group: list[Member]) -> tuple[TensorRecord, tuple[Box, ...]]:
        """The record of a value that lies over ranks as its placement says."""
        rank, first = group[0]
        for other, record in group:
            if record.dtype != first.dtype or (record.placement and record.placement.shape) != placement.shape:
                raise FormatError(
                    f"the parts of {first.label!r} contradict each other: {_declared(rank, first)}, and "
                    f"{_declared(other, record)}. Run all ranks again with the same model and dtype"
                )
        shapes = {each: record.shape for each, record in group}
        held = {each: record.shape for each, record in group if record.available}
        lost = self._lost | (frozenset(shapes) - frozenset(held))
        layout = layout_of(placement, first.dims, held or shapes, lost if held else self._lost, repr(first.label))
        stored = (sum(math.prod(shape) for shape in shapes.values()),)
        if not may_repeat(layout.shape, stored, getattr(torch, first.dtype)):
            raise FormatError(f"{first.label!r} of {layout.shape} is more than its parts can be of")
        dtype = whole_dtype(getattr(torch, first.dtype), whole=layout.whole or not held)
        note = layout_note(layout, placement, first.dims, self._lost, dict(group))
        return self._whole(placement, group, layout, dtype, note), layout.boxes if held else ()

    def _whole(
        self, placement: Placement, group: list[Member], layout: Layout, dtype: torch.dtype, note: str
    ) -> TensorRecord:
        members = dict(group)
        used = [members[rank] for box in layout.boxes for rank in box.ranks if rank in members]
        first = group[0][1]
        available = [record for record in used if record.available]
        summed = any(len(box.ranks) > 1 for box in layout.boxes)
        kept = bool(available) and all(record.kept for record in available)
        return replace(
            first,
            shape=layout.shape,
            dtype=str(dtype).removeprefix("torch."),
            nbytes=sum(record.nbytes for record in used),
            stats=None if summed else joined_stats([record.stats for record in used]),
            kept=kept,
            on_demand=bool(available) and not kept,
            note=note,
            residual=max((each.residual for each in used if each.residual is not None), default=None),
            placement=replace(placement, shape=layout.shape),
            rank=None,
        )

    def _add_over_time(self, members: list[Member]) -> None:
        """Records that join others over time: of the records that those have become."""
        groups: dict[tuple[int, ...], list[Member]] = {}
        for rank, record in members:
            parts = tuple(self._placed[rank, part] for part in record.parts)
            groups.setdefault(parts, []).append((rank, record))
        for parts, group in groups.items():
            ranks = [rank for rank, _ in group]
            record = group[0][1] if len(groups) == 1 else _named_apart(group[0][1], ranks)
            joined = rejoined(record, len(self.records), [self.records[part] for part in parts])
            self.records.append(joined)
            self.values.append(Joined((), {rank: each.index for rank, each in group}))


def _aligned(parts: Mapping[int, Sequence[TensorRecord]], *, over_time: bool) -> Iterator[list[Member]]:
    """The records of the same name on all ranks, in the order of the first rank that has one.

    What a rank recorded after another value of the first ranks stays behind that.
    """
    order: dict[tuple[object, ...], list[Member]] = {}
    for rank in sorted(parts):
        for record in parts[rank]:
            if bool(record.parts) == over_time:
                name = (record.path, record.call, record.kind, record.item, record.step, record.memory)
                order.setdefault(name, []).append((rank, record))
    yield from order.values()


def _named_apart(record: TensorRecord, ranks: Sequence[int]) -> TensorRecord:
    """A record that stays apart from those of other ranks: they are in its name."""
    text = ranks_text(ranks)
    memory = f"{record.memory}, {text}" if record.memory else ""
    return replace(
        record, item=f"{record.item} {text}".strip(), memory=memory, rank=ranks[0] if len(ranks) == 1 else None
    )


def _own_box(record: TensorRecord, rank: int) -> tuple[Box, ...]:
    return (Box((0,) * len(record.shape), record.shape, (rank,)),) if record.available else ()


def _declared(rank: int, record: TensorRecord) -> str:
    whole = record.placement.shape if record.placement else ()
    return f"rank {rank} has {record.dtype} {record.shape}" + (f" of {whole}" if whole else "")
