"""A contact sheet on a canvas.

In: a SheetPart. Out: its size in CSS pixels, and the drawing.
"""

from __future__ import annotations

from .picture_canvas import BACK, MUTED, TEXT, TEXT_PX, Canvas
from .picture_map import TITLE_ROW
from .picture_parts import SheetPart
from .picture_pixels import strip_pixels

SHEET_PX, GAP, RING = 300.0, 3.0, 3.0
SIDES = ((16, 64), (36, 56), (64, 48), (128, 36))
"""Up to so many tiles: their width in CSS pixels."""
LEAST_SIDE = 28
LEAST_TALL, MOST_TALL = 0.25, 2.0


class SheetDrawing:
    """A SheetPart laid out for one scale."""

    def __init__(self, part: SheetPart, scale: float) -> None:
        self.part, self.scale = part, scale
        count = len(part.tiles)
        self.side = float(next((side for most, side in SIDES if count <= most), LEAST_SIDE))
        self.tall = max(1.0, round(self.side * min(MOST_TALL, max(LEAST_TALL, part.tall))))
        self.columns = max(1, min(count, int((SHEET_PX + GAP) // (self.side + GAP))))
        lines = -(-count // self.columns)
        self.size = (
            2 * RING + self.columns * (self.side + GAP) - GAP,
            TITLE_ROW + 2 * RING + lines * (self.tall + GAP) - GAP,
        )

    def draw(self, canvas: Canvas, x: float, y: float) -> None:
        """Draw with the upper left corner at a place."""
        canvas.text(x + RING, y + TEXT_PX, self.part.title, color=MUTED)
        sides = max(1, canvas.px(self.side)), max(1, canvas.px(self.tall))
        for place, frame in enumerate(self.part.tiles):
            line, column = divmod(place, self.columns)
            left = x + RING + column * (self.side + GAP)
            top = y + TITLE_ROW + RING + line * (self.tall + GAP)
            if place == self.part.selected:
                canvas.box(left - RING, top - RING, left + self.side + RING, top + self.tall + RING, TEXT)
                canvas.box(left - 1, top - 1, left + self.side + 1, top + self.tall + 1, BACK)
            canvas.pixels(left, top, strip_pixels(frame, self.part.scale, *sides))
