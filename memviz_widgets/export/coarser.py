"""Pictures at a lower resolution, for a page that must stay small.

In: a page of codes, and a factor. Out: the same page with fewer cells, each the loudest of those it stands for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..frames.entries import PictureEntry
from ..frames.page import Page
from ..frames.quantise import NAN_CODE, NEG_INF_CODE, POS_INF_CODE, TOP_CODE

LEAST_CELLS = 16
"""A side with so few cells is not made smaller."""


def factors(picture: PictureEntry, factor: int) -> tuple[int, int]:
    """By how much rows and columns shrink: ``factor``, or a half, a quarter of it, so that LEAST_CELLS stay."""
    return _factor(picture["rows"], factor), _factor(picture["cols"], factor)


def _factor(side: int, factor: int) -> int:
    while factor > 1 and side < factor * LEAST_CELLS:
        factor //= 2
    return factor


def coarser_entry(picture: PictureEntry, factor: int) -> PictureEntry:
    """The geometry of a picture whose cells stand for more elements; see `factors`."""
    by_rows, by_cols = factors(picture, factor)
    shape = {
        "rows": -(-picture["rows"] // by_rows),
        "cols": -(-picture["cols"] // by_cols),
        "pool_rows": picture["pool_rows"] * by_rows,
        "pool_cols": picture["pool_cols"] * by_cols,
    }
    return {**picture, **shape}  # type: ignore[typeddict-item]


def coarser(page: Page, by: tuple[int, int], *, zero_coded: bool) -> Page:
    """A page of frames with ``by`` rows and columns of cells in one: the code of largest magnitude.

    Codes and ranges stay those of the page, so values are as near to the true ones as they were. NaN wins over all,
    then Inf; where 253 means 0 it loses to everything.
    """
    codes = page.cells
    n, rows, cols = codes.shape
    by_rows, by_cols = by
    padded = np.pad(codes, ((0, 0), (0, -rows % by_rows), (0, -cols % by_cols)), mode="edge")
    windows = _windows(padded, by)
    loudness = np.take_along_axis(_loudness(page, zero_coded), padded.reshape(n, -1).astype(np.intp), axis=1)
    chosen = _windows(loudness.reshape(padded.shape), by).argmax(axis=-1)
    cells = np.take_along_axis(windows, chosen[..., None], axis=-1)[..., 0]
    page = replace(page, cells=np.ascontiguousarray(cells))
    if page.absent is None:
        return page
    absent = np.pad(page.absent, ((0, 0), (0, -rows % by_rows), (0, -cols % by_cols)))
    return replace(page, absent=_windows(absent, by).max(axis=-1))


def _windows(cells: npt.NDArray[Any], by: tuple[int, int]) -> npt.NDArray[Any]:
    """(n, rows, cols) as (n, rows of windows, columns of windows, cells of a window)."""
    n, rows, cols = cells.shape
    split = cells.reshape(n, rows // by[0], by[0], cols // by[1], by[1])
    windows: npt.NDArray[Any] = split.transpose(0, 1, 3, 2, 4).reshape(n, rows // by[0], cols // by[1], by[0] * by[1])
    return windows


def _loudness(page: Page, zero_coded: bool) -> npt.NDArray[np.float64]:
    """Magnitude of every code of every frame, (n, 256)."""
    lo, hi = (np.nan_to_num(edge, nan=0.0)[:, None] / 2 for edge in (page.lows, page.highs))  # halves cannot overflow
    found: npt.NDArray[np.float64] = np.abs(lo + np.arange(256) / TOP_CODE * (hi - lo))
    found[:, NEG_INF_CODE] = -1.0 if zero_coded else np.finfo(np.float64).max
    found[:, POS_INF_CODE] = np.finfo(np.float64).max
    found[:, NAN_CODE] = np.inf
    return found
