"""A picture that is larger than a screen, made smaller without hiding what is loud in it.

In: frames of any size. Out: one value per window: the one of largest magnitude, or their mean.
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from ..analysis.numbers import PIECE_CELLS, real_numbers

PooledBy = Literal["largest", "mean"]
POOLINGS: tuple[PooledBy, ...] = get_args(PooledBy)
"""What a cell shows of the elements that it stands for."""

MAX_CELLS = 1024
"""Most cells that a side of a frame may have."""

TILE_CELLS = 32
"""Most cells that a side of a tile of the contact sheet may have."""


class _Pooled(Protocol):
    """What has cells that are pooled: a Picture."""

    @property
    def pooled_by(self) -> PooledBy: ...


def window(full: int, most: int = MAX_CELLS) -> int:
    """Elements that one cell stands for when ``full`` of them must fit ``most`` cells; 1 = not pooled."""
    return max(1, -(-full // most))


def whole_windows(elements: int, size: int) -> int:
    """The largest multiple of ``size`` within ``elements``, one window at least."""
    return max(1, elements // size) * size


def pool(values: Tensor, pool_rows: int, pool_cols: int, by: PooledBy = "largest") -> Tensor:
    """The value of largest magnitude in each window, with its sign; or the mean of each window.

    NaN wins over everything, then Inf, so that a single bad value stays visible; of ``+a`` and ``-a`` it is ``+a``.
    A mean is NaN where any of its values is, and where Inf meets -Inf.
    Complex values count as ``|z|``. The last window of a side may be smaller than the others.

    Args:
        values: ``(n, full_rows, full_cols)`` of any dtype, ``full_rows`` and ``full_cols`` 1 or more.
        pool_rows: rows of a window, 1 or more.
        pool_cols: columns of a window, 1 or more.
        by: "largest" or "mean".

    Returns:
        ``(n, ceil(full_rows / pool_rows), ceil(full_cols / pool_cols))``; float32 where that is exact, else float64;
        a mean is of that precision. Temporaries are a few strips of ``PIECE_CELLS`` or of one window, never the whole
        of ``values``.
    """
    n, full_rows, full_cols = values.shape
    rows, cols = -(-full_rows // pool_rows), -(-full_cols // pool_cols)
    if pool_rows == pool_cols == 1:
        return _exact(values)
    pooled = [
        _pool_strips(values[start : start + _frames_at_once(full_rows, full_cols)], pool_rows, pool_cols, by)
        for start in range(0, n, _frames_at_once(full_rows, full_cols))
    ]
    return torch.cat(pooled) if pooled else _exact(values[:, :rows, :cols])


def loudest(cells: Tensor) -> int:
    """Flat, row-major position in ``cells`` of the value that `pool` shows for them: first of equals.

    Args:
        cells: one window, any shape of at least one element.
    """
    numbers = _exact(cells).reshape(-1)
    chosen = _louder(numbers.amin(0), numbers.amax(0))
    same = numbers.isnan() if bool(chosen.isnan()) else numbers == chosen
    return int(same.to(torch.uint8).argmax())


def is_mean(picture: _Pooled, cells: Tensor) -> bool:
    """Whether a cell that stands for these elements shows their mean, which is none of them."""
    return picture.pooled_by == "mean" and cells.numel() > 1


def mean_of(cells: Tensor) -> Tensor:
    """What `pool` by "mean" shows for them, a tensor of one element.

    Args:
        cells: one window, ``(rows, cols)`` of at least one element.
    """
    rows, cols = cells.shape
    return pool(cells.unsqueeze(0), rows, cols, "mean")[0, 0, 0]


def _exact(values: Tensor) -> Tensor:
    """``values`` as float32 when every value of their dtype fits, else as float64."""
    bytes_exact = 4 if values.is_floating_point() else 2
    if values.dtype.itemsize <= bytes_exact and not values.is_complex():
        return values.to(torch.float32)
    return real_numbers(values)


def _frames_at_once(full_rows: int, full_cols: int) -> int:
    return max(1, PIECE_CELLS // (full_rows * full_cols))


def _pool_strips(values: Tensor, pool_rows: int, pool_cols: int, by: PooledBy) -> Tensor:
    """`pool` of few frames, a strip of whole windows at a time."""
    k, full_rows, full_cols = values.shape
    strip_cols = min(full_cols, whole_windows(PIECE_CELLS // (k * pool_rows), pool_cols))
    strip_rows = whole_windows(PIECE_CELLS // (k * strip_cols), pool_rows)
    pooled = _pool_strip if by == "largest" else _mean_strip
    bands = []
    for top in range(0, full_rows, strip_rows):
        band = values[:, top : top + strip_rows]
        strips = [
            pooled(_exact(band[..., left : left + strip_cols]), pool_rows, pool_cols)
            for left in range(0, full_cols, strip_cols)
        ]
        bands.append(torch.cat(strips, dim=2))
    return torch.cat(bands, dim=1)


def _pool_strip(strip: Tensor, pool_rows: int, pool_cols: int) -> Tensor:
    """`pool` of float frames ``(k, strip_rows, full_cols)``. Rows first: that runs along memory, and leaves little."""
    low = high = strip
    for dim, size in ((1, pool_rows), (2, pool_cols)):
        low, high = _windows(low, dim, size).amin(dim + 1), _windows(high, dim, size).amax(dim + 1)
    return _louder(low, high)


def _mean_strip(strip: Tensor, pool_rows: int, pool_cols: int) -> Tensor:
    """The mean of each window: of rows, then of columns, as all columns of a window have as many rows."""
    for dim, size in ((1, pool_rows), (2, pool_cols)):
        whole = strip.shape[dim] // size * size
        parts = [strip.narrow(dim, 0, whole).unflatten(dim, (-1, size)).mean(dim + 1)] if whole else []
        if whole < strip.shape[dim]:
            parts.append(strip.narrow(dim, whole, strip.shape[dim] - whole).mean(dim, keepdim=True))
        strip = torch.cat(parts, dim)
    return strip


def _windows(values: Tensor, dim: int, size: int) -> Tensor:
    """``values`` with ``dim`` split in two, (windows, size); a short last window repeats its last element."""
    missing = -values.shape[dim] % size
    if missing:
        last = values.narrow(dim, values.shape[dim] - 1, 1)
        values = torch.cat([values, last.expand(*(missing if d == dim else -1 for d in range(3)))], dim)
    split: Tensor = values.unflatten(dim, (-1, size))
    return split


def _louder(low: Tensor, high: Tensor) -> Tensor:
    """The one of larger magnitude, given smallest and largest; NaN when either is (amin and amax let NaN through)."""
    return torch.where(-low > high, low, high)
