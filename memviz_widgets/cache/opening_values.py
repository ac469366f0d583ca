"""SavedValues: the elements of a saved capture, read chunk by chunk when a picture needs them.

In: a place, the arrays that its index declares. Out: SpilledValues; or FormatError for a chunk that is missing, of
another size than declared, or damaged. A size is compared before anything is allocated for it.
"""

from __future__ import annotations

import json
import math
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import ClosedError, FormatError
from .spill import INTEGERS, SpilledValue
from .store_files import StorePlace, damaged
from .store_format_arrays import Place, StoredArray

LATEST_BYTES = 2**25
"""Bytes of the chunks read last, which are kept: neighbouring frames share them."""


class ChunkBytes(Protocol):
    """Where the bytes of a chunk are: in a file each, one after the other in one file, or in memory."""

    @property
    def held_bytes(self) -> int:
        """Bytes that lie in memory."""
        ...

    def check(self, arrays: Sequence[StoredArray]) -> None:
        """Compare the sizes that are there with those that are declared, as far as that is cheap."""
        ...

    def sizes(self, array: StoredArray, place: Place) -> tuple[int, ...]:
        """Size per axis of a chunk as it is stored."""
        ...

    def read(self, array: StoredArray, place: Place, nbytes: int) -> bytes:
        """A chunk; more or fewer bytes than ``nbytes`` when it is damaged, but never many more."""
        ...


class FolderBytes:
    """Chunks of a Zarr folder: a file each, of full size also where the chunk reaches over the end of the array."""

    held_bytes = 0

    def __init__(self, place: StorePlace) -> None:
        self._place = place

    def check(self, arrays: Sequence[StoredArray]) -> None:
        """Compare the sizes of all files, where they are on this machine."""
        if not self._place.local:
            return
        for array in arrays:
            nbytes = math.prod(array.chunks) * array.dtype.itemsize
            for place in array.places():
                name = chunk_name(array, place)
                if (there := self._place.size(name)) != nbytes:
                    raise FormatError(f"{name!r} has {there} bytes of {nbytes}")

    def sizes(self, array: StoredArray, place: Place) -> tuple[int, ...]:
        """The same for all chunks of an array."""
        return array.chunks

    def read(self, array: StoredArray, place: Place, nbytes: int) -> bytes:
        """One file."""
        return self._place.read(chunk_name(array, place), nbytes + 1)


class FileBytes:
    """Chunks of a safetensors file, in which an array is one run of bytes.

    Args:
        place: The file.
        starts: Offset of the first byte of each array.
    """

    held_bytes = 0

    def __init__(self, place: StorePlace, starts: Sequence[int]) -> None:
        self._place = place
        self._starts = starts

    def check(self, arrays: Sequence[StoredArray]) -> None:
        """Compare the size of the file, and refuse chunks that are no run of bytes."""
        there = self._place.size("")
        for array, start in zip(arrays, self._starts, strict=True):
            if start + array.nbytes > there:
                raise FormatError(f"it has {there} bytes, and array {array.number} ends at {start + array.nbytes}")
            split = next((axis for axis, chunk in enumerate(array.chunks) if chunk > 1), len(array.chunks))
            if array.chunks[split + 1 :] != tuple(max(1, size) for size in array.once[split + 1 :]):
                raise FormatError(f"the chunks {array.chunks} of array {array.number} are no runs of bytes")

    def sizes(self, array: StoredArray, place: Place) -> tuple[int, ...]:
        """Cut off at the end of the array."""
        return tuple(span.stop - span.start for span in array.spans(place))

    def read(self, array: StoredArray, place: Place, nbytes: int) -> bytes:
        """A run of bytes."""
        first = 0
        for span, size in zip(array.spans(place), array.once, strict=True):
            first = first * size + span.start
        return self._place.read("", nbytes, self._starts[array.number] + first * array.dtype.itemsize)


class SavedValues:
    """The values of a saved capture, read only.

    Args:
        place: Where it is.
        chunks: How its chunks are read.
        arrays: What its index declares.

    Raises:
        FormatError: when a size is not the declared one.
    """

    def __init__(self, place: StorePlace, chunks: ChunkBytes, arrays: Sequence[StoredArray]) -> None:
        chunks.check(arrays)
        self.place = place
        self._bytes = chunks
        self._arrays = tuple(arrays)
        self._latest: OrderedDict[tuple[int, Place], Tensor] = OrderedDict()
        self._lock = threading.Lock()
        self.latest_bytes = LATEST_BYTES
        self.closed = False

    def value(self, number: int) -> SpilledValue:
        """The tensor of an array."""
        array = self._arrays[number]
        return SpilledValue(self, str(number), array, array.chunks, array.full, array.dtype)

    def read(self, name: str, array: StoredArray, chunks: tuple[int, ...], spans: tuple[slice, ...]) -> Tensor:
        """Integers of a part of an array.

        Raises:
            ClosedError: after :meth:`close`.
            FormatError: when a chunk is not as it was saved.
        """
        if self.closed:
            raise ClosedError("this cache was closed; open the saved capture again.")
        sizes = [span.stop - span.start for span in spans]
        places = [
            range(span.start // chunk, -(-span.stop // chunk)) if span.stop > span.start else range(0)
            for span, chunk in zip(spans, chunks, strict=True)
        ]
        whole = torch.empty([*sizes, *_pair(array)], dtype=_integer(array))
        for place in product(*places):
            covered = array.spans(place)
            target, source = [], []
            for span, there in zip(spans, covered, strict=True):
                start, stop = max(span.start, there.start), min(span.stop, there.stop)
                target.append(slice(start - span.start, stop - span.start))
                source.append(slice(start - there.start, stop - there.start))
            whole[tuple(target)] = self._chunk(array, place)[tuple(source)]
        return whole

    def _chunk(self, array: StoredArray, place: Place) -> Tensor:
        """A chunk, kept or read. As it is stored: with what fills it up."""
        key = array.number, place
        with self._lock:
            if key in self._latest:
                self._latest.move_to_end(key)
                return self._latest[key]
        chunk = self._read_chunk(array, place)
        with self._lock:
            self._latest[key] = chunk
            held = sum(each.nbytes for each in self._latest.values())
            while held > self.latest_bytes and len(self._latest) > 1:
                held -= self._latest.popitem(last=False)[1].nbytes
        return chunk

    @property
    def held_bytes(self) -> int:
        """Bytes of the values that lie in memory and not in files."""
        return self._bytes.held_bytes

    def chunk_bytes(self, array: StoredArray, place: Place) -> bytearray:
        """A chunk as it was saved, compared with its checksum.

        Raises:
            FormatError: when it is not as it was saved.
        """
        sizes = self._bytes.sizes(array, place)
        nbytes = math.prod(sizes) * array.dtype.itemsize
        label = f"chunk {'.'.join(map(str, place)) or 0} of array {array.number}"
        try:
            data = bytearray(self._bytes.read(array, place, nbytes))
        except OSError as error:
            raise damaged(self.place, f"{label} cannot be read ({error})") from error
        if len(data) != nbytes:
            raise damaged(self.place, f"{label} has {len(data)} bytes of {nbytes}")
        if zlib.crc32(data) != array.checksums[array.position(place)]:
            raise damaged(self.place, f"the checksum of {label} does not fit: the file is damaged")
        if array.dtype is torch.bool and nbytes and max(data) > 1:
            raise damaged(self.place, f"{label} holds bytes other than 0 and 1, and is said to be bool")
        return data

    def _read_chunk(self, array: StoredArray, place: Place) -> Tensor:
        data = self.chunk_bytes(array, place)
        sizes = self._bytes.sizes(array, place)
        integers = np.frombuffer(data, f"<i{_integer(array).itemsize}" if array.dtype.itemsize > 1 else "u1")
        native = integers.astype(integers.dtype.newbyteorder("="), copy=False)
        return torch.from_numpy(native).reshape((*sizes, *_pair(array)))

    def close(self) -> None:
        """Nothing is read any more. The files stay."""
        self.closed = True
        self._latest.clear()


def chunk_name(array: StoredArray, place: Place) -> str:
    """The file of a chunk within the folder. Made of numbers only: no name from the index becomes a path."""
    return f"values/{array.number}/{'.'.join(('c', *map(str, place)))}"


def _integer(array: StoredArray) -> torch.dtype:
    return INTEGERS.get(array.dtype.itemsize, torch.int64)


def _pair(array: StoredArray) -> tuple[int, ...]:
    """The last axis of elements that are two integers."""
    return array.shape[len(array.once) :]


def header_starts(header: dict[str, Any], arrays: Sequence[StoredArray], data_start: int) -> list[int]:
    """Offset of each array in a safetensors file.

    Raises:
        FormatError: when the header does not have an array as the index declares it.
    """
    starts = []
    for array in arrays:
        match header.get(str(array.number)):
            case {"data_offsets": [int(start), int(stop)]} if start >= 0 and stop - start == array.nbytes:
                starts.append(data_start + start)
            case _:
                raise FormatError(f"its header does not have the {array.nbytes} bytes of array {array.number}")
    return starts


def as_header(text: bytes) -> dict[str, Any]:
    """The header of a safetensors file.

    Raises:
        FormatError: when it is no object.
    """
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise FormatError("its header is no object")
    return header
