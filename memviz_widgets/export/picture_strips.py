"""The strips of a memory, and tables, on a canvas.

In: a StripsPart or TablePart. Out: its size in CSS pixels, and the drawing.
"""

from __future__ import annotations

from functools import cached_property

from ..frames.number_text import integer_ticks
from .picture_canvas import LINE, MUTED, RAISED, SMALL_PX, TEXT_PX, Canvas, text_width, wrapped
from .picture_map import GAP, TICK_LINE, TICK_PX
from .picture_parts import StripPart, StripsPart, TablePart
from .picture_pixels import strip_pixels

LABEL_PX, PLOT_PX = 170.0, 470.0
LEAST_ROW, UNIT_PX, LEAST_STRIP, MOST_STRIP = 34.0, 4.0, 14.0, 96.0
CELL_PAD = 8.0
LINE_PX = 16.0
HEAD_PX = 24.0


class StripsDrawing:
    """A StripsPart laid out for one scale."""

    def __init__(self, part: StripsPart, scale: float) -> None:
        self.part, self.scale = part, scale
        self.heights = [_strip_height(strip) for strip in part.strips]
        self.size = (LABEL_PX + PLOT_PX, sum(map(_row_height, self.heights)) + TICK_PX + TICK_LINE * 2 + GAP)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw with the upper left corner at a place."""
        left, first = x + LABEL_PX, y
        for strip, height in zip(self.part.strips, self.heights, strict=True):
            name = wrapped(strip.name, LABEL_PX - GAP)[0]
            canvas.text(x, y + TEXT_PX, name)
            canvas.text(x, y + TEXT_PX + LINE_PX, strip.facts, size=SMALL_PX, color=MUTED)
            if strip.frame is None:
                canvas.text(left, y + TEXT_PX, wrapped(strip.note, PLOT_PX)[0], size=SMALL_PX, color=MUTED)
            else:
                width = PLOT_PX * strip.steps / self.part.time.size
                sides = max(1, canvas.px(width)), max(1, canvas.px(height))
                canvas.pixels(left, y, strip_pixels(strip.frame, strip.scale, *sides))
            y += _row_height(height)
        self._draw_axis(canvas, left, first, y)

    def _draw_axis(self, canvas: Canvas, left: float, first: float, y: float) -> None:
        axis = self.part.time
        for index, text in self._ticks:
            middle = left + (index + 0.5) * PLOT_PX / axis.size
            canvas.line([(middle, y), (middle, y + TICK_PX)])
            canvas.text(middle, y + TICK_PX + SMALL_PX, text, size=SMALL_PX, anchor="ms")
        canvas.text(left + PLOT_PX / 2, y + TICK_PX + TICK_LINE + TEXT_PX, axis.label, color=MUTED, anchor="ms")
        if 0 <= axis.selected < axis.size:
            middle = left + (axis.selected + 0.5) * PLOT_PX / axis.size
            canvas.polygon([(middle, y), (middle - 3.5, y + 7), (middle + 3.5, y + 7)])
            canvas.polygon([(middle, first), (middle - 3.5, first - 7), (middle + 3.5, first - 7)])

    @cached_property
    def _ticks(self) -> list[tuple[int, str]]:
        """As many as do not touch each other."""
        axis = self.part.time
        texts = axis.texts or tuple(map(str, range(axis.size)))
        for most in range(min(axis.size, 24), 0, -1):
            ticks = integer_ticks(0, axis.size - 1, most)
            step = (ticks[1] - ticks[0]) * PLOT_PX / axis.size if len(ticks) > 1 else PLOT_PX
            if all(text_width(texts[index], SMALL_PX) + GAP <= step for index in ticks):
                return [(index, texts[index]) for index in ticks]
        return [(0, texts[0])]


class TableDrawing:
    """A TablePart laid out; its texts are broken to the widths of the columns."""

    def __init__(self, part: TablePart, scale: float) -> None:
        self.part, self.scale = part, scale
        self.rows = [[_lines(cell, width) for cell, width in zip(row, part.widths, strict=True)] for row in part.rows]
        self.heights = [max(len(lines) for lines in row) * LINE_PX + 2 * CELL_PAD for row in self.rows]
        self.size = (float(sum(part.widths)), HEAD_PX + sum(self.heights))

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw with the upper left corner at a place."""
        canvas.box(x, y, x + self.size[0], y + HEAD_PX, RAISED)
        places = [x + sum(self.part.widths[:column]) + CELL_PAD for column in range(len(self.part.widths))]
        for place, name in zip(places, self.part.columns, strict=True):
            canvas.text(place, y + HEAD_PX - CELL_PAD, name, color=MUTED)
        y += HEAD_PX
        for row, height in zip(self.rows, self.heights, strict=True):
            for place, lines in zip(places, row, strict=True):
                for number, (line, strong) in enumerate(lines):
                    base = y + CELL_PAD + number * LINE_PX + TEXT_PX
                    canvas.text(place, base, line, bold=strong, color="#212121" if strong else MUTED)
            y += height
            canvas.line([(x, y), (x + self.size[0], y)], LINE)


def _lines(cell: tuple[str, ...], width: float) -> list[tuple[str, bool]]:
    """Lines of a cell, and whether they are of its first text."""
    room = width - 2 * CELL_PAD
    return [
        (line, number == 0)
        for number, text in enumerate(cell)
        for line in wrapped(text, room, bold=number == 0)
        if line
    ]


def _strip_height(strip: StripPart) -> float:
    return 0.0 if strip.frame is None else max(LEAST_STRIP, min(MOST_STRIP, strip.units * UNIT_PX))


def _row_height(strip: float) -> float:
    return max(LEAST_ROW, strip) + GAP
