"""Codes to pixels: heatmaps cell by cell, strips with the largest |x| where several values share a pixel.

In: coded frames, colour scales, sizes in device pixels. Out: arrays (rows, cols, 3) of red, green, blue.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..frames.quantise import NEG_INF_CODE, TOP_CODE
from ..frames.shown_colors import ColorScale, lookup_table, palette
from .picture_parts import CodedFrame, MapPart

Pixels = npt.NDArray[np.uint8]

LEAST_RATIO, MOST_RATIO = 0.5, 2.5
"""Of width to height of a plot: between them cells are square."""


def map_pixels(part: MapPart, scale: float, exact: bool = True) -> Pixels:
    """The cells of a heatmap, nearest neighbour, each a block of whole device pixels.

    ``exact``: every cell has a pixel, even if the plot grows beyond its size; else the largest |x| of several stands.
    """
    frame = part.frame
    assert frame is not None
    table = lookup_table(part.scale, frame.lo, frame.hi)
    if part.empty:
        table[NEG_INF_CODE] = 255
    wanted = min(MOST_RATIO, max(LEAST_RATIO, part.cols.size / max(1, part.rows.size)))
    width = min(part.width, wanted * part.height)
    codes = frame.codes
    for axis, side in enumerate((width / wanted, width)):
        room, count = round(side * scale), codes.shape[axis]
        whole = max(1, round(room / count)) * count
        codes = _resized(codes, frame, whole if exact or count <= room else room, axis)
    pixels: Pixels = table[codes]  # (rows, cols, 3)
    return pixels


def strip_pixels(frame: CodedFrame, scale: ColorScale, width: int, height: int) -> Pixels:
    """A strip or tile of ``width`` x ``height`` device pixels."""
    codes = _resized(_resized(frame.codes, frame, height, 0), frame, width, 1)
    pixels: Pixels = lookup_table(scale, frame.lo, frame.hi)[codes]
    return pixels


def bar_pixels(scale: ColorScale, width: int, height: int) -> Pixels:
    """The colours of a scale from left to right."""
    colors = palette(scale.colormap)
    entries = np.arange(width) * len(colors) // max(1, width)
    pixels: Pixels = np.broadcast_to(colors[entries], (height, width, 3)).copy()
    return pixels


def _resized(codes: npt.NDArray[np.uint8], frame: CodedFrame, pixels: int, axis: int) -> npt.NDArray[np.uint8]:
    """Codes along one axis on so many pixels: repeated, or the one of largest |x| of those on a pixel."""
    count = codes.shape[axis]
    if pixels >= count:
        nearest = ((np.arange(pixels) + 0.5) * count / pixels).astype(int)
        taken: npt.NDArray[np.uint8] = codes.take(nearest, axis=axis)
        return taken
    starts = np.arange(pixels) * count // pixels
    ranked = _ranks(frame)[codes] * 256 + codes
    largest: npt.NDArray[np.uint8] = (np.maximum.reduceat(ranked, starts, axis=axis) % 256).astype(np.uint8)
    return largest


def _ranks(frame: CodedFrame) -> npt.NDArray[np.int64]:
    """Place of each code by |x|; what is no finite number comes last."""
    codes = np.arange(256)
    with np.errstate(invalid="ignore"):
        sizes = np.abs(frame.lo + codes / TOP_CODE * (frame.hi - frame.lo))
    sizes[NEG_INF_CODE:] = np.inf
    ranks = np.empty(256, np.int64)
    ranks[np.argsort(np.nan_to_num(sizes, nan=0.0, posinf=np.inf), kind="stable")] = codes
    return ranks
