"""Fingerprint: a few elements of a tensor, by which a replay is told from another computation.

In: a tensor whose values will not be held. Out: bytes that are equal when the sampled elements are bit-equal.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import torch
from torch import Tensor, nn

from .tensors import plain_mode

SAMPLES = 64
"""Elements that are compared besides the statistics, evenly spread over the tensor."""


_AS_NUMPY = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool)


def fingerprint(tensor: Tensor) -> bytes:
    """Raw bytes of about SAMPLES elements of a plain tensor, in the order of its indices, whatever its strides."""
    # Not of a weight: numpy pins the memory that it looks into, which fully_shard must be able to free.
    is_weight = isinstance(tensor, nn.Parameter)
    if tensor.dtype in _AS_NUMPY and tensor.device.type == "cpu" and tensor.is_contiguous() and not is_weight:
        flat = tensor.detach().view(-1).numpy()
        return flat[:: max(1, flat.size // SAMPLES)].tobytes()
    with plain_mode():
        tensor = tensor.detach()
        step = max(1, tensor.numel() // SAMPLES)
        if tensor.is_contiguous():
            sample = tensor.view(-1)[::step]
        else:
            sample = tensor[_places(tuple(tensor.shape), step, tensor.device)]
        sample = sample.resolve_conj().resolve_neg().contiguous()
        sample = sample.clone() if is_weight else sample
        return sample.view(torch.uint8).cpu().numpy().tobytes() if sample.numel() else b""


@lru_cache(maxsize=256)
def _places(shape: tuple[int, ...], step: int, device: torch.device) -> tuple[Tensor, ...]:
    """Index per axis of every ``step``-th element, counted row by row."""
    count = 1
    for size in shape:
        count *= size
    return tuple(torch.unravel_index(torch.arange(0, count, step, device=device), shape))


def checksum(tensor: Tensor) -> int:
    """CRC-32 of all elements of a plain tensor, in the order of its indices."""
    with plain_mode():
        flat = tensor.detach().resolve_conj().resolve_neg().contiguous().view(-1)
        return zlib.crc32(flat.view(torch.uint8).cpu().numpy().data) if flat.numel() else 0
