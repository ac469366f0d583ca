"""Fingerprint: a few elements of a tensor, by which a replay is told from another computation.

In: tensors whose values will not be held. Out: bytes that are equal when the sampled elements are bit-equal. Samples of
a tensor on an accelerator stay there until they are read, since each read waits for all that it computes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from .tensors import on_host, plain_mode

CHUNK = 1 << 22
"""Elements of which a code is made at a time: 32 MiB each."""
SAMPLES = 64
"""Elements that are compared besides the statistics, evenly spread over the tensor."""


_STRIDE = 0x2545F4914F6CDD1D - 1
"""Even, so that every place multiplies by an odd number, which loses no bit."""
_AS_NUMPY = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool)


def fingerprint(tensor: Tensor) -> bytes:
    """Raw bytes of about SAMPLES elements of a plain tensor, in the order of its indices, whatever its strides."""
    # Not of a weight: numpy pins the memory that it looks into, which fully_shard must be able to free.
    is_weight = isinstance(tensor, nn.Parameter)
    if tensor.dtype in _AS_NUMPY and tensor.device.type == "cpu" and tensor.is_contiguous() and not is_weight:
        flat = tensor.detach().view(-1).numpy()
        return flat[:: max(1, flat.size // SAMPLES)].tobytes()
    return read_samples([samples(tensor)])[0]


def plain_mark(tensor: Tensor) -> bytes | Tensor:
    """The fingerprint of a plain tensor; on an accelerator its samples, which are read later."""
    return fingerprint(tensor) if on_host(tensor) else samples(tensor)


def samples(tensor: Tensor) -> Tensor:
    """The bytes of :func:`fingerprint` as a flat uint8 tensor of the same device, which nothing changes afterwards."""
    with plain_mode():
        tensor = tensor.detach()
        step = max(1, tensor.numel() // SAMPLES)
        if tensor.is_contiguous():
            sample = tensor.view(-1)[::step]
        else:
            sample = tensor[_places(tuple(tensor.shape), step, tensor.device)]
        return sample.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format).view(torch.uint8)


def read_samples(found: Sequence[Tensor]) -> list[bytes]:
    """What several samples hold, with one transfer per device."""
    return [bytes(each.numpy().tobytes()) for each in read_together(found)]


def read_together(found: Sequence[Tensor]) -> list[Tensor]:
    """Copies on the CPU of small tensors that differ in the size of their first axis only: one transfer per device."""
    read: dict[int, Tensor] = {}
    with plain_mode():
        for device in dict.fromkeys(each.device for each in found):
            here = [(place, each) for place, each in enumerate(found) if each.device == device]
            together = torch.cat([each for _, each in here]).cpu()
            parts = together.split([len(each) for _, each in here])
            read.update({place: part for (place, _), part in zip(here, parts, strict=True)})
    return [read[place] for place in range(len(found))]


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


def code_later(tensor: Tensor) -> Tensor:
    """A number of all elements of a plain tensor and their places, as an int64 of its device; equal for equal bits."""
    with plain_mode():
        flat = tensor.detach().resolve_conj().resolve_neg().contiguous().view(-1).view(torch.uint8)
        bits = flat.view(torch.int32) if flat.numel() % 4 == 0 else flat
        code = torch.zeros((), dtype=torch.int64, device=tensor.device)
        for position, chunk in enumerate(bits.split(CHUNK)):
            places = torch.arange(position * CHUNK, position * CHUNK + chunk.numel(), device=tensor.device)
            code = code + ((chunk.to(torch.int64) + 1) * (places * _STRIDE + 1)).sum()  # modulo 2^64
        return code
