"""What a picture is made of, as plain data: heatmaps, strips over time, tables, lines of text.

In: codes of frames, ranges of colours, texts. Out: frozen parts, which picture.py draws. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..frames.shown_colors import ColorScale


@dataclass(frozen=True, slots=True)
class AxisPart:
    """A side of a heatmap: ``size`` positions of the tensor named ``label``; their texts, "" = the index itself.

    ``selected``: the position that is marked, -1 = none.
    """

    label: str
    size: int
    texts: tuple[str, ...] = ()
    selected: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class CodedFrame:
    """uint8 codes (rows, cols), 0..252 = ``lo`` .. ``hi``, 253 -Inf, 254 +Inf, 255 NaN."""

    codes: npt.NDArray[np.uint8]
    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class MapPart:
    """A heatmap with its axes and its colour bar.

    ``title``: above it, "" = none. ``frame`` None: there is nothing to draw and ``absence`` says why. ``empty``: why
    code 253 is exactly 0 and stays blank; "" = it is -Inf. ``counts``: NaN, +Inf and -Inf of the record, by the names
    of shown_colors.LOUD. ``width, height``: most CSS pixels of the plot.
    """

    title: str
    frame: CodedFrame | None
    scale: ColorScale
    rows: AxisPart
    cols: AxisPart
    empty: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    absence: str = ""
    width: int = 480
    height: int = 360


@dataclass(frozen=True, slots=True)
class StripPart:
    """A part of a memory over time: units down, ``steps`` across. ``frame`` None: ``note`` stands in its place."""

    name: str
    facts: str
    frame: CodedFrame | None
    scale: ColorScale
    units: int = 0
    steps: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class StripsPart:
    """Strips under each other over one axis of time. ``time.selected``: the timestep of the cursor."""

    strips: tuple[StripPart, ...]
    time: AxisPart


@dataclass(frozen=True, slots=True)
class TablePart:
    """A table of texts: ``widths`` of the columns in CSS pixels; a cell is lines, of which the first is strong."""

    columns: tuple[str, ...]
    widths: tuple[int, ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class SheetPart:
    """Tiles of channels in reading order, all in one scale of colours.

    ``tiles``: their frames. ``tall``: height / width of the pictures on them. ``selected``: place of the tile with a
    ring, -1 = none.
    """

    title: str
    tiles: tuple[CodedFrame, ...]
    scale: ColorScale
    tall: float
    selected: int = -1


@dataclass(frozen=True, slots=True)
class CurvePart:
    """A curve of shares 0..1: ``points`` are (x, share, least, most) with x rising, the last two ends of an interval.

    ``color``: of CSS, "#rrggbb". ``marker``: shape of the points, as bqplot calls it. ``half``: (x, share) down from
    which a dotted line goes, None = there is none.
    """

    name: str
    color: str
    marker: str
    points: tuple[tuple[float, float, float, float], ...]
    half: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class CurvesPart:
    """Curves in one figure. ``label`` of the axis across, its ``ticks`` and ends; ``side``: label of the shares.

    ``level``: of a dashed line, None = there is none. ``legend``: what else the lines mean.
    """

    curves: tuple[CurvePart, ...]
    label: str
    side: str
    ticks: tuple[tuple[float, str], ...]
    ends: tuple[float, float]
    level: float | None = None
    legend: str = ""


Part = CurvesPart | MapPart | SheetPart | StripsPart | TablePart


@dataclass(frozen=True, slots=True)
class Board:
    """A whole picture: ``title``, lines of ``facts`` under it, rows of parts, ``notes`` at the foot."""

    title: str
    facts: tuple[str, ...]
    rows: tuple[tuple[Part, ...], ...]
    notes: tuple[str, ...] = ()


def stacked(boards: Sequence[Board]) -> Board:
    """Several pictures under each other: of one alone itself; else each map has the title of its own."""
    if len(boards) == 1:
        return boards[0]
    rows = tuple(tuple(_titled(part, board.title) for part in row) for board in boards for row in board.rows)
    notes = dict.fromkeys(note for board in boards for note in board.notes)
    return Board("", (), rows, tuple(notes))  # each map says where it is


def _titled(part: Part, title: str) -> Part:
    return replace(part, title=title) if isinstance(part, MapPart) and not part.title else part
