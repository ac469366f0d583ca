"""A heatmap in a PNG against a reference that is computed apart.

In: the bytes of a PNG, a matrix of values, the range and the colour map. Out: where the map lies, or an assertion.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from .browser.reference import pixels_of as rgba_of

Matrix = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def pixels_of(png: bytes) -> Pixels:
    """Red, green, blue of every pixel, (rows, cols, 3)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def reference(values: Matrix, span: tuple[float, float] | None, name: str) -> Pixels:
    """The colours of all cells, (rows, cols, 3); ``span`` None: the range of the values themselves."""
    finite = values[np.isfinite(values)]
    low, high = span or (float(finite.min()), float(finite.max()))
    return rgba_of(values, low, high, name)[..., :3]


def places_of(png: bytes, cells: Pixels, down: int, across: int) -> list[tuple[int, int]]:
    """Row and column of every place of the picture where all cells stand, each ``down`` x ``across`` pixels."""
    image, block = pixels_of(png), cells.repeat(down, axis=0).repeat(across, axis=1)
    height, width = block.shape[:2]
    rows, cols = image.shape[0] - height + 1, image.shape[1] - width + 1
    # the four corners first: few places have all of them
    fits = np.full((max(rows, 0), max(cols, 0)), True)
    for y in (0, height - 1):
        for x in (0, width - 1):
            fits &= (image[y : y + rows, x : x + cols] == block[y, x]).all(axis=2)
    return [
        (int(top), int(left))
        for top, left in np.argwhere(fits)
        if bool((image[top : top + height, left : left + width] == block).all())
    ]
