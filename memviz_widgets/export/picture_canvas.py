"""Canvas: texts, lines and blocks of pixels at places in CSS pixels, drawn at any scale.

In: places and sizes in CSS pixels. Out: an image of Pillow, ``scale`` device pixels to a CSS pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .picture_fonts import font_for

TEXT, MUTED, LINE, BACK, MARK, RAISED = "#212121", "#5f5f5f", "#bdbdbd", "#ffffff", "#1565c0", "#f5f5f5"
TEXT_PX, SMALL_PX, TITLE_PX = 12.0, 11.0, 15.0
LINE_HEIGHT = 1.4
"""Of a line of text, in font sizes."""


class Canvas:
    """A white image. Its methods take CSS pixels; ``scale``: device pixels per CSS pixel."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        self.scale = scale
        self.image = Image.new("RGB", (self.px(width), self.px(height)), BACK)
        self._draw = ImageDraw.Draw(self.image)

    def px(self, length: float) -> int:
        """Device pixels of a length or a place."""
        return round(length * self.scale)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = TEXT_PX,
        color: str = TEXT,
        anchor: str = "ls",
        bold: bool = False,
    ) -> None:
        """One line of text; ``anchor`` as in Pillow: l, m, r and s (baseline), m (middle), a (top)."""
        font = font_for(text, size * self.scale, bold)
        self._draw.text((x * self.scale, y * self.scale), text, fill=color, font=font, anchor=anchor)

    def turned_text(self, x: float, y: float, text: str, degrees: int, *, size: float = SMALL_PX) -> None:
        """A line of text turned about its end (of 45 degrees: its right end at x, y) or its middle (of 90)."""
        font = font_for(text, size * self.scale)
        left, top, right, bottom = font.getbbox(text)
        mask = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))), 0)
        ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
        mask = mask.rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC)
        across = mask.width / 2 if degrees == 90 else mask.width
        down = mask.height / 2 if degrees == 90 else 0
        color = Image.new("RGB", mask.size, MUTED if degrees == 90 else TEXT)
        self.image.paste(color, (round(x * self.scale - across), round(y * self.scale - down)), mask)

    def line(self, points: list[tuple[float, float]], color: str = LINE) -> None:
        """A thin line."""
        places = [(self.px(x), self.px(y)) for x, y in points]
        self._draw.line(places, fill=color, width=max(1, round(self.scale)))

    def box(self, left: float, top: float, right: float, bottom: float, fill: str) -> None:
        """A filled rectangle."""
        self._draw.rectangle((self.px(left), self.px(top), self.px(right) - 1, self.px(bottom) - 1), fill=fill)

    def polygon(self, points: list[tuple[float, float]], color: str = MARK) -> None:
        """A filled shape with straight sides."""
        self._draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=color)

    def pixels(self, left: float, top: float, colors: npt.NDArray[np.uint8]) -> None:
        """A block of device pixels (rows, cols, 3), its corner at a place in CSS pixels."""
        self.image.paste(Image.fromarray(np.ascontiguousarray(colors)), (self.px(left), self.px(top)))


@lru_cache(maxsize=8192)
def text_width(text: str, size: float = TEXT_PX, bold: bool = False) -> float:
    """CSS pixels of a line of text."""
    return float(font_for(text, size, bold).getlength(text))


def wrapped(text: str, width: float, size: float = TEXT_PX, bold: bool = False) -> list[str]:
    """Lines of at most ``width`` CSS pixels, broken at blanks and, where a word is too long, inside it."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if text_width(longer, size, bold) <= width:
                line = longer
                continue
            lines += [line] if line else []
            line = word
            while text_width(line, size, bold) > width and len(line) > 1:
                cut = _fitting(line, width, size, bold)
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    return lines


def _fitting(word: str, width: float, size: float, bold: bool) -> int:
    """How many characters of a word fit, one at least."""
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(word[:middle], size, bold) <= width else (low, middle - 1)
    return low
