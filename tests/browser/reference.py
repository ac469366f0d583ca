"""The picture as Python computes it from a tensor, written apart from the product: what the canvas must equal."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np

LOUD = {253: (0, 255, 255), 254: (57, 255, 20), 255: (255, 0, 255)}


def codes_of(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Codes 0..255 of one frame (rows, cols), with the finite range they span."""
    exact = values.astype(np.float64)
    finite = np.isfinite(exact)
    lo, hi = (float(exact[finite].min()), float(exact[finite].max())) if finite.any() else (np.nan, np.nan)
    codes = np.zeros(exact.shape, np.uint8)
    if hi > lo:
        codes[finite] = np.rint((exact[finite] - lo) / (hi - lo) * 252).astype(np.uint8)
    codes[np.isneginf(exact)], codes[np.isposinf(exact)], codes[np.isnan(exact)] = 253, 254, 255
    return codes, lo, hi


def pixels_of(values: np.ndarray, vmin: float, vmax: float, colormap: str) -> np.ndarray:
    """RGBA (rows, cols, 4) of a frame drawn over vmin .. vmax in a colour map of the package."""
    codes, lo, hi = codes_of(values)
    return np.take(table_of(lo, hi, vmin, vmax, colormap), codes, axis=0)


def attention_pixels(weights: np.ndarray) -> np.ndarray:
    """RGBA of weights over 0 .. 1; nothing where a weight is exactly 0."""
    pixels = pixels_of(np.where(weights == 0, -np.inf, weights), 0.0, 1.0, "viridis")
    pixels[weights == 0] = 0
    return pixels


def table_of(lo: float, hi: float, vmin: float, vmax: float, colormap: str) -> np.ndarray:
    """RGBA of every code, (256, 4) uint8."""
    maps = json.loads((files("memviz_widgets.frames") / "colormaps.json").read_text())
    colours = [tuple(int(text[k : k + 2], 16) for k in (1, 3, 5)) for text in maps[colormap]]
    table = np.zeros((256, 4), np.uint8)
    table[:, 3] = 255
    for code in range(253):
        value = lo + code / 252 * (hi - lo) if hi > lo else lo
        position = 0.5 if vmin == vmax else min(max((value - vmin) / (vmax - vmin), 0.0), 1.0)
        table[code, :3] = colours[min(255, int(np.floor(position * 256)))] if np.isfinite(position) else (0, 0, 0)
    for code, colour in LOUD.items():
        table[code, :3] = colour
    return table


def automatic(layer: np.ndarray) -> tuple[float, float, str]:
    """The default range and map of a layer: symmetric and diverging when it has both signs."""
    lo, hi = float(layer.min()), float(layer.max())
    if lo < 0 < hi:
        edge = max(-lo, hi)
        return -edge, edge, "vik"
    return lo, hi, "viridis"
