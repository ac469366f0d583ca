"""Which dims of a record make the picture, and which are sliders.

In: the dims and shape of a record. Out: the geometry of its frames, its contact sheet and its series. No tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..errors import PageRefusedError
from .pool import MAX_CELLS, TILE_CELLS, PooledBy, window

PAGE_BYTES = 512 * 1024
"""A page holds about this many bytes: some 10 frames of 224 x 224, which a socket carries without a stall."""

PAGE_ELEMENTS = 2**25
"""Most elements that are read for a page when it is pooled, some 30 ms: the kernel does nothing else meanwhile."""

MAX_SERIES = 4096
"""Most points of a series."""

MAX_TILES = 1024
"""Most tiles of a page of the contact sheet."""

_RANGE_BYTES = 16
"""lo and hi of a frame, float64 each."""

_TRAITS = {
    "batch": "sample",
    "time": "time",
    "channel": "channel",
    "head": "head",
    "query": "query",
    "key": "key",
    "slot": "slot",
    "depth": "depth",
}
_FREE_TRAITS = ("axis", "axis2")

_PICTURES = (
    ("height", "width"),
    ("channel", "state"),
    ("time", "channel"),
    ("query", "key"),
    ("slot", "channel"),
    ("slot", "width"),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """A dim with a slider: position in the record's dims, name, selection trait, size."""

    position: int
    dim: str
    trait: str
    size: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Geometry of the frames of one kind. ``row`` and ``col`` are the dims that it shows, None = a side of 1.

    A flat frame index is row-major over ``axes``, the last fastest. Dims in the positions ``fixed`` are looked at in
    index 0. ``pool_rows``, ``pool_cols``: elements that one cell stands for; ``pooled_by``: what it shows of them.
    """

    row: Axis | None
    col: Axis | None
    axes: tuple[Axis, ...]
    fixed: tuple[int, ...]
    pool_rows: int
    pool_cols: int
    frames_per_page: int = 1
    pooled_by: PooledBy = "largest"

    @property
    def full_rows(self) -> int:
        """Rows of elements of the tensor in a frame."""
        return self.row.size if self.row else 1

    @property
    def full_cols(self) -> int:
        """Columns of elements of the tensor in a frame."""
        return self.col.size if self.col else 1

    @property
    def rows(self) -> int:
        """Rows of cells in a frame."""
        return -(-self.full_rows // self.pool_rows)

    @property
    def cols(self) -> int:
        """Columns of cells in a frame."""
        return -(-self.full_cols // self.pool_cols)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return math.prod(axis.size for axis in self.axes)

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-self.frames // self.frames_per_page)

    def check_cell(self, label: str, frame: int, row: int, col: int) -> None:
        """Refuse a cell that is not there. Raises PageRefusedError; ``label``: that of the record."""
        if not (0 <= frame < self.frames and 0 <= row < self.rows and 0 <= col < self.cols):
            raise PageRefusedError(
                f"record {label!r} has frames 0 .. {self.frames - 1} of {self.rows} x {self.cols} "
                f"cells, got frame {frame}, cell ({row}, {col})."
            )


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """What of a record is shown where. All pictures are None for an empty record.

    ``extents``: size per selection trait. ``channel``: position of the channel dim. ``fixed``: names of the dims that
    have no slider left and stay at index 0.
    """

    extents: tuple[tuple[str, int], ...]
    channel: int | None
    fixed: tuple[str, ...]
    frame: Picture | None
    sheet: Picture | None
    series: Picture | None


@lru_cache(maxsize=4096)
def plan_record(dims: tuple[str, ...], shape: tuple[int, ...]) -> RecordPlan:
    """The plan of a record with these dims, ``len(dims) == len(shape)``.

    Picture: height x width, else channel x state, time x channel, query x key, slot x channel, slot x width, batch x
    channel, else the last two dims; of more samples than a picture has rows each is a row of its own, with a slider; a
    record of one dim is one row, a number is one cell. The other dims are axes,
    sample first and channel last. Two of them may have a name without a selection trait of its own and use the traits
    "axis" and "axis2"; more are fixed at index 0.
    """
    if 0 in shape:
        return RecordPlan((), None, (), None, None, None)
    row, col = _sides(dims, shape)
    named = named_axes(dims, shape, (row, col))
    beside = [axis for axis in named if axis.position not in (row, col)]
    axes = _in_order([axis for axis in beside if axis.trait])
    fixed = [axis for axis in beside if not axis.trait]
    frame = _picture(
        None if row is None else named[row],
        None if col is None else named[col],
        axes,
        tuple(axis.position for axis in fixed),
        MAX_CELLS,
    )
    return RecordPlan(
        extents=tuple((axis.trait, axis.size) for axis in named if axis.trait),
        channel=dims.index("channel") if "channel" in dims else None,
        fixed=tuple(axis.dim for axis in fixed),
        frame=replace(frame, frames_per_page=frames_per_page(frame, cell_bytes=1)),
        sheet=_sheet(frame),
        series=_series(frame),
    )


def _sides(dims: Sequence[str], shape: Sequence[int]) -> tuple[int | None, int | None]:
    """Positions of the dims that are rows and columns."""
    if len(dims) == 2 and "channel" in dims and "batch" in dims and shape[dims.index("batch")] > MAX_CELLS:
        return None, dims.index("channel")  # rows of several samples pooled into one would say nothing of any
    pairs = (*_PICTURES, ("batch", "channel")) if len(dims) == 2 else _PICTURES
    for row, col in pairs:
        if row in dims and col in dims:
            return dims.index(row), dims.index(col)
    if len(dims) < 2:
        return None, (0 if dims else None)
    return len(dims) - 2, len(dims) - 1


def named_axes(dims: Sequence[str], shape: Sequence[int], sides: tuple[int | None, int | None]) -> list[Axis]:
    """Every dim with its trait, "" = none. A dim whose trait is taken (a name used twice) has no trait of its own."""
    free = list(_FREE_TRAITS)
    taken: set[str] = set()
    named = []
    for position, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        trait = _TRAITS.get(dim, "")
        if trait in taken:
            trait = ""
        if not trait and position not in sides and free:
            trait = free.pop(0)
        taken.add(trait)
        named.append(Axis(position, dim, trait, size))
    return named


def _in_order(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Sample first and channel last: the frames of a sample, and the channels of a timestep, are then one run."""
    return tuple(sorted(axes, key=lambda axis: (axis.trait == "channel") - (axis.trait == "sample")))


def _picture(
    row: Axis | None, col: Axis | None, axes: tuple[Axis, ...], fixed: tuple[int, ...], most_cells: int
) -> Picture:
    pool_rows = window(row.size, most_cells) if row else 1
    pool_cols = window(col.size, most_cells) if col else 1
    return Picture(row, col, axes, fixed, pool_rows, pool_cols)


def frames_per_page(picture: Picture, cell_bytes: int, read_per_frame: int = 1) -> int:
    """As many frames as fit ``PAGE_BYTES`` and are read from ``PAGE_ELEMENTS``, at least one.

    ``read_per_frame``: frames of the tensor that are read for one of the picture's.
    """
    frame_bytes = picture.rows * picture.cols * cell_bytes + _RANGE_BYTES
    frame_elements = picture.full_rows * picture.full_cols * read_per_frame
    return max(1, min(picture.frames, PAGE_BYTES // frame_bytes, PAGE_ELEMENTS // frame_elements))


def _sheet(frame: Picture) -> Picture | None:
    """One tile per channel, or None without a channel dim.

    The tile is the picture made small. Where channel is itself a side of the picture, the other side becomes an axis if
    it has a trait (a tile is then one cell), else it is the tile's row.
    """
    row, col, axes = frame.row, frame.col, list(frame.axes)
    for side, other in ((row, col), (col, row)):
        if side and side.trait == "channel":
            beside = other is not None and bool(other.trait)
            axes += [side, other] if other and beside else [side]
            row, col = None, None if beside else other
    channels = next((axis.size for axis in axes if axis.trait == "channel"), 0)
    if not channels:
        return None
    tile = _picture(row, col, _in_order(axes), frame.fixed, TILE_CELLS)
    most = min(MAX_TILES, frames_per_page(tile, cell_bytes=1))
    most -= most % min(channels, most)  # whole sheets: the one in view is then a page, not the ends of two
    return replace(tile, frames_per_page=most)


def _series(frame: Picture) -> Picture | None:
    """One series over time per channel or slot; None for a record without these, or with height x width too."""
    sides = [side for side in (frame.row, frame.col) if side]
    if not all(side.trait for side in sides):
        return None
    time, others = None, []
    for axis in (*frame.axes, *sides):
        if axis.trait == "time":
            time = axis
        else:
            others.append(axis)
    if time is None or not any(axis.trait in ("channel", "slot") for axis in others):
        return None
    series = _picture(None, time, _in_order(others), frame.fixed, MAX_SERIES)
    return replace(series, frames_per_page=frames_per_page(series, cell_bytes=4))
