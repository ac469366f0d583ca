"""A board of parts as a picture, drawn without a browser.

In: a Board. Out: the bytes of a PNG.
"""

from __future__ import annotations

import io

from PIL import Image

from .picture_canvas import MUTED, SMALL_PX, TITLE_PX, Canvas, wrapped
from .picture_curves import CurvesDrawing
from .picture_map import MapDrawing
from .picture_parts import Board, CurvesPart, MapPart, Part, SheetPart, StripsPart
from .picture_sheet import SheetDrawing
from .picture_strips import StripsDrawing, TableDrawing

MARGIN, GAP, LEAST_WIDTH = 16.0, 18.0, 420.0
TITLE_LINE, FACT_LINE = 22.0, 16.0

Drawing = CurvesDrawing | MapDrawing | SheetDrawing | StripsDrawing | TableDrawing


STILL_COLORS = 128


def png_bytes(board: Board, scale: float = 2.0) -> bytes:
    """The picture as a PNG, ``scale`` device pixels to a CSS pixel. The same board gives the same bytes."""
    return _png(draw(board, scale).image)


def small_png_bytes(board: Board, most_bytes: int) -> bytes:
    """The picture at one device pixel to a CSS pixel, in fewer colours where it is too large; b"" if it still is."""
    image = draw(board, 1.0, exact=False).image
    found = _png(image)
    if len(found) > most_bytes:
        found = _png(image.quantize(STILL_COLORS, Image.Quantize.FASTOCTREE))
    return found if len(found) <= most_bytes else b""


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=6)
    return file.getvalue()


def draw(board: Board, scale: float, exact: bool = True) -> Canvas:
    """The canvas with the picture; ``exact``: every cell of a map has a pixel."""
    rows = [[_laid_out(part, scale, exact) for part in row] for row in board.rows]
    widths = [sum(each.size[0] for each in row) + GAP * (len(row) - 1) for row in rows if row]
    width = max([LEAST_WIDTH, *widths])
    title = wrapped(board.title, width, TITLE_PX, bold=True) if board.title else []
    facts = [line for fact in board.facts for line in wrapped(fact, width, SMALL_PX)]
    notes = [line for note in board.notes for line in wrapped(note, width, SMALL_PX)]
    heights = [max(each.size[1] for each in row) for row in rows if row]
    text_height = TITLE_LINE * len(title) + FACT_LINE * (len(facts) + len(notes))
    height = 2 * MARGIN + text_height + sum(heights) + GAP * len(heights)
    canvas = Canvas(width + 2 * MARGIN, height, scale)
    y = MARGIN
    for line in title:
        canvas.text(MARGIN, y + TITLE_PX, line, size=TITLE_PX, bold=True)
        y += TITLE_LINE
    y = _text_lines(canvas, y, facts)
    for row, tall in zip([row for row in rows if row], heights, strict=True):
        x, y = MARGIN, y + GAP * 2 / 3
        for each in row:
            each.draw(canvas, x, y)
            x += each.size[0] + GAP
        y += tall + GAP / 3
    _text_lines(canvas, y, notes)
    return canvas


def _text_lines(canvas: Canvas, y: float, lines: list[str]) -> float:
    for line in lines:
        canvas.text(MARGIN, y + SMALL_PX, line, size=SMALL_PX, color=MUTED)
        y += FACT_LINE
    return y


def _laid_out(part: Part, scale: float, exact: bool) -> Drawing:
    if isinstance(part, MapPart):
        return MapDrawing(part, scale, exact)
    if isinstance(part, CurvesPart):
        return CurvesDrawing(part, scale)
    if isinstance(part, SheetPart):
        return SheetDrawing(part, scale)
    return StripsDrawing(part, scale) if isinstance(part, StripsPart) else TableDrawing(part, scale)
