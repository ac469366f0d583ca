"""StoredArray: how one tensor lies in a saved capture: dtype, sizes, chunks and the checksum of each.

In: the sizes of a tensor, or what a file says of it. Out: a StoredArray whose numbers fit together; or FormatError.
What it declares is compared with what is there before any memory is taken for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from ..errors import FormatError
from .spill import CHUNK_BYTES, chunk_shape
from .store_format_fields import MOST_ELEMENTS, Fields

DTYPES: dict[str, torch.dtype] = {
    name: dtype
    for name in (
        *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
        *("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
    )
    if isinstance(dtype := getattr(torch, name, None), torch.dtype)
}
"""Name -> dtype of what can be stored: elements of whole bytes."""
MOST_REPEATS = 2**16
"""How often at most a stored element stands in the tensor, as ``expand`` makes it, without being stored as often."""
FEW_BYTES = 2**26
"""Bytes up to which a tensor may repeat its elements as often as it likes."""
_CHECKSUMS = re.compile(r"(?:[0-9a-f]{8})*")

Place = tuple[int, ...]
"""Position of a chunk in the grid of chunks, one number per axis."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One tensor in a saved capture.

    Attributes:
        number: Its name.
        dtype: Of the elements.
        full: Size per axis of the tensor.
        once: Size per axis of what is stored: 1 where ``expand`` repeated.
        chunks: Size per axis of a chunk; the last one along an axis may be cut off.
        checksums: CRC-32 of each chunk, the last axis of the grid running fastest.
    """

    number: int
    dtype: torch.dtype
    full: tuple[int, ...]
    once: tuple[int, ...]
    chunks: tuple[int, ...]
    checksums: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis of what is stored, as integers: complex128 is two of them."""
        return (*self.once, 2) if self.dtype is torch.complex128 else self.once

    @property
    def nbytes(self) -> int:
        """Bytes of what is stored."""
        return math.prod(self.once) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks per axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.once, self.chunks, strict=True))

    def places(self) -> Iterator[Place]:
        """All places of the grid, in the order of the checksums."""
        return product(*(range(count) for count in self.grid))

    def spans(self, place: Place) -> tuple[slice, ...]:
        """What a chunk covers."""
        return tuple(
            slice(each * chunk, min((each + 1) * chunk, size))
            for each, chunk, size in zip(place, self.chunks, self.once, strict=True)
        )

    def position(self, place: Place) -> int:
        """Position of a chunk among the checksums."""
        position = 0
        for each, count in zip(place, self.grid, strict=True):
            position = position * count + each
        return position

    def as_json(self) -> dict[str, Any]:
        """For the index."""
        return {
            "dtype": str(self.dtype).removeprefix("torch."),
            "shape": list(self.full),
            "stored": list(self.once),
            "chunks": list(self.chunks),
            "crc32": "".join(f"{each:08x}" for each in self.checksums),
        }


def planned_array(
    number: int, dtype: torch.dtype, full: tuple[int, ...], once: tuple[int, ...], dims: tuple[str, ...]
) -> StoredArray:
    """The array of a tensor that is to be written; ``dims`` of pictures make their chunks whole."""
    if not may_repeat(full, once, dtype):
        once = full
    return StoredArray(number, dtype, full, once, chunk_shape(once, dims, dtype.itemsize))


def read_array(number: int, fields: Fields) -> StoredArray:
    """The array that an index declares.

    Raises:
        FormatError: when a number is none, or they do not fit together.
    """
    name = fields.text("dtype")
    if name not in DTYPES:
        raise fields.refuse("dtype", "a dtype that this torch has, such as 'float32'")
    full, once, chunks = (fields.wholes(each) for each in ("shape", "stored", "chunks"))
    text = fields.text("crc32")
    if not len(full) == len(once) == len(chunks) or 0 in chunks:
        raise fields.refuse("chunks", "a size of at least 1 for each axis of shape and stored")
    if any(stored not in (1, size) for size, stored in zip(full, once, strict=True)):
        raise fields.refuse("stored", "the sizes of shape, or 1")
    if math.prod(full) >= MOST_ELEMENTS or not may_repeat(full, once, DTYPES[name]):
        raise fields.refuse("shape", f"sizes that make fewer than 2**48 elements, each stored for {MOST_REPEATS}")
    if math.prod(chunks) * DTYPES[name].itemsize > CHUNK_BYTES:
        raise fields.refuse("chunks", f"chunks of at most {CHUNK_BYTES} bytes")
    array = StoredArray(number, DTYPES[name], full, once, chunks)
    count = math.prod(array.grid)
    if len(text) != 8 * count or not _CHECKSUMS.fullmatch(text):
        raise FormatError(
            f"'crc32' of array {number} has {len(text)} characters; expected 8 for each of {count} chunks"
        )
    sums = tuple(int(text[start : start + 8], 16) for start in range(0, len(text), 8))
    return StoredArray(number, DTYPES[name], full, once, chunks, sums)


def may_repeat(full: tuple[int, ...], once: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Whether a tensor is small enough for the elements that are stored of it."""
    count, stored = math.prod(full), math.prod(once)
    return count <= MOST_REPEATS * stored or count * dtype.itemsize <= FEW_BYTES
