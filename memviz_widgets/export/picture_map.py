"""A heatmap on a canvas: title, plot with axes, colour bar, the loud colours with their counts.

In: a MapPart. Out: its size in CSS pixels, and the drawing.
"""

from __future__ import annotations

from functools import cached_property

from ..frames.number_text import approximately, bar_ticks, integer_ticks, power_ticks
from ..frames.shown_colors import LOUD
from .picture_canvas import LINE, MUTED, SMALL_PX, TEXT_PX, Canvas, text_width, wrapped
from .picture_parts import AxisPart, MapPart
from .picture_pixels import bar_pixels, map_pixels

TITLE_ROW, NAME_ROW, TICK_PX, TICK_LINE, BAR_PX, LEGEND_ROW = 20.0, 18.0, 4.0, 15.0, 12.0, 18.0
MARK_PX = 7.0
"""Of the triangle that points at the selected row or column."""
GAP = 5.0
LEAST_BAR = 220.0
TURN = 0.7071
_LOUD_NAMES = (("nan", "NaN"), ("posinf", "+Inf"), ("neginf", "\N{MINUS SIGN}Inf"))


class MapDrawing:
    """A MapPart laid out for one scale."""

    def __init__(self, part: MapPart, scale: float, exact: bool = True) -> None:
        self.part, self.scale = part, scale
        self.cells = None if part.frame is None else map_pixels(part, scale, exact)
        height, width = (part.height / 2, part.width) if self.cells is None else self.cells.shape[:2]
        divisor = 1.0 if self.cells is None else scale
        self.plot: tuple[float, float] = (width / divisor, height / divisor)

    @cached_property
    def left(self) -> float:
        """Room left of the plot: name of the axis, ticks, mark."""
        widest = max((text_width(text, SMALL_PX) for _, text in self._ticks(self.part.rows, self.plot[1])), default=0.0)
        name = NAME_ROW if self.part.rows.label else 0.0
        return name + widest + TICK_PX + MARK_PX + GAP

    @cached_property
    def foot(self) -> float:
        """Room below the plot, the bar not counted."""
        name = NAME_ROW if self.part.cols.label else 0.0
        return MARK_PX + TICK_PX + self._foot_ticks + name + GAP

    @cached_property
    def _foot_ticks(self) -> float:
        if not self._turned:
            return TICK_LINE
        widest = max(text_width(text, SMALL_PX) for _, text in self._ticks(self.part.cols, self.plot[0]))
        return float(widest * TURN + SMALL_PX)

    @cached_property
    def _turned(self) -> bool:
        ticks = self._ticks(self.part.cols, self.plot[0])
        room = self.plot[0] / max(1, self.part.cols.size) * (ticks[1][0] - ticks[0][0] if len(ticks) > 1 else 1e9)
        return bool(self.part.cols.texts) and any(text_width(text, SMALL_PX) + GAP > room for _, text in ticks)

    @cached_property
    def _bar(self) -> float:
        return max(LEAST_BAR, self.plot[0])

    @cached_property
    def size(self) -> tuple[float, float]:
        """Width and height in CSS pixels."""
        title = TITLE_ROW * len(self._title)
        if self.cells is None:
            return self.part.width, title + TEXT_PX * 1.5 * len(self._absence)
        bar = BAR_PX + TICK_LINE + LEGEND_ROW * bool(self._legend())
        return self.left + self._bar + GAP, title + self.plot[1] + self.foot + bar + GAP

    @cached_property
    def _title(self) -> list[str]:
        width = self.part.width if self.cells is None else self._bar
        return wrapped(self.part.title, width, bold=True) if self.part.title else []

    @property
    def _absence(self) -> list[str]:
        return wrapped(self.part.absence, self.part.width)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw with the upper left corner at a place."""
        for line in self._title:
            canvas.text(x + (0 if self.cells is None else self.left), y + TEXT_PX, line, bold=True)
            y += TITLE_ROW
        if self.cells is None:
            for number, line in enumerate(self._absence):
                canvas.text(x, y + TEXT_PX * (1 + 1.5 * number), line, color=MUTED)
            return
        # on whole device pixels, so that frame and cells meet
        left, top = round((x + self.left) * self.scale) / self.scale, round(y * self.scale) / self.scale
        width, height = self.plot
        # a frame around the cells, never on them
        canvas.box(left - 1, top - 1, left + width + 1, top + height + 1, LINE)
        canvas.pixels(left, top, self.cells)
        self._draw_rows(canvas, x, left, top)
        self._draw_cols(canvas, left, top)
        self._draw_bar(canvas, left, top + height + self.foot)

    def _draw_rows(self, canvas: Canvas, x: float, left: float, top: float) -> None:
        axis, height = self.part.rows, self.plot[1]
        for index, text in self._ticks(axis, height):
            middle = top + (index + 0.5) * height / axis.size
            canvas.line([(left - MARK_PX - TICK_PX, middle), (left - MARK_PX, middle)])
            canvas.text(left - MARK_PX - TICK_PX - 2, middle, text, size=SMALL_PX, anchor="rm")
        if axis.label:
            canvas.turned_text(x + NAME_ROW / 2, top + height / 2, axis.label, 90, size=TEXT_PX)
        if 0 <= axis.selected < axis.size > 1:
            middle = top + (axis.selected + 0.5) * height / axis.size
            back = left - MARK_PX
            canvas.polygon([(left - 1, middle), (back, middle - MARK_PX / 2), (back, middle + MARK_PX / 2)])

    def _draw_cols(self, canvas: Canvas, left: float, top: float) -> None:
        axis, (width, height) = self.part.cols, self.plot
        bottom = top + height + MARK_PX
        for index, text in self._ticks(axis, width):
            middle = left + (index + 0.5) * width / axis.size
            canvas.line([(middle, bottom), (middle, bottom + TICK_PX)])
            if self._turned:
                canvas.turned_text(middle + GAP, bottom + TICK_PX + 1, text, 45)
            else:
                canvas.text(middle, bottom + TICK_PX + SMALL_PX, text, size=SMALL_PX, anchor="ms")
        if axis.label:
            below = bottom + TICK_PX + self._foot_ticks + TEXT_PX
            canvas.text(left + width / 2, below, axis.label, color=MUTED, anchor="ms")
        if 0 <= axis.selected < axis.size > 1:
            middle, tip = left + (axis.selected + 0.5) * width / axis.size, top + height + 1
            canvas.polygon(
                [(middle, tip), (middle - MARK_PX / 2, tip + MARK_PX), (middle + MARK_PX / 2, tip + MARK_PX)]
            )

    def _draw_bar(self, canvas: Canvas, left: float, top: float) -> None:
        scale, width = self.part.scale, self._bar
        canvas.pixels(left, top, bar_pixels(scale, canvas.px(width), canvas.px(BAR_PX)))
        ticks = (power_ticks if scale.logarithmic else bar_ticks)(scale.low, scale.high, width)
        for position, text in ticks:
            anchor = {0.0: "ls", 1.0: "rs"}.get(position, "ms")
            place = left + position * width
            canvas.line([(place, top + BAR_PX), (place, top + BAR_PX + 2)], MUTED)
            canvas.text(place, top + BAR_PX + 2 + SMALL_PX, text, size=SMALL_PX, anchor=anchor)
        place, base = left, top + BAR_PX + TICK_LINE + TEXT_PX + 2
        for color, text in self._legend():
            canvas.box(place, base - 9, place + 10, base + 1, LINE)
            canvas.box(place + 0.5, base - 8.5, place + 9.5, base + 0.5, color)
            canvas.text(place + 14, base, text, size=SMALL_PX)
            place += 14 + text_width(text, SMALL_PX) + 14

    def _legend(self) -> list[tuple[str, str]]:
        """Colours with what they stand for."""
        found = [("#ffffff", f"exactly 0: {self.part.empty}")] if self.part.empty and self._has_empty else []
        counts = self.part.counts
        return found + [(LOUD[key], f"{counts[key]:,} {name}") for key, name in _LOUD_NAMES if counts.get(key, 0) > 0]

    @cached_property
    def _has_empty(self) -> bool:
        return self.part.frame is not None and bool((self.part.frame.codes == 253).any())

    def _ticks(self, axis: AxisPart, length: float) -> list[tuple[int, str]]:
        """Positions with their texts: as many as there is room for lines."""
        if axis.texts:
            most = max(1, int(length // TICK_LINE))
            return [(index, axis.texts[index]) for index in integer_ticks(0, axis.size - 1, most)]
        return [(index, str(index)) for index in integer_ticks(0, axis.size - 1)]


def range_words(low: float, high: float) -> str:
    """ "0 to 1"."""
    return f"{approximately(low, 3)} to {approximately(high, 3)}"
