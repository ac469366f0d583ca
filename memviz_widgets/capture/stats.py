"""Statistics of a tensor, with temporaries of a few MiB whatever its size.

In: a live tensor of any dtype and layout. Out: TensorStats. Mean and variance of chunks are merged by the parallel
formula of Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
Counts, min and max are exact. Mean and standard deviation are exact to float64, but for large tensors of float32 and
smaller types on the CPU to about 6 digits: their chunks are summed in float32, a fifth of the time, wherever the
spread is not small against the mean.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..records import TensorStats
from .moments import SAFE_SQUARES, Tally, stats_of
from .tensors import dense_tensor, plain_mode, tensor_kind, without_repeats

CHUNK_CPU = 1 << 16
"""Elements per chunk on the CPU: 512 KiB of float64 stay in the cache; 4 times faster than 1 Mi elements."""
CHUNK_FAST = 1 << 18
"""Elements per chunk summed in float32: 1 MiB stays in the second-level cache."""
FAST_FROM = 1 << 11
"""Elements from which the float32 sums are used; below, exactness costs microseconds."""
FAST_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
THREADED_FROM = 1 << 17
"""Elements from which torch's threads, where it has several, are faster than numpy on chunks in the cache."""
ROW = 1 << 10
"""Elements whose squares are added in float32."""
_ONES = np.ones(ROW, np.float32)
SAFE_SIZE = 1e15
"""Magnitudes from which a row of squares may leave float32."""
LEAST_SQUARES = 1e-30
"""Sum of squares below which some of them may have vanished in float32."""
LEAST_SPREAD = 1e-3
"""Least variance, as a part of the squared mean, at which mean of squares minus squared mean keeps 4 digits."""
CHUNK_DEVICE = 1 << 22
"""Elements per chunk on an accelerator, where each chunk costs one synchronisation."""


_Sums = tuple[int, float, float, float, float, int]
"""(count, min, max, sum, sum of squares, zeros)."""


def tensor_stats(tensor: Tensor) -> TensorStats:
    """Statistics of all elements of ``tensor``.

    Raises:
        RuntimeError: for a dtype that torch cannot convert (float4) and for tensors without values.
    """
    with plain_mode():
        kind = tensor_kind(tensor)
        if kind == "dense" and _is_fast(tensor) and tensor.is_contiguous():
            quick = _quick_stats(tensor)
            if quick is not None:
                return quick
        pieces, implied_zeros = _pieces(tensor.detach(), kind)
        repeats = [piece.numel() // max(1, without_repeats(piece).numel()) for piece in pieces]
        tally = _tally(pieces, repeats, implied_zeros, 1.0)
        largest = max(abs(tally.lo), abs(tally.hi)) if tally.finite else 0.0
        scale = 1.0
        if largest and not SAFE_SQUARES[0] < largest < SAFE_SQUARES[1]:
            # A power of two, so that scaling rounds nothing.
            scale = 2.0 ** (math.frexp(largest)[1] - 1)
            scaled = _tally(pieces, repeats, implied_zeros, scale)
            tally.mean, tally.squares = scaled.mean, scaled.squares
        return stats_of(tally, scale)


def _pieces(tensor: Tensor, kind: str) -> tuple[list[Tensor], int]:
    """Strided tensors that hold the values, and the number of zeros that a sparse layout leaves out."""
    if kind == "dtensor":
        return [dense_tensor(tensor, kind)], 0
    if kind == "nested":
        return list(tensor.unbind()), 0
    if kind == "quantized":
        return [tensor.dequantize()], 0
    if kind == "mkldnn":
        return [tensor.to_dense()], 0
    if kind == "sparse":
        values = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor.values()
        return [values], tensor.numel() - values.numel()
    return [tensor if type(tensor) is Tensor else tensor.as_subclass(Tensor)], 0


def _tally(pieces: list[Tensor], repeats: list[int], implied_zeros: int, scale: float) -> Tally:
    """Count and merge everything; the moments are those of the values divided by ``scale``."""
    tally = Tally(count=implied_zeros, zero=implied_zeros)
    tally.add(implied_zeros, 0.0, 0.0, 0.0, 0.0)
    for piece, repeat in zip(pieces, repeats, strict=True):
        values = without_repeats(piece)
        if _is_fast(values) and scale == 1.0:
            for chunk in chunks(values, CHUNK_FAST):
                sums = _quick_sums(chunk.float().numpy())
                if sums is None:
                    _add_exactly(tally, chunk, repeat, scale)
                else:
                    count, lo, hi, total, squares, zeros = sums
                    mean = total / count
                    tally.count += count * repeat
                    tally.zero += zeros * repeat
                    tally.add(count * repeat, lo, hi, mean, (squares - mean * total) * repeat)
        else:
            _add_exactly(tally, values, repeat, scale)
    return tally


def _quick_stats(tensor: Tensor) -> TensorStats | None:
    """Statistics of a contiguous tensor by float32 sums alone; None where these are not good enough.

    This runs for nearly every tensor of a capture, between operations that push Python out of the processor's caches:
    the fewer steps, the better.
    """
    flat = tensor.detach().view(-1)
    size = flat.numel()
    if size >= THREADED_FROM and flat.dtype is torch.float32 and torch.get_num_threads() > 1:
        sums = _threaded_sums(flat)
    elif size <= CHUNK_FAST:
        sums = _quick_sums((flat if flat.dtype is torch.float32 else flat.float()).numpy())
    else:
        sums = _summed(_quick_sums(chunk.float().numpy()) for chunk in flat.split(CHUNK_FAST))
    if sums is None:
        return None
    _, lo, hi, total, squares, zeros = sums
    mean = total / size
    spread = squares / size - mean * mean
    if not spread > LEAST_SPREAD * mean * mean:
        return None
    return TensorStats(lo, hi, mean, math.sqrt(spread), zeros / size, 0, 0, 0, size)


def _summed(parts: Iterable[_Sums | None]) -> _Sums | None:
    """The sums of several pieces together; None when one of them has none."""
    count, lo, hi, total, squares, zeros = 0, math.inf, -math.inf, 0.0, 0.0, 0
    for sums in parts:
        if sums is None:
            return None
        size, low, high, add, more, none = sums
        count, lo, hi, zeros = count + size, min(lo, low), max(hi, high), zeros + none
        total, squares = total + add, squares + more
    return count, lo, hi, total, squares, zeros


def _quick_sums(array: npt.NDArray[np.float32]) -> _Sums | None:
    """The sums of a flat array of at most CHUNK_FAST elements; None where float32 loses digits.

    All by numpy: torch's count_nonzero takes 30 times as long, and autocast does not reach numpy. Rows are multiplied
    in float32 and added in float64, which is 1e-8 off, where one long product would be 1e-5 off.
    """
    lo, hi = float(np.minimum.reduce(array)), float(np.maximum.reduce(array))
    if not math.isfinite(lo + hi) or not max(hi, -lo) < SAFE_SIZE:
        return None
    count = array.size
    whole = count - count % ROW
    rows = (array if whole == count else array[:whole]).reshape(-1, ROW)
    total = float(np.add.reduce(rows @ _ONES, dtype=np.float64))
    products = np.matmul(rows[:, None, :], rows[:, :, None])
    squares = float(np.add.reduce(products, axis=None, dtype=np.float64))
    if whole < count:
        rest = array[whole:]
        total += float(np.add.reduce(rest, dtype=np.float64))
        squares += float(np.dot(rest, rest))
    if not _precise(count, total, squares):
        return None
    return count, lo, hi, total, squares, _zeros_in(array) if lo <= 0.0 <= hi else 0


class _Scratch(threading.local):
    """Memory of one thread, so that counting zeros asks the heap in which a model computes for nothing."""

    def __init__(self) -> None:
        self.flags = np.empty(CHUNK_FAST, np.bool_)


_SCRATCH = _Scratch()


def _zeros_in(array: npt.NDArray[np.float32]) -> int:
    """How many of at most CHUNK_FAST elements are 0."""
    return array.size - int(np.count_nonzero(np.not_equal(array, 0, out=_SCRATCH.flags[: array.size])))


def _threaded_sums(flat: Tensor) -> _Sums | None:
    """The sums of a large flat float32 tensor, by torch's threads; None where float32 loses digits."""
    low, high = torch.aminmax(flat)
    lo, hi = low.item(), high.item()
    if not math.isfinite(lo + hi) or not max(hi, -lo) < SAFE_SIZE:
        return None
    count = flat.numel()
    whole = count - count % ROW
    rows, rest = flat[:whole].view(-1, ROW), flat[whole:].numpy()
    sums, norms = rows.sum(1).numpy(), torch.linalg.vector_norm(rows, dim=1).numpy().astype(np.float64)
    total = float(np.add.reduce(sums, dtype=np.float64)) + float(np.add.reduce(rest, dtype=np.float64))
    squares = float(np.dot(norms, norms)) + float(np.dot(rest, rest))
    if not _precise(count, total, squares):
        return None
    zeros = count - int(np.count_nonzero(flat.bool().numpy())) if lo <= 0.0 <= hi else 0
    return count, lo, hi, total, squares, zeros


def _precise(count: int, total: float, squares: float) -> bool:
    """Whether float32 sums are good enough: nothing vanished, and the spread is not small against the mean."""
    return squares > LEAST_SQUARES and squares * count - total * total > LEAST_SPREAD * total * total


def _add_exactly(tally: Tally, values: Tensor, repeat: int, scale: float) -> None:
    """Add a tensor chunk by chunk in float64."""
    limit = CHUNK_CPU if values.device.type == "cpu" else CHUNK_DEVICE
    for chunk in chunks(values, limit):
        _add_chunk(tally, doubles(chunk), repeat, scale)


def _is_fast(values: Tensor) -> bool:
    return values.dtype in FAST_DTYPES and values.device.type == "cpu" and values.numel() >= FAST_FROM


def chunks(tensor: Tensor, limit: int) -> Iterator[Tensor]:
    """Flat pieces of at most ``limit`` elements: views where the memory is dense, else small copies."""
    if not tensor.numel():
        return
    if tensor.numel() <= limit:
        yield tensor.reshape(-1)
        return
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
    in_memory_order = tensor.permute(order)  # channels_last and transposed tensors are dense in another order
    if in_memory_order.is_contiguous():
        yield from in_memory_order.view(-1).split(limit)
    else:
        axis = max(range(tensor.dim()), key=tensor.size)
        for half in tensor.split((tensor.size(axis) + 1) // 2, dim=axis):
            yield from chunks(half, limit)


def doubles(chunk: Tensor) -> Tensor:
    """A fresh float64 copy of a chunk; |z| for complex numbers."""
    if chunk.device.type == "mps":
        chunk = chunk.cpu()  # Apple's GPU has no float64
    if chunk.is_complex():
        return chunk.to(torch.complex128).abs()
    if chunk.dtype.itemsize == 1 and chunk.is_floating_point():
        chunk = chunk.to(torch.float32)  # float8 converts to float32 only
    return chunk.to(torch.float64, copy=True)


def _add_chunk(tally: Tally, values: Tensor, repeat: int, scale: float) -> None:
    """Add one chunk, each of whose values stands ``repeat`` times. Overwrites ``values``."""
    count = values.numel()
    lo, hi = torch.aminmax(values)
    if not math.isfinite(float(lo) + float(hi)) and not bool(values.isfinite().all()):
        tally.nan += int(values.isnan().sum()) * repeat
        tally.posinf += int(torch.isposinf(values).sum()) * repeat
        tally.neginf += int(torch.isneginf(values).sum()) * repeat
        bad = count - int(values.isfinite().sum())
        tally.count += bad * repeat
        values = values[values.isfinite()]
        if values.numel():
            _add_chunk(tally, values, repeat, scale)
        return
    tally.count += count * repeat
    tally.zero += (count - int(torch.count_nonzero(values))) * repeat
    if scale != 1.0:
        values.div_(scale)
    mean = values.mean()
    values.sub_(mean)
    tally.add(count * repeat, float(lo), float(hi), float(mean), float(torch.dot(values, values)) * repeat)
