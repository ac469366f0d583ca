"""Maps derived from attention weights: shares of a row, logarithms, over heads, between heads.

In: weights (B, N, Q, K), a tensor or a LazyValue that is read a block of rows at a time. Out: frames of cells, made
small as any frame is; codes, in which a weight of exactly 0 has a code of its own; the number of one cell.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..capture.lazy import LazyValue
from .plan import Picture
from .pool import is_mean, loudest, mean_of, pool, whole_windows
from .quantise import Quantised, quantise
from .reading import GATHER_CELLS, Box, boxes, elements_of, pooled_frames, window_of

Weights = Tensor | LazyValue

SINGLE = ("row", "log")
"""Maps of one head: its rows in shares of their largest weight; log10 of its weights."""

COMBINED = ("mean", "max")
"""Maps over all heads. The mean is over the heads whose query attends to anything, as in analysis.combine_heads."""


def map_frames(values: Weights, picture: Picture, kind: str, start: int, stop: int) -> Tensor:
    """Frames ``start .. stop - 1`` of a map of kind "row", "log", "mean", "max" or "difference", (n, rows, cols)."""
    sizes = [axis.size for axis in picture.axes]
    read_per_frame = picture.full_rows * picture.full_cols * (values.shape[1] if kind in COMBINED else 1)
    at_once = 1 if kind == "difference" else max(1, GATHER_CELLS // read_per_frame)
    made = [_pooled_map(values, picture, kind, box) for box in boxes(start, stop, sizes, at_once)]
    return made[0] if len(made) == 1 else torch.cat(made)


def map_element(
    values: Weights, picture: Picture, kind: str, frame: int, row: int, col: int
) -> tuple[Tensor, tuple[int, ...]]:
    """The number that a cell of a map stands for, and the index of its element in the record.

    For "row" and "log" it is the weight itself, for "difference" it is signed. In a map over heads the head is -1, and
    of a mean over a cell so are query and key.
    """
    box = next(boxes(frame, frame + 1, [axis.size for axis in picture.axes], 1))
    top, left = row * picture.pool_rows, col * picture.pool_cols
    rows = slice(top, min(picture.full_rows, top + picture.pool_rows))
    window = _rows_of(values, kind, box, rows)[0, :, left : left + picture.pool_cols]
    head = -1 if kind in COMBINED else box[1].start
    if is_mean(picture, window):
        weights = window_of(values, picture, frame, row, col) if kind in SINGLE else window
        return mean_of(weights), (box[0].start, head, -1, -1)
    in_row, in_col = divmod(loudest(window), window.shape[1])
    index = (box[0].start, head, top + in_row, left + in_col)
    return (_weights(values, *index) if kind in SINGLE else window[in_row, in_col]), index


def tile_frames(values: Weights, tiles: Picture, start: int, stop: int, most_cells: int) -> tuple[Tensor, bool]:
    """Tiles ``start .. stop - 1``, (n, rows, cols), and whether queries were left out.

    ``most_cells``: weights looked at; where there are more, each row of cells is of the queries in the middle of those
    that it stands for.
    """
    queries = max(1, most_cells // ((stop - start) * tiles.full_cols * tiles.rows))
    if queries >= tiles.pool_rows:
        return pooled_frames(values, tiles, start, stop), False
    made = []
    for box in boxes(start, stop, [axis.size for axis in tiles.axes], stop - start):
        strips = [
            pool(_read(values, box[0], box[1], rows).flatten(0, 1), queries, tiles.pool_cols)
            for rows in middles(tiles.full_rows, tiles.pool_rows, queries)
        ]
        made.append(torch.cat(strips, dim=1))
    return torch.cat(made), True


def mean_map(values: Weights, sample: int) -> Tensor:
    """Mean over the heads of one sample, (1, T, T): a layer of one head."""
    _, heads, queries, keys = values.shape
    at_once = max(1, GATHER_CELLS // (heads * keys))
    box = (slice(sample, sample + 1),)
    return torch.cat(
        [_rows_of(values, "mean", box, slice(top, min(queries, top + at_once))) for top in range(0, queries, at_once)],
        dim=1,
    )


def map_codes(cells: Tensor, kind: str) -> Quantised:
    """Codes of frames of any map, each over its own range; exactly 0 has the code of -Inf, but for a difference."""
    if kind == "difference":
        return quantise(cells)
    return quantise(cells if kind == "log" else zeros_apart(cells))


def zeros_apart(weights: Tensor) -> Tensor:
    """Weights with -Inf for exactly 0, as log10 has; -Inf, which is no weight, becomes NaN."""
    return weights.masked_fill(weights == -torch.inf, torch.nan).masked_fill_(weights == 0, -torch.inf)


def middles(size: int, window: int, most: int) -> Iterator[slice]:
    """Per window of ``size`` positions, ``most`` neighbours in its middle, or fewer where it has not as many."""
    for start in range(0, size, window):
        stop = min(size, start + window)
        first = max(start, start + (stop - start - most) // 2)
        yield slice(first, min(stop, first + most))


def map_part(values: Weights, picture: Picture, kind: str, frame: int, rows: slice, cols: slice) -> Tensor:
    """Cells ``rows`` x ``cols`` of one frame of a map, (1, rows, cols); of the weights only these queries are read."""
    box = next(boxes(frame, frame + 1, [axis.size for axis in picture.axes], 1))
    return _pooled_map(values, picture, kind, box, *elements_of(picture, rows, cols))


def _pooled_map(
    values: Weights, picture: Picture, kind: str, box: Box, rows: slice | None = None, cols: slice | None = None
) -> Tensor:
    """The map of a block of frames, or these elements of it, a strip of whole windows at a time."""
    rows, cols = rows or slice(0, picture.full_rows), cols or slice(0, picture.full_cols)
    read_per_row = picture.full_cols * (values.shape[1] if kind in COMBINED else 1)
    for part in box:
        read_per_row *= part.stop - part.start
    at_once = whole_windows(GATHER_CELLS // read_per_row, picture.pool_rows)
    strips = []
    for top in range(rows.start, rows.stop, at_once):
        strip = _rows_of(values, kind, box, slice(top, min(rows.stop, top + at_once)))
        strips.append(pool(strip[..., cols], picture.pool_rows, picture.pool_cols, picture.pooled_by))
    cells = torch.cat(strips, dim=1)
    # The logarithm comes last: a window shows its largest weight, whose logarithm has not the largest magnitude.
    return cells.log10() if kind == "log" else cells


def _rows_of(values: Weights, kind: str, box: Box, rows: slice) -> Tensor:
    """Some rows of a map at all keys, (frames, q, K); for "log" the weights."""
    if kind in COMBINED:
        return _over_heads(_read(values, box[0], slice(0, values.shape[1]), rows), kind)
    if kind == "difference":
        sample, head, other = box
        return (_read(values, sample, head, rows) - _read(values, sample, other, rows)).flatten(0, 1)
    weights = _read(values, box[0], box[1], rows).flatten(0, 1)
    if kind != "row":
        return weights
    largest = weights.amax(-1, keepdim=True)
    return weights / largest.masked_fill(largest == 0, 1.0)


def _over_heads(weights: Tensor, kind: str) -> Tensor:
    """(b, q, K) of weights (b, N, q, K)."""
    if kind == "max":
        return weights.amax(1)
    attending = (weights.sum(-1) != 0).sum(1).clamp_(min=1)  # (b, q)
    return weights.sum(1) / attending.unsqueeze(-1)


def _read(values: Weights, sample: slice, head: slice, rows: slice) -> Tensor:
    """Weights (b, n, q, K) of a block as float32, float64 where they are."""
    return read_block(values, (sample, head, rows, slice(0, values.shape[3])))


def read_block(values: Weights, index: tuple[slice, ...]) -> Tensor:
    """A block of weights as float32, or float64 where they are that."""
    block = values[index] if isinstance(values, Tensor) else values.read(index)
    return block.to(torch.promote_types(block.dtype, torch.float32))


def _weights(values: Weights, sample: int, head: int, query: int, key: int) -> Tensor:
    """One weight as it was recorded."""
    index = (sample, head, query, key)
    return values[index] if isinstance(values, Tensor) else values.read(index)
