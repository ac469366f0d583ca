"""The real numbers of a tensor of any dtype, a bounded piece at a time.

In: a tensor as it was recorded. Out: float64 copies of pieces of it, on the tensor's own device, for whoever measures
or draws. Pieces are bounded because a recorded tensor may be so large that a float64 copy of it would not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

PIECE_CELLS = 2**18
"""Cells converted at once: 2 MiB of float64, which stays in the processor's cache."""


def real_numbers(values: Tensor) -> Tensor:
    """A float64 tensor of the same shape; exact, but for 64-bit integers above 2**53; ``|z|`` for complex values.

    The copy stays on the tensor's device, except on Apple's MPS, which has no float64: there it goes to the CPU.
    The result may be ``values`` itself when that is float64 already: never write into it.
    """
    if values.device.type == "mps":
        values = values.cpu()
    if not values.is_complex():
        return values.to(torch.float64)
    # Not torch.abs: hypot keeps |3e300 + 4e300j| = 5e300, where squaring the parts could overflow.
    parts = values.to(torch.complex128).resolve_conj().resolve_neg()
    return torch.hypot(parts.real, parts.imag)


def pieces(values: Tensor, cells: int = PIECE_CELLS) -> Iterator[Tensor]:
    """Views that cover ``values`` once, each of at most ``cells`` elements; their order is not the order in memory.

    The largest dim is halved again and again, so that a piece of a ``(20000, 20000)`` tensor needs no copy of it.
    """
    if values.numel() <= cells:
        yield values
        return
    dim = max(range(values.dim()), key=lambda position: values.shape[position])
    half = values.shape[dim] // 2
    yield from pieces(values.narrow(dim, 0, half), cells)
    yield from pieces(values.narrow(dim, half, values.shape[dim] - half), cells)


def thinned(values: Tensor, most_cells: int, kept_dim: int) -> Tensor:
    """A view of evenly spaced elements, ``most_cells`` at most where that can be; ``kept_dim`` keeps its size.

    The longest other dim is thinned first.
    """
    kept_dim %= values.dim()
    while values.numel() > most_cells:
        size, dim = max(
            ((size, dim) for dim, size in enumerate(values.shape) if dim != kept_dim), default=(1, kept_dim)
        )
        if size == 1:
            break
        left = max(1, most_cells // (values.numel() // size))
        values = values[(slice(None),) * dim + (slice(None, None, math.ceil(size / left)),)]
    return values
