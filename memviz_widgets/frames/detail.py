"""The visible part of a picture that is larger than a screen, at the finest grain that the screen can show.

In: a value, the geometry of its frames, which cells of a finer grid are seen. Out: one page of codes for these cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..capture.lazy import LazyValue
from ..errors import PageRefusedError
from ..records import TensorRecord
from .attention_maps import map_codes, map_part
from .attention_plan import is_attention
from .page import Page, PageKind
from .plan import Picture
from .pool import MAX_CELLS, pool
from .quantise import Quantised, quantise
from .reading import elements_of, pooled_part

DETAIL_KINDS: tuple[PageKind, ...] = (
    "frame", "row", "log", "mean", "max", "difference", "rollout", "flow",
    "time", "timescale", "similarity", "wrote", "wrote_unit", "reads",
)  # fmt: skip
"""Pages of which there is a detail: all that are drawn as heatmaps."""


@dataclass(frozen=True, slots=True)
class Part:
    """Cells ``rows`` x ``cols`` of a frame whose cells stand for ``pool_rows`` x ``pool_cols`` elements each."""

    pool_rows: int
    pool_cols: int
    rows: slice
    cols: slice


def finer(picture: Picture, pool_rows: int, pool_cols: int) -> Picture:
    """The same frames in cells of ``pool_rows`` x ``pool_cols`` elements.

    Raises:
        PageRefusedError: when a cell would stand for more than in ``picture``, or for nothing.
    """
    if not (1 <= pool_rows <= picture.pool_rows and 1 <= pool_cols <= picture.pool_cols):
        raise PageRefusedError(
            f"no cells of {pool_rows} x {pool_cols} elements: ask for 1 x 1 to {picture.pool_rows} x "
            f"{picture.pool_cols}, those of the whole picture."
        )
    return replace(picture, pool_rows=pool_rows, pool_cols=pool_cols)


def detail_grid(label: str, picture: Picture, frame: int, part: Part) -> Picture:
    """The frames in the cells of a part, of the record with this label.

    Raises:
        PageRefusedError: when there is no such frame or part, or it is more than a screen can show.
    """
    grid = finer(picture, part.pool_rows, part.pool_cols)
    rows, cols = part.rows.stop - part.rows.start, part.cols.stop - part.cols.start
    if not (0 < rows <= MAX_CELLS and 0 < cols <= MAX_CELLS):
        raise PageRefusedError(f"a part of {rows} x {cols} cells; ask for 1 to {MAX_CELLS} on each side.")
    grid.check_cell(label, frame, part.rows.start, part.cols.start)
    grid.check_cell(label, frame, part.rows.stop - 1, part.cols.stop - 1)
    return grid


def detail_page(
    record: TensorRecord, kind: PageKind, picture: Picture, values: Tensor | LazyValue, frame: int, part: Part
) -> Page:
    """Codes of a part of a frame, or of a map of one layer's attention, (1, rows, cols), over the range of the part.

    Costs the part, not the frame.

    Raises:
        PageRefusedError: as `detail_grid`.
    """
    grid = detail_grid(record.label, picture, frame, part)
    if kind == "frame":
        cells = pooled_part(values, grid, frame, part.rows, part.cols)
    else:
        cells = map_part(values, grid, kind, frame, part.rows, part.cols)
    return coded_detail(record, kind, frame, map_codes(cells, kind) if is_attention(record) else quantise(cells))


def map_detail(values: Tensor, grid: Picture, part: Part) -> Tensor:
    """Cells of a part of a map that is held, (full_rows, full_cols): (1, rows, cols)."""
    rows, cols = elements_of(grid, part.rows, part.cols)
    return pool(values[rows, cols].unsqueeze(0), grid.pool_rows, grid.pool_cols)


def coded_detail(record: TensorRecord, kind: PageKind, frame: int, coded: Quantised) -> Page:
    """The page of a detail: its number is that of the frame."""
    return Page(record.index, kind, frame, coded.codes, coded.lo, coded.hi)
