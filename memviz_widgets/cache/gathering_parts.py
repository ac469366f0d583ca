"""A capture on its way from one rank to rank 0: what sends its chunks, and what keeps them there.

In: chunks and an index, as a writer gets them. Out: messages of bounded size; a part that opens from memory, or
GatherError when the other rank does not come.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import GatherError
from .opening import Opened, opened_of
from .opening_values import SavedValues
from .store_files import StorePlace
from .store_format import read_index
from .store_format_arrays import Place, StoredArray

PIECE_BYTES = 2**22
"""Bytes that are sent at once."""


class Line:
    """Bytes from one rank to another."""

    def __init__(self, distributed: Any) -> None:
        self._distributed = distributed
        self._device = backend_device(str(distributed.get_backend_config()))

    def send(self, rank: int, data: bytes) -> None:
        """A message."""
        with self._patient(rank):
            self._distributed.send(torch.tensor([len(data)], device=self._device), rank)
            for start in range(0, len(data), PIECE_BYTES):
                piece = bytearray(data[start : start + PIECE_BYTES])
                self._distributed.send(torch.frombuffer(piece, dtype=torch.uint8).to(self._device), rank)

    def receive(self, rank: int) -> bytes:
        """The next message of a rank."""
        with self._patient(rank):
            length = torch.zeros(1, dtype=torch.int64, device=self._device)
            self._distributed.recv(length, rank)
            found = []
            for start in range(0, int(length), PIECE_BYTES):
                piece: Tensor = torch.empty(
                    min(PIECE_BYTES, int(length) - start), dtype=torch.uint8, device=self._device
                )
                self._distributed.recv(piece, rank)
                found.append(piece.cpu().numpy().tobytes())
            return b"".join(found)

    @contextmanager
    def _patient(self, rank: int) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            reason = backend_text(error)
            raise GatherError(
                f"rank {rank} did not take part in gathering within the timeout of the process group, or is gone "
                f"({reason}). What this rank recorded is in .cache of this error; every rank must end the capture with "
                "gather=True."
            ) from error


def backend_text(error: BaseException) -> str:
    """What a process group says, without the place in its source and without its advice."""
    return re.sub(r"^\[.*?\] *", "", str(error)).partition("\n")[0].partition(". ")[0].rstrip(".")


def backend_device(backends: str) -> torch.device:
    """Where a process group takes tensors from, of its ``get_backend_config``: NCCL alone moves only those of a GPU."""
    if "nccl" in backends and "cpu" not in backends:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


class Sender:
    """A writer whose capture goes to rank 0."""

    pads = True
    pictures_first = True

    def __init__(self, line: Line) -> None:
        self._line = line

    def chunk(self, array: StoredArray, place: Place, data: bytes) -> None:
        """A message each: the chunks come in the order in which the index will list them."""
        self._line.send(0, data or b"\0")

    def array(self, array: StoredArray, dims: tuple[str, ...]) -> None:
        """Nothing: the index will tell."""

    def finish(self, index: bytes, *, overwrite: bool) -> None:
        """An empty message, then the index."""
        self._line.send(0, b"")
        self._line.send(0, index)

    def abort(self) -> None:
        """Nothing: rank 0 waits until its timeout."""


class Keeper:
    """A capture in memory: a writer, and then where its chunks are."""

    pads = True
    pictures_first = True

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._index = b""
        self._starts: list[int] = []

    @property
    def held_bytes(self) -> int:
        """Bytes of all chunks."""
        return sum(map(len, self._chunks))

    def chunk(self, array: StoredArray, place: Place, data: bytes) -> None:
        """Keep it."""
        self.take(data)

    def take(self, data: bytes) -> None:
        """Keep the next chunk."""
        self._chunks.append(data)

    def array(self, array: StoredArray, dims: tuple[str, ...]) -> None:
        """Nothing: the index will tell."""

    def finish(self, index: bytes, *, overwrite: bool) -> None:
        """Keep the index."""
        self._index = index

    def abort(self) -> None:
        """Let all go."""
        self._chunks.clear()

    def opened(self, rank: int, budget_bytes: int) -> Opened:
        """The part, as if it had been saved and opened."""
        index = read_index(self._index, len(self._index), f"{zlib.crc32(self._index):08x}")
        start = 0
        for array in index.arrays:
            self._starts.append(start)
            start += len(array.checksums)
        place = StorePlace(f"the part of rank {rank}", None, "", local=False)
        return opened_of(index, SavedValues(place, self, index.arrays), budget_bytes)

    def check(self, arrays: Any) -> None:
        """Nothing: sizes are compared when a chunk is read."""

    def sizes(self, array: StoredArray, place: Place) -> tuple[int, ...]:
        """The same for all chunks of an array."""
        return array.chunks

    def read(self, array: StoredArray, place: Place, nbytes: int) -> bytes:
        """A chunk that is held."""
        return self._chunks[self._starts[array.number] + array.position(place)]
