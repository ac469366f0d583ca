"""Reading pieces of a value: whole frames made small, windows of one frame, blocks spread over all of it.

In: a tensor that is held, or a LazyValue (attention weights, a tensor on disk). Out: tensors of at most about
``GATHER_CELLS`` elements at a time. A lazy value is never asked for all of itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from ..capture.lazy import LazyValue
from .plan import Picture
from .pool import pool, whole_windows

Box = tuple[slice, ...]
"""A block of positions, a slice per axis."""

GATHER_CELLS = 2**20
"""Elements read at once, in the value's own dtype; of a larger frame a few rows at a time."""

READ_CELLS = 2**22
"""Most elements of a lazy value that a measure looks at: as weights of attention some 0.1 s; the kernel waits."""

READ_BLOCKS = 32
"""Blocks in which they are read: enough to meet every part of the value, few enough for a disk."""


def pooled_frames(values: Tensor | LazyValue, picture: Picture, start: int, stop: int) -> Tensor:
    """Frames ``start .. stop - 1`` as cells, ``(n, rows, cols)``; may be a view of ``values``, never write into it."""
    at_once = max(1, GATHER_CELLS // (picture.full_rows * picture.full_cols))
    sizes = [axis.size for axis in picture.axes]
    pooled = [_pooled(values, picture, box) for box in boxes(start, stop, sizes, at_once)]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled)


def window_of(values: Tensor | LazyValue, picture: Picture, frame: int, row: int, col: int) -> Tensor:
    """The elements of one frame that a cell stands for: ``(pool_rows, pool_cols)``, less at the far edges."""
    box = next(boxes(frame, frame + 1, [axis.size for axis in picture.axes], 1))
    top, left = row * picture.pool_rows, col * picture.pool_cols
    rows = slice(top, min(picture.full_rows, top + picture.pool_rows))
    cols = slice(left, min(picture.full_cols, left + picture.pool_cols))
    return _elements(values, picture, box, rows, cols)[0]


def spread(values: LazyValue, kept_dim: int | None = None, most_cells: int = READ_CELLS) -> Tensor:
    """Elements of all parts of a value, ``(size of kept_dim, n)``, or ``(1, n)`` without a dim to keep.

    All of them where ``most_cells`` allows it, else ``READ_BLOCKS`` blocks at even distances, each of whole rows of the
    innermost dims where they fit.
    """
    dims = [dim for dim in range(len(values.shape)) if dim != kept_dim]
    sizes = [values.shape[dim] for dim in dims]
    kept = 1 if kept_dim is None else values.shape[kept_dim]
    found = []
    for start, stop in _even_runs(sizes, max(1, most_cells // kept)):
        for box in boxes(start, stop, sizes, max(1, GATHER_CELLS // kept)):
            index = [slice(0, kept)] * len(values.shape)
            for dim, part in zip(dims, box, strict=True):
                index[dim] = part
            read = values.read(tuple(index))
            found.append((read if kept_dim is None else read.movedim(kept_dim, 0)).reshape(kept, -1))
    return torch.cat(found, dim=1)


def boxes(start: int, stop: int, sizes: Sequence[int], most: int) -> Iterator[Box]:
    """Blocks that cover the positions ``start .. stop - 1`` in order, few but of at most ``most`` positions each.

    Positions are flat indices over axes of these sizes, row-major, the last fastest.
    """
    if not sizes:
        yield ()
        return
    inner = math.prod(sizes[1:])
    while start < stop:
        first, offset = divmod(start, inner)
        if offset or stop - start < inner or inner > most:  # a part of one position of the first axis
            end = min(stop, (first + 1) * inner)
            for box in boxes(offset, end - first * inner, sizes[1:], most):
                yield (slice(first, first + 1), *box)
        else:
            count = min(stop - start, most) // inner
            end = start + count * inner
            yield (slice(first, first + count), *(slice(0, size) for size in sizes[1:]))
        start = end


def unravel(flat: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Index per axis of a flat position, row-major, the last fastest."""
    index = []
    for size in reversed(sizes):
        flat, place = divmod(flat, size)
        index.append(place)
    return tuple(reversed(index))


def element_index(picture: Picture, frame: int, row: int, col: int) -> tuple[int, ...]:
    """Index in a record's own dims of an element of one of its frames."""
    sides = [(side, place) for side, place in ((picture.row, row), (picture.col, col)) if side]
    index = [0] * (len(picture.axes) + len(picture.fixed) + len(sides))
    for axis, place in zip(picture.axes, unravel(frame, [axis.size for axis in picture.axes]), strict=True):
        index[axis.position] = place
    for side, place in sides:
        index[side.position] = place
    return tuple(index)


def pooled_part(values: Tensor | LazyValue, picture: Picture, frame: int, rows: slice, cols: slice) -> Tensor:
    """Cells ``rows`` x ``cols`` of one frame, ``(1, rows, cols)``; nothing else of it is read."""
    box = next(boxes(frame, frame + 1, [axis.size for axis in picture.axes], 1))
    return _pooled(values, picture, box, *elements_of(picture, rows, cols))


def elements_of(picture: Picture, rows: slice, cols: slice) -> tuple[slice, slice]:
    """Rows and columns of elements that these cells stand for."""
    return (
        slice(rows.start * picture.pool_rows, min(picture.full_rows, rows.stop * picture.pool_rows)),
        slice(cols.start * picture.pool_cols, min(picture.full_cols, cols.stop * picture.pool_cols)),
    )


def _pooled(
    values: Tensor | LazyValue, picture: Picture, box: Box, rows: slice | None = None, cols: slice | None = None
) -> Tensor:
    """The frames of a block, or these elements of them, made small a strip of whole windows at a time."""
    rows, cols = rows or slice(0, picture.full_rows), cols or slice(0, picture.full_cols)
    frames = math.prod(part.stop - part.start for part in box)
    pool_rows, pool_cols = picture.pool_rows, picture.pool_cols
    strip_cols = min(cols.stop - cols.start, whole_windows(GATHER_CELLS // (frames * pool_rows), pool_cols))
    strip_rows = min(rows.stop - rows.start, whole_windows(GATHER_CELLS // (frames * strip_cols), pool_rows))
    bands = []
    for top in range(rows.start, rows.stop, strip_rows):
        band = slice(top, min(rows.stop, top + strip_rows))
        strips = []
        for left in range(cols.start, cols.stop, strip_cols):
            strip = slice(left, min(cols.stop, left + strip_cols))
            elements = _elements(values, picture, box, band, strip)
            strips.append(pool(elements, pool_rows, pool_cols, picture.pooled_by))
        bands.append(strips[0] if len(strips) == 1 else torch.cat(strips, dim=2))
    return bands[0] if len(bands) == 1 else torch.cat(bands, dim=1)


def _elements(values: Tensor | LazyValue, picture: Picture, box: Box, rows: slice, cols: slice) -> Tensor:
    """Rows and columns of the frames of a block: ``(frames, rows, cols)``."""
    index: list[int | slice] = [0] * len(values.shape)  # dims without a slider are looked at in index 0
    for axis, part in zip(picture.axes, box, strict=True):
        index[axis.position] = part
    sides = [(side, part) for side, part in ((picture.row, rows), (picture.col, cols)) if side]
    for side, part in sides:
        index[side.position] = part
    read = values[tuple(index)] if isinstance(values, Tensor) else values.read(tuple(index))
    left = sorted(position for position in range(len(index)) if position not in picture.fixed)
    order = [axis.position for axis in picture.axes] + [side.position for side, _ in sides]
    view = read.permute([left.index(position) for position in order])
    shape = [rows.stop - rows.start if picture.row else 1, cols.stop - cols.start if picture.col else 1]
    return view.reshape(-1, *shape)


def _even_runs(sizes: Sequence[int], wanted: int) -> Iterator[tuple[int, int]]:
    """Runs of flat positions at even distances, ``wanted`` positions in all; everything when that is enough."""
    total = math.prod(sizes)
    if total <= wanted:
        yield 0, total
        return
    length = max(1, wanted // READ_BLOCKS)
    # A run of whole rows: a row of attention weights costs as much as any part of it.
    unit = max(size for size in accumulate((1, *reversed(sizes)), int.__mul__) if size <= length)
    length -= length % unit
    count = min(READ_BLOCKS, wanted // length)
    for number in range(count):
        start = number * (total - length) // max(1, count - 1) // unit * unit
        yield start, start + length
