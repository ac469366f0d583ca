"""Pages: the pieces of a record that a notebook page asks for.

In: a cache and a wish (record, kind, page). Out: one buffer of bytes with its dtype and shape, or a refusal that says
why. The cost is that of the page, not of the record: a piece is read first, then pooled, then quantised. ("channels"
and "histogram" look at the whole record, or at a sample of a very large one.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..analysis import channel_measures, histogram
from ..analysis.numbers import thinned
from ..capture.lazy import LazyValue
from ..errors import MemvizError, PageRefusedError
from ..records import TensorRecord
from .catalog import Recorded, record_message
from .cell_value import CellValue, cell_value
from .plan import Picture, RecordPlan, plan_record
from .pool import loudest
from .quantise import quantise
from .reading import pooled_frames, spread, unravel, window_of

PageKind = Literal["frame", "sheet", "series", "channels", "histogram"]
PAGE_KINDS: tuple[PageKind, ...] = get_args(PageKind)

MEASURED_CELLS = 2**24
"""Most elements of a held tensor that the channel measures look at, some 0.1 s: the kernel waits meanwhile."""


def _no_range() -> npt.NDArray[np.float64]:
    return np.empty(0, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page, on the CPU.

    ``cells``, of shape (n, rows, cols): uint8 codes for "frame" and "sheet", float32 values for "series" and
    "channels", float64 counts for "histogram". ``lows``, ``highs``: float64 range per frame; the outer edges of a
    histogram; else empty. ``sampled``: whether a measure skipped values of a record too large to look at all of them.
    """

    record: int
    kind: PageKind
    page: int
    cells: npt.NDArray[Any]
    lows: npt.NDArray[np.float64] = field(default_factory=_no_range)
    highs: npt.NDArray[np.float64] = field(default_factory=_no_range)
    sampled: bool = False

    @property
    def dtype(self) -> str:
        """Name of the dtype of ``data``."""
        return str(self.cells.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, rows, cols)."""
        return self.cells.shape

    @property
    def data(self) -> memoryview:
        """The bytes of ``cells``, little endian, without a copy."""
        return _bytes_of(self.cells)

    @property
    def lo(self) -> memoryview:
        """The bytes of ``lows``."""
        return _bytes_of(self.lows)

    @property
    def hi(self) -> memoryview:
        """The bytes of ``highs``."""
        return _bytes_of(self.highs)


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

    def close(self) -> None:
        """Let go of the cache, which stays open; every later wish is refused."""
        self._cache = None

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
        record, plan, _, values = self._open(record_index)
        if kind in ("channels", "histogram"):
            _check_page(record, kind, page, 1)
            return _measure_page(record, plan, kind, values)
        picture = {"frame": plan.frame, "sheet": plan.sheet, "series": plan.series}[kind]
        if picture is None:
            raise PageRefusedError(_nothing_text(record, kind))
        _check_page(record, kind, page, picture.pages)
        return _picture_page(record, picture, kind, page, values)

    def value(self, record_index: int, frame: int, row: int, col: int) -> CellValue:
        """The exact value that a cell of a frame shows: in a pooled cell the element of largest magnitude.

        Args:
            record_index: position of the record in the recording.
            frame: flat frame index, 0 .. frames - 1.
            row: row of the cell as sent, 0 .. rows - 1.
            col: column of the cell as sent, 0 .. cols - 1.

        Raises:
            PageRefusedError: no such record or cell; or the record has no value.
        """
        record, _, picture, values = self._open(record_index)
        if not (0 <= frame < picture.frames and 0 <= row < picture.rows and 0 <= col < picture.cols):
            raise PageRefusedError(
                f"record {record.label!r} has frames 0 .. {picture.frames - 1} of {picture.rows} x {picture.cols} "
                f"cells, got frame {frame}, cell ({row}, {col})."
            )
        window = window_of(values, picture, frame, row, col)
        in_row, in_col = divmod(loudest(window), window.shape[1])
        place = (row * picture.pool_rows + in_row, col * picture.pool_cols + in_col)
        return cell_value(window[in_row, in_col], _element_index(record, picture, frame, *place))

    def _open(self, record_index: int) -> tuple[TensorRecord, RecordPlan, Picture, Tensor | LazyValue]:
        """Record, plan, geometry of its frames, value; or a refusal."""
        cache = self._cache
        if cache is None or cache.closed:
            raise PageRefusedError("the recording is closed; capture again to see its values.")
        records = cache.records
        if not 0 <= record_index < len(records):
            raise PageRefusedError(f"no record {record_index}; the recording has {len(records)}, counted from 0.")
        record = records[record_index]
        plan = plan_record(record.dims, record.shape)
        if not record.available or plan.frame is None:
            raise PageRefusedError(record_message(record, plan))
        try:
            values = cache.value(record)
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        return record, plan, plan.frame, values.detach() if isinstance(values, Tensor) else values


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """One-dimensional view of bytes; through uint8, because ``memoryview.cast`` refuses an empty array."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _check_page(record: TensorRecord, kind: PageKind, page: int, pages: int) -> None:
    if not 0 <= page < pages:
        raise PageRefusedError(f"record {record.label!r} has {kind} pages 0 .. {pages - 1}, got {page}.")


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
    coded = quantise(cells)
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


def _element_index(record: TensorRecord, picture: Picture, frame: int, row: int, col: int) -> tuple[int, ...]:
    """Index in the record's own dims of an element of a frame."""
    index = [0] * len(record.shape)
    for axis, place in zip(picture.axes, unravel(frame, [axis.size for axis in picture.axes]), strict=True):
        index[axis.position] = place
    for side, place in ((picture.row, row), (picture.col, col)):
        if side:
            index[side.position] = place
    return tuple(index)
