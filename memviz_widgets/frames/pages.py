"""Pages: the pieces of a record that a notebook page asks for.

In: a cache and a wish (record, kind, page). Out: one buffer of bytes with its dtype and shape, or a refusal that says
why. The cost is that of the page, not of the record: a piece is read first, then pooled, then quantised. ("channels"
and "histogram" look at the whole record, or at a sample of a very large one.)
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..analysis import channel_measures, histogram
from ..analysis.numbers import thinned
from ..cache.ranks_absence import absence
from ..cache.ranks_values import not_recorded
from ..capture.lazy import LazyValue
from ..errors import MemvizError, PageRefusedError
from ..records import TensorRecord
from .attention_maps import map_codes
from .attention_pages import JOINED, AttentionPages, map_picture
from .attention_plan import is_attention
from .catalog import Recorded
from .cell_value import NOT_RECORDED, CellValue, cell_value
from .detail import DETAIL_KINDS, Part, detail_page, finer
from .memory_pages import MemoryPages, residual_of
from .page import ATTENTION_KINDS, MEMORY_KINDS, PAGE_KINDS, Page, PageKind, check_page
from .plan import Picture, RecordPlan, plan_record
from .pool import PooledBy, is_mean, loudest, mean_of
from .quantise import NAN_CODE, quantise
from .reading import element_index, pooled_frames, spread, window_of
from .record_message import record_message

__all__ = ["PAGE_KINDS", "Page", "PageKind", "PageSource", "ReadableCache"]

MEASURED_CELLS = 2**24
"""Most elements of a held tensor that the channel measures look at, some 0.1 s: the kernel waits meanwhile."""


class ReadableCache(Recorded, Protocol):
    """What `PageSource` needs of a cache."""

    @property
    def closed(self) -> bool:
        """Whether the values are gone."""
        ...

    @property
    def summary(self) -> str:
        """How much was recorded and is held, as one line."""
        ...

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The tensor itself, no copy, or what reads it piece by piece; raises a `MemvizError` when there is none."""
        ...


class PageSource:
    """Pages and exact values of one cache. Holds the cache, nothing else."""

    def __init__(self, cache: ReadableCache) -> None:
        self._cache: ReadableCache | None = cache
        self._attention = AttentionPages()
        self._memory = MemoryPages()
        self._pooled_by: PooledBy = "largest"

    @property
    def pooled_by(self) -> PooledBy:
        """What a cell that stands for several elements shows of them, in pictures and maps; tiles: the largest."""
        return self._pooled_by

    @pooled_by.setter
    def pooled_by(self, by: PooledBy) -> None:
        self._pooled_by = self._attention.pooled_by = self._memory.pooled_by = by

    def close(self) -> None:
        """Let go of the cache, which stays open; every later wish is refused."""
        self._cache = None
        self._attention = AttentionPages()
        self._memory = MemoryPages()

    @property
    def closed(self) -> bool:
        """Whether there are no values any more."""
        return self._cache is None or self._cache.closed

    @property
    def summary(self) -> str:
        """How much was recorded and is held, "" once the cache is gone; a page that needs a replay changes it."""
        return "" if self._cache is None or self._cache.closed else self._cache.summary

    def page(self, record_index: int, kind: str, page: int) -> Page:
        """One page of one record.

        Raises:
            PageRefusedError: no such record, kind or page; or the record has no value: not kept, empty, cache closed.
        """
        if kind not in PAGE_KINDS:
            raise PageRefusedError(f"no page kind {kind!r}; ask for one of {', '.join(PAGE_KINDS)}.")
        record, plan, cache = self._record(record_index)
        if kind in ATTENTION_KINDS:
            return self._attention.page(record, kind, page, cache)
        if kind in MEMORY_KINDS:
            made = self._memory.page(record, kind, page, cache)
        else:
            made = _page_of(record, plan, kind, page, cache)
        # Known only now that the value was read: it is computed at the first look.
        return made if made.residual is not None else replace(made, residual=residual_of(record, cache))

    def value(
        self,
        record_index: int,
        frame: int,
        row: int,
        col: int,
        kind: str = "frame",
        pools: tuple[int, int] | None = None,
    ) -> CellValue:
        """The exact value that a cell of a frame shows: in a pooled cell the element of largest magnitude, or the mean.

        The index of a mean is -1 along rows and columns.

        Args:
            record_index: position of the record in the recording.
            frame: flat frame index, 0 .. frames - 1.
            row: row of the cell as sent, 0 .. rows - 1.
            col: column of the cell as sent, 0 .. cols - 1.
            kind: "frame", or a map of attention weights ("row", "mean", ...) or picture of a memory ("time", "wrote",
                ...), whose own number it then is.
            pools: rows and columns of elements of a cell, where it is one of a detail; None: as in the whole picture.

        Raises:
            PageRefusedError: no such record, kind or cell; or the record has no value.
        """
        record, plan, cache = self._record(record_index)
        if kind in ATTENTION_KINDS:
            return self._attention.value(record, kind, frame, row, col, cache, pools)
        if kind in MEMORY_KINDS:
            return self._memory.value(record, kind, frame, row, col, cache, pools)
        picture = plan.frame
        if kind != "frame" or picture is None:
            raise PageRefusedError(f"no values of kind {kind!r}; ask for one of frame, {', '.join(ATTENTION_KINDS)}.")
        picture = finer(picture, *pools) if pools else picture
        picture.check_cell(record.label, frame, row, col)
        values = _value_of(record, cache)
        window = window_of(values, picture, frame, row, col)
        if is_mean(picture, window):
            return cell_value(mean_of(window), element_index(picture, frame, -1, -1))
        in_row, in_col = divmod(loudest(window), window.shape[1])
        place = (row * picture.pool_rows + in_row, col * picture.pool_cols + in_col)
        return cell_value(window[in_row, in_col], element_index(picture, frame, *place))

    def text(self, record_index: int, cell: CellValue) -> str:
        """The text of a cell of a record; of what no rank recorded that it is no value.

        Raises:
            PageRefusedError: as :meth:`value`.
        """
        record, _, cache = self._record(record_index)
        absent = cell.number is None and not_recorded(_value_of(record, cache), cell.index)
        return NOT_RECORDED if absent else cell.text

    def with_absent(self, page: Page) -> Page:
        """A page that says which of its cells no rank recorded, of pictures of elements; a kernel is asked for that."""
        if page.kind not in ("frame", "time") or not (page.cells == NAN_CODE).any():
            return page
        record, plan, cache = self._record(page.record)
        try:
            values = absence(_value_of(record, cache))
        except MemvizError:  # a part that was joined over time is gone: nothing more is known of the page
            return page
        if values is None:
            return page
        if page.kind == "time":
            found = MemoryPages().page(record, "time", page.page, _Instead(cache, values))
        else:
            found = _page_of(record, plan, "frame", page.page, _Instead(cache, values))
        absent = found.cells == NAN_CODE
        return replace(page, absent=absent) if absent.any() else page

    def detail(self, record_index: int, kind: str, frame: int, part: Part) -> Page:
        """A part of a frame, or of a map of attention weights or a memory, finer than its page has it.

        Raises:
            PageRefusedError: no such record, kind, frame or part; or the record has no value.
        """
        record, plan, cache = self._record(record_index)
        wanted = next((known for known in DETAIL_KINDS if known == kind), None)
        if wanted is None:
            raise PageRefusedError(f"no detail of kind {kind!r}; ask for one of {', '.join(DETAIL_KINDS)}.")
        if wanted in JOINED:
            return self._attention.detail(record, wanted, frame, part, cache)
        if wanted in MEMORY_KINDS:
            return self._memory.detail(record, wanted, frame, part, cache)
        picture = plan.frame if wanted == "frame" else map_picture(record, wanted, self._pooled_by)
        if picture is None:
            raise PageRefusedError(_nothing_text(record, wanted))
        return detail_page(record, wanted, picture, _value_of(record, cache), frame, part)

    def _record(self, record_index: int) -> tuple[TensorRecord, RecordPlan, ReadableCache]:
        """A record that can be shown, its plan, the cache; or a refusal."""
        cache = self._cache
        if cache is None or cache.closed:
            raise PageRefusedError("the recording is closed; capture again to see its values.")
        records = cache.records
        if not 0 <= record_index < len(records):
            raise PageRefusedError(f"no record {record_index}; the recording has {len(records)}, counted from 0.")
        record = records[record_index]
        plan = plan_record(record.dims, record.shape)
        if plan.frame is not None and plan.frame.pooled_by != self._pooled_by:
            plan = replace(plan, frame=replace(plan.frame, pooled_by=self._pooled_by))
        if not record.available or plan.frame is None:
            raise PageRefusedError(record_message(record, plan))
        return record, plan, cache


class _Instead:
    """A cache in which another value stands for each."""

    closed = False
    summary = ""
    step_labels: tuple[str, ...] = ()

    def __init__(self, cache: ReadableCache, values: LazyValue) -> None:
        self.records = cache.records
        self.token_texts = cache.token_texts
        self._values = values

    def value(self, record: TensorRecord) -> LazyValue:
        """The other value."""
        return self._values


def _page_of(record: TensorRecord, plan: RecordPlan, kind: PageKind, page: int, cache: ReadableCache) -> Page:
    """One page of the kinds that any record may have."""
    values = _value_of(record, cache)
    if kind in ("channels", "histogram"):
        check_page(record, kind, page, 1)
        return _measure_page(record, plan, kind, values)
    picture = {"frame": plan.frame, "sheet": plan.sheet, "series": plan.series}[kind]
    if picture is None:
        raise PageRefusedError(_nothing_text(record, kind))
    check_page(record, kind, page, picture.pages)
    return _picture_page(record, picture, kind, page, values)


def _value_of(record: TensorRecord, cache: ReadableCache) -> Tensor | LazyValue:
    """The value of a record, or a refusal."""
    try:
        values = cache.value(record)
    except MemvizError as error:
        raise PageRefusedError(str(error)) from error
    return values.detach() if isinstance(values, Tensor) else values


def _nothing_text(record: TensorRecord, kind: PageKind) -> str:
    needs = "dims channel and time, and no picture besides" if kind == "series" else "a dim channel"
    return f"record {record.label!r} has no {kind}: it needs {needs}, its dims are ({', '.join(record.dims)})."


def _picture_page(
    record: TensorRecord, picture: Picture, kind: PageKind, page: int, values: Tensor | LazyValue
) -> Page:
    """Codes for frames and tiles, float32 for series."""
    start = page * picture.frames_per_page
    stop = min(picture.frames, start + picture.frames_per_page)
    cells = pooled_frames(values, picture, start, stop)  # (n, rows, cols)
    if kind == "series":
        # A copy: a page that outlives the cache must not hold the storage of one of its tensors.
        return Page(record.index, kind, page, cells.to(torch.float32, copy=True).cpu().numpy())
    coded = map_codes(cells, kind) if kind == "frame" and is_attention(record) else quantise(cells)
    return Page(record.index, kind, page, coded.codes, coded.lo, coded.hi)


def _measure_page(record: TensorRecord, plan: RecordPlan, kind: PageKind, values: Tensor | LazyValue) -> Page:
    """Channel measures (3, 1, C) or a histogram (1, 1, 64)."""
    elements = math.prod(values.shape)
    if kind == "histogram":
        looked_at = values if isinstance(values, Tensor) else spread(values)
        counts, lo, hi, sampled = histogram(looked_at)
        sampled = sampled or looked_at.numel() < elements
        return Page(record.index, kind, 0, counts.reshape(1, 1, -1), np.array([lo]), np.array([hi]), sampled)
    if plan.channel is None:
        raise PageRefusedError(_nothing_text(record, kind))
    if isinstance(values, Tensor):
        looked_at, channel = thinned(values, MEASURED_CELLS, kept_dim=plan.channel), plan.channel
    else:
        looked_at, channel = spread(values, kept_dim=plan.channel), 0
    measures = channel_measures(looked_at, channel).unsqueeze(1).numpy()  # (3, 1, C)
    return Page(record.index, kind, 0, measures, sampled=looked_at.numel() < elements)
