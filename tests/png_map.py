"""A heatmap in a PNG against a reference that is computed apart: value by value, in plain Python.

In: the bytes of a PNG, a matrix of values, the range and the colour map. Out: where the map lies, or an assertion.
"""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from memviz_widgets.frames.colormaps import colormap

Matrix = npt.NDArray[np.float64]


def pixels_of(png: bytes) -> npt.NDArray[np.uint8]:
    """Red, green, blue of every pixel, (rows, cols, 3)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def color_of(value: float, ends: tuple[float, float], span: tuple[float, float], name: str) -> tuple[int, ...]:
    """The colour of a value in a frame with these ends, over the range ``span``."""
    if math.isnan(value):
        return (255, 0, 255)
    if math.isinf(value):
        return (57, 255, 20) if value > 0 else (0, 255, 255)
    code = round((value - ends[0]) / ((ends[1] - ends[0]) or 1) * 252)
    shown = ends[0] + code / 252 * (ends[1] - ends[0])
    entry = min(255, max(0, math.floor((shown - span[0]) / (span[1] - span[0]) * 256)))
    return tuple(bytes.fromhex(colormap(name)[entry][1:]))


def reference(values: Matrix, span: tuple[float, float] | None, name: str) -> npt.NDArray[np.uint8]:
    """The colours of all cells, (rows, cols, 3); ``span`` None: the range of the values themselves."""
    finite = values[np.isfinite(values)]
    ends = (float(finite.min()), float(finite.max()))
    cells = [[color_of(float(value), ends, span or ends, name) for value in row] for row in values]
    return np.array(cells, np.uint8)


def places_of(png: bytes, cells: npt.NDArray[np.uint8], down: int, across: int) -> list[tuple[int, int]]:
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
