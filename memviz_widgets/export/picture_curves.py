"""Curves of shares over a number, with their intervals, on a canvas.

In: a CurvesPart. Out: its size in CSS pixels, and the drawing.
"""

from __future__ import annotations

import math

from .picture_canvas import LINE, MUTED, SMALL_PX, TEXT_PX, Canvas, text_width, wrapped
from .picture_map import GAP, TICK_LINE, TICK_PX
from .picture_parts import CurvePart, CurvesPart

LEFT_PX, PLOT_PX, HIGH_PX = 58.0, 520.0, 240.0
DASH_PX, DOT_PX = 6.0, 2.0
RADIUS_PX = 4.0
KEY_PX = 18.0
"""Between the name of a curve and its sign."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LEVEL = "#808080"

Point = tuple[float, float]

_ARM = 0.36
SHAPES: dict[str, list[Point]] = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "triangle-up": [(0, -1.1), (1.1, 0.9), (-1.1, 0.9)],
    "triangle-down": [(0, 1.1), (1.1, -0.9), (-1.1, -0.9)],
    "diamond": [(0, -1.3), (1, 0), (0, 1.3), (-1, 0)],
    "cross": [
        *((-_ARM, -1.1), (_ARM, -1.1), (_ARM, -_ARM), (1.1, -_ARM), (1.1, _ARM), (_ARM, _ARM)),
        *((_ARM, 1.1), (-_ARM, 1.1), (-_ARM, _ARM), (-1.1, _ARM), (-1.1, -_ARM), (-_ARM, -_ARM)),
    ],
}
"""Of points, by the names of bqplot; others are round."""


class CurvesDrawing:
    """A CurvesPart laid out for one scale."""

    def __init__(self, part: CurvesPart, scale: float) -> None:
        self.part, self.scale = part, scale
        self._keys = _in_lines([each.name for each in part.curves])
        self._legend = wrapped(part.legend, LEFT_PX + PLOT_PX, SMALL_PX) if part.legend else []
        lines = len(self._keys) + len(self._legend)
        axis = TICK_PX + 2 * TICK_LINE + GAP
        self.size = (LEFT_PX + PLOT_PX + RADIUS_PX, RADIUS_PX + HIGH_PX + axis + lines * TICK_LINE)

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw with the upper left corner at a place."""
        left, top = x + LEFT_PX, y + RADIUS_PX
        self._draw_axes(canvas, x, left, top)
        if self.part.level is not None:
            ends = [self._place(left, top, each, self.part.level) for each in self.part.ends]
            _dashes(canvas, ends[0], ends[1], DASH_PX, LEVEL)
        for curve in self.part.curves:
            self._draw_curve(canvas, left, top, curve)
        self._draw_names(canvas, x, top + HIGH_PX + TICK_PX + 2 * TICK_LINE + GAP)

    def _place(self, left: float, top: float, x: float, share: float) -> Point:
        first, last = self.part.ends
        return left + (x - first) / (last - first) * PLOT_PX, top + (1 - share) * HIGH_PX

    def _draw_axes(self, canvas: Canvas, x: float, left: float, top: float) -> None:
        bottom = top + HIGH_PX
        canvas.line([(left, top), (left, bottom), (left + PLOT_PX, bottom)], MUTED)
        for share in SHARES:
            height = top + (1 - share) * HIGH_PX
            canvas.line([(left - TICK_PX, height), (left, height)], LINE)
            canvas.text(left - TICK_PX - 2, height, f"{share:.0%}", size=SMALL_PX, anchor="rm")
        for value, text in self.part.ticks:
            across = self._place(left, top, value, 0)[0]
            canvas.line([(across, bottom), (across, bottom + TICK_PX)], LINE)
            canvas.text(across, bottom + TICK_PX + SMALL_PX, text, size=SMALL_PX, anchor="ms")
        place = left + PLOT_PX / 2, bottom + TICK_PX + TICK_LINE + TEXT_PX
        canvas.text(*place, self.part.label, color=MUTED, anchor="ms")
        canvas.turned_text(
            x + SMALL_PX / 2, top + (HIGH_PX - text_width(self.part.side, SMALL_PX)) / 2, self.part.side, 90
        )

    def _draw_curve(self, canvas: Canvas, left: float, top: float, curve: CurvePart) -> None:
        if curve.half is not None:
            across, height = curve.half
            ends = self._place(left, top, across, height), self._place(left, top, across, 0)
            _dashes(canvas, ends[0], ends[1], DOT_PX, curve.color)
        for value, _, least, most in curve.points:
            canvas.line([self._place(left, top, value, each) for each in (least, most)], curve.color)
        places = [self._place(left, top, value, share) for value, share, _, _ in curve.points]
        if len(places) > 1:
            canvas.line(places, curve.color)
        for place in places:
            canvas.polygon(_sign(place, curve.marker), curve.color)

    def _draw_names(self, canvas: Canvas, x: float, y: float) -> None:
        curves = iter(self.part.curves)
        for names in self._keys:
            place = x
            for name in names:
                curve = next(curves)
                canvas.polygon(_sign((place + RADIUS_PX, y + RADIUS_PX), curve.marker), curve.color)
                canvas.text(place + KEY_PX, y + 2 * RADIUS_PX, name)
                place += _key_width(name)
            y += TICK_LINE
        for line in self._legend:
            canvas.text(x, y + 2 * RADIUS_PX, line, size=SMALL_PX, color=MUTED)
            y += TICK_LINE


def _in_lines(names: list[str]) -> list[list[str]]:
    """Names in lines, as many as fit."""
    lines: list[list[str]] = []
    for name in names:
        if lines and sum(map(_key_width, [*lines[-1], name])) <= LEFT_PX + PLOT_PX:
            lines[-1].append(name)
        else:
            lines.append([name])
    return lines


def _key_width(name: str) -> float:
    return KEY_PX + text_width(name) + 2 * GAP


def _sign(middle: Point, marker: str) -> list[Point]:
    shape = SHAPES.get(marker) or [(math.cos(turn * math.pi / 12), math.sin(turn * math.pi / 12)) for turn in range(24)]
    return [(middle[0] + RADIUS_PX * across, middle[1] + RADIUS_PX * down) for across, down in shape]


def _dashes(canvas: Canvas, first: Point, last: Point, length: float, color: str) -> None:
    """A broken line: dashes and gaps of a length."""
    count = max(1, int(math.dist(first, last) // length))
    for dash in range(0, count, 2):
        ends = [dash / count, (dash + 1) / count]
        points = [
            tuple(start + share * (stop - start) for start, stop in zip(first, last, strict=True)) for share in ends
        ]
        canvas.line([(point[0], point[1]) for point in points], color)
