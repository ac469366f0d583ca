"""Pages and numbers of the parts of memories: the part of PageSource that only such records have.

In: a record with its value, and the cache for the other parts of its memory. Out: pages, numbers, or refusals.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..capture.lazy import LazyValue
from ..errors import MemvizError, PageRefusedError
from ..records import TensorRecord
from .catalog import Recorded
from .cell_value import CellValue, cell_value
from .detail import Part, coded_detail, detail_grid, finer, map_detail
from .memory_catalog import MAPS, memory_pictures
from .memory_entries import entries_table
from .memory_maps import Reordered, WhoWrote, share_codes, time_frames, time_part, who_wrote, who_wrote_reads
from .memory_measures import Table, retention_table, saturation_table, units_table
from .memory_plan import MemoryRecords, plan_memory, size_of, unit_dim
from .page import Page, PageKind, check_page
from .plan import Picture
from .pool import loudest, pool
from .quantise import quantise
from .reading import element_index, unravel, window_of

ORDERS = {"timescale": 1, "similarity": 2}
"""Pages of units in another order, and the row of a page "units" that has it."""

TABLES = ("units", "saturation", "retention", "entries")
"""Measures: a page per sample."""

HELD_BYTES = 2**26
"""Bytes of maps that are held: the numbers of their cells are asked for one by one."""

MOST_HELD = 32
"""Most maps, and most tables."""

Made = TypeVar("Made")


class MemoryCache(Recorded, Protocol):
    """What is needed of a cache."""

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value of a record, or a `MemvizError`."""
        ...


@dataclass(frozen=True, slots=True)
class _Wish:
    """A kind of page of one record, and where its numbers come from."""

    record: TensorRecord
    kind: str
    memories: MemoryRecords
    cache: MemoryCache


class MemoryPages:
    """Pages of one cache at a time. Holds the last maps of who wrote what, and the last tables."""

    def __init__(self) -> None:
        self._maps: OrderedDict[tuple[int | str, ...], WhoWrote] = OrderedDict()
        self._tables: OrderedDict[tuple[int | str, ...], Table] = OrderedDict()
        self._memories: tuple[int, MemoryRecords] | None = None

    def page(self, record: TensorRecord, kind: PageKind, page: int, cache: MemoryCache) -> Page:
        """One page of a record that is a part of a memory.

        Raises:
            PageRefusedError: when there is no such page; or the values cannot be had, or it takes too long.
        """
        wish = _Wish(record, kind, self._records_of(cache), cache)
        picture = _picture(record, kind, wish.memories)
        check_page(record, kind, page, size_of(record, "batch") if picture is None else picture.pages)
        try:
            if picture is None:
                table = self._table(wish, page)
                # A copy: a page must not hold the storage of a table that is held here.
                return Page(record.index, kind, page, table.numbers.numpy().copy(), sampled=table.sampled)
            frames = range(page * picture.frames_per_page, min(picture.frames, (page + 1) * picture.frames_per_page))
            if kind in MAPS:
                return self._map_page(wish, kind, page, picture, frames)
            coded = quantise(self._time_cells(wish, picture, frames))
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        return Page(record.index, kind, page, coded.codes, coded.lo, coded.hi)

    def detail(self, record: TensorRecord, kind: PageKind, frame: int, part: Part, cache: MemoryCache) -> Page:
        """A part of a picture of a memory, finer than its page has it.

        Raises:
            PageRefusedError: as in `page`; or there is no such part.
        """
        wish = _Wish(record, kind, self._records_of(cache), cache)
        picture = _picture(record, kind, wish.memories)
        if picture is None:
            raise PageRefusedError(f"{kind} of record {record.label!r} are measures, without cells.")
        grid = detail_grid(record.label, picture, frame, part)
        try:
            if kind in MAPS:
                return coded_detail(
                    record, kind, frame, share_codes(map_detail(self._map(wish, grid, frame)[0], grid, part))
                )
            values = self._ordered(wish, grid, frame)
            return coded_detail(record, kind, frame, quantise(time_part(values, grid, frame, part.rows, part.cols)))
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error

    def value(
        self,
        record: TensorRecord,
        kind: PageKind,
        frame: int,
        row: int,
        col: int,
        cache: MemoryCache,
        pools: tuple[int, int] | None = None,
    ) -> CellValue:
        """The number that a cell stands for: an element of the record, or a share with (read at, written at).

        Raises:
            PageRefusedError: as in `page`.
        """
        wish = _Wish(record, kind, self._records_of(cache), cache)
        picture = _picture(record, kind, wish.memories)
        if picture is None:
            raise PageRefusedError(f"{kind} of record {record.label!r} are measures, without cells.")
        picture = finer(picture, *pools) if pools else picture
        picture.check_cell(record.label, frame, row, col)
        top, left = row * picture.pool_rows, col * picture.pool_cols
        try:
            if kind in MAPS:
                shares, _ = self._map(wish, picture, frame)
                order, window = None, shares[top : top + picture.pool_rows, left : left + picture.pool_cols]
            else:
                order = self._order(wish, _place(picture, frame).get("batch", 0))
                window = window_of(self._ordered(wish, picture, frame), picture, frame, row, col)
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        in_row, in_col = divmod(loudest(window), window.shape[1])
        if kind in MAPS:
            return cell_value(window[in_row, in_col], (top + in_row, left + in_col))
        unit = top + in_row if order is None else int(order[top + in_row])
        return cell_value(window[in_row, in_col], element_index(picture, frame, unit, left + in_col))

    def _ordered(self, wish: _Wish, picture: Picture, frame: int) -> Tensor | LazyValue:
        """The value with its units in the order of the sample of a frame."""
        order = self._order(wish, _place(picture, frame).get("batch", 0))
        return _in_order(_detached(wish.cache.value(wish.record)), picture, order)

    def _records_of(self, cache: MemoryCache) -> MemoryRecords:
        """The memories of the recording, grouped once: what of a record can change later is its residual."""
        records = cache.records
        if self._memories is None or self._memories[0] != len(records):
            self._memories = len(records), MemoryRecords(records)
        return self._memories[1]

    def _time_cells(self, wish: _Wish, picture: Picture, frames: range) -> Tensor:
        """Frames of units over time, (n, rows, cols), the rows of each sample in its own order."""
        values = _detached(wish.cache.value(wish.record))
        if wish.kind == "time":
            return time_frames(values, picture, frames.start, frames.stop)
        per_sample = picture.frames // size_of(wish.record, "batch")
        found = []
        for sample in range(frames.start // per_sample, -(-frames.stop // per_sample)):
            first, stop = max(frames.start, sample * per_sample), min(frames.stop, (sample + 1) * per_sample)
            order = self._order(wish, sample)
            found.append(time_frames(_in_order(values, picture, order), picture, first, stop))
        return torch.cat(found)

    def _map_page(self, wish: _Wish, kind: PageKind, page: int, picture: Picture, frames: range) -> Page:
        """Codes of maps of who wrote what, with the largest error of their sums and of what they are made of."""
        cells, residuals = [], []
        for frame in frames:
            shares, residual = self._map(wish, picture, frame)
            cells.append(pool(shares.unsqueeze(0), picture.pool_rows, picture.pool_cols))
            residuals.append(residual)
        coded = share_codes(torch.cat(cells))
        worst = max([*residuals, *_residuals(wish)])  # known only now that the parts were read
        return Page(wish.record.index, kind, page, coded.codes, coded.lo, coded.hi, residual=worst)

    def _map(self, wish: _Wish, picture: Picture, frame: int) -> tuple[Tensor, float]:
        """The map of one frame, (T, T), and its residual."""
        record, memories, read = wish.record, wish.memories, wish.cache.value
        found = memories.law(record)
        if found is None:
            raise PageRefusedError(_nothing(record, wish.kind))
        content, law = found
        index = _place(picture, frame)
        sample = index.get("batch", 0)
        unit = index[unit_dim(content.dims)] if wish.kind == "wrote_unit" else None

        def make() -> WhoWrote:
            if wish.kind == "reads":
                return who_wrote_reads(record, content, law, memories, read, sample)
            return who_wrote(content, law, memories, read, sample, unit)

        of = record.index if wish.kind == "reads" else content.index  # parts of one memory share its maps
        made = _held(self._maps, (wish.kind, of, sample, -1 if unit is None else unit), make)
        while sum(each.shares.nbytes for each in self._maps.values()) > HELD_BYTES and len(self._maps) > 1:
            self._maps.popitem(last=False)
        return made.shares[index.get("head", 0) if wish.kind == "reads" else 0], made.residual

    def _order(self, wish: _Wish, sample: int) -> Tensor | None:
        """The unit in each row, None = by index."""
        if wish.kind not in ORDERS:
            return None
        return self._table(replace(wish, kind="units"), sample).numbers[ORDERS[wish.kind], 0].long()

    def _table(self, wish: _Wish, sample: int) -> Table:
        """A page of measures."""
        record, memories, read = wish.record, wish.memories, wish.cache.value

        def make() -> Table:
            law = memories.law(record)
            if wish.kind == "saturation":
                return saturation_table(record, read, sample)
            if wish.kind == "retention" and law is not None:
                return retention_table(*law, memories, read, sample)
            if wish.kind == "entries":
                return entries_table(record, wish.cache.records, memories, read, sample)
            return units_table(record, memories, read, sample)

        return _held(self._tables, (wish.kind, record.index, sample), make)


def _place(picture: Picture, frame: int) -> dict[str, int]:
    """Position of a frame by name of dim."""
    places = unravel(frame, [axis.size for axis in picture.axes])
    return {axis.dim: place for axis, place in zip(picture.axes, places, strict=True)}


def _picture(record: TensorRecord, kind: PageKind, memories: MemoryRecords) -> Picture | None:
    """The geometry of a picture; None for measures. Raises PageRefusedError where there is neither."""
    if not record.memory or record.index in memories.hidden:
        raise PageRefusedError(f"record {record.label!r} has no {kind}: it is no part of a memory.")
    pictures = memory_pictures(record, memories)
    if kind in TABLES:
        if not pictures.has_table(kind):
            raise PageRefusedError(_nothing(record, kind))
        return None
    found = {
        "wrote": pictures.wrote,
        "wrote_unit": pictures.wrote_unit,
        "reads": pictures.reads,
    }.get(kind, pictures.time)
    if found is None:
        raise PageRefusedError(_nothing(record, kind))
    return found


def _nothing(record: TensorRecord, kind: str) -> str:
    """Why a part of a memory has no such page."""
    if plan_memory(record.dims, record.shape).time is None and kind != "entries":
        return f"record {record.label!r} has no {kind}: it has fewer than two timesteps, its shape is {record.shape}."
    needs = {
        "wrote": "its memory has no parts that say what a step keeps and writes",
        "wrote_unit": "its memory has no parts that say what a step keeps and writes, or other units",
        "reads": "that is of read weights over slots, when it is known what a step keeps and what reads see",
        "saturation": "that is of gates of 0..1",
        "retention": "that is of the content of a memory whose parts say what a step keeps",
        "entries": "that is of the keys of a cache, (batch, head, time, channel)",
    }
    return f"record {record.label!r} has no {kind}: {needs.get(kind, 'it has no units over time')}."


def _residuals(wish: _Wish) -> list[float]:
    """Those of the content and the parts of its law, as far as they are known."""
    found = wish.memories.law(wish.record)
    if found is None:
        return []
    content, law = found
    parts = [content, wish.record, *(each for kind in law.kinds for each in wish.memories.parts(content, kind))]
    return [value for value in (residual_of(part, wish.cache) for part in parts) if value is not None]


def residual_of(record: TensorRecord, cache: Recorded) -> float | None:
    """Largest error of a value that was recovered, as is known now; of a joined one that of its parts."""
    records = cache.records
    found = [records[index].residual for index in (record.index, *record.parts)]
    known = [value for value in found if value is not None]
    return max(known, key=lambda value: math.inf if math.isnan(value) else value) if known else None


def _held(
    store: OrderedDict[tuple[int | str, ...], Made], place: tuple[int | str, ...], make: Callable[[], Made]
) -> Made:
    """What was made for this place, or is made now; the least recently used go."""
    if place not in store:
        store[place] = make()
        while len(store) > MOST_HELD:
            store.popitem(last=False)
    store.move_to_end(place)
    return store[place]


def _in_order(values: Tensor | LazyValue, picture: Picture, order: Tensor | None) -> Tensor | LazyValue:
    """The value with its units in this order."""
    return values if order is None or picture.row is None else Reordered(values, picture.row.position, order)


def _detached(values: Tensor | LazyValue) -> Tensor | LazyValue:
    return values.detach() if isinstance(values, Tensor) else values
