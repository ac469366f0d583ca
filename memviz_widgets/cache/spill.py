"""Spill: values that go over the budget, written to a folder and read back piece by piece. Needs zarr.

In: a tensor and the names of its axes. Out: a SpilledValue, which reads the chunks that a part of it needs.
Elements are stored as integers of their size, uncompressed: every dtype comes back bit by bit, NaN and -0.0 included.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..capture.lazy import Index
from ..capture.tensors import without_repeats
from ..errors import ClosedError, MissingExtraError, SpillError
from .budget import format_bytes

CHUNK_BYTES = 1 << 20
"""Most bytes of a chunk, which is one file. Half a millisecond to read; a smaller one takes as long."""

_PICTURES = (("height", "width"), ("time", "channel"), ("query", "key"), ("slot", "channel"), ("slot", "width"))
"""Dims that views draw as rows and columns. What they draw otherwise is right too, and takes longer to read."""

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By bytes per element. complex128 has 16: a last axis of two int64."""


class ChunkReader(Protocol):
    """Where the chunks of a SpilledValue are: a Spill, or a saved capture."""

    def read(self, name: str, array: Any, chunks: tuple[int, ...], spans: tuple[slice, ...]) -> Tensor:
        """Integers of a part of an array, a copy."""
        ...


class Spill:
    """A folder of values on disk. What it wrote is removed by :meth:`close`, when it is dropped, and at exit.

    Args:
        folder: Where to write. It is made if need be; inside it everything goes into one new ``memviz-*.zarr``.

    Raises:
        MissingExtraError: without zarr 3.
        SpillError: when the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        zarr = _import_zarr()
        with _using(folder):
            self.path = _own_folder(folder)
            self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())
            self._group: Any = zarr.create_group(zarr.storage.LocalStore(self.path), zarr_format=3)
        self._names = itertools.count()
        self._stored: dict[int, tuple[str, int]] = {}
        self._latest: tuple[str, tuple[int, ...], Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(nbytes for _, nbytes in self._stored.values())

    @property
    def closed(self) -> bool:
        """Whether the files are gone."""
        return not self._finalizer.alive

    def write(self, key: int, tensor: Tensor, dims: tuple[str, ...]) -> SpilledValue:
        """Write a tensor, chunk by chunk, and take the place of what was written under this key before.

        Args:
            key: Any number that stands for the value.
            tensor: Dense, on any device. What ``expand`` repeats is written once.
            dims: Names of its axes; one picture lies in as few chunks as possible.

        Raises:
            SpillError: when the disk is full or the folder is gone. Nothing of the tensor is left then.
            ClosedError: after :meth:`close`.
        """
        self._check_open()
        name = str(next(self._names))
        try:
            with torch.inference_mode(False), torch.no_grad():
                array, chunks = self._write_array(name, tensor, dims)
            size = sum(entry.stat().st_size for entry in os.scandir(self.path / name))
        except BaseException as error:
            shutil.rmtree(self.path / name, ignore_errors=True)
            if isinstance(error, OSError):
                raise SpillError(self._refusal(tensor, error)) from error
            raise
        self.delete(key)
        self._stored[key] = (name, size)
        return SpilledValue(self, name, array, chunks, tuple(tensor.shape), tensor.dtype)

    def _write_array(self, name: str, tensor: Tensor, dims: tuple[str, ...]) -> tuple[Any, tuple[int, ...]]:
        core = without_repeats(tensor.detach())
        shape = tuple(core.shape)
        chunks = chunk_shape(shape, dims, core.element_size())
        integer = _as_integers(torch.empty((1,) * len(shape), dtype=tensor.dtype))
        pair = tuple(integer.shape[len(shape) :])
        array = self._group.create_array(
            name,
            shape=shape + pair,
            chunks=chunks + pair,
            dtype=integer.numpy().dtype,
            compressors=None,
            filters=None,
            fill_value=0,
            chunk_key_encoding={"name": "default", "separator": "."},  # files, not a tree of folders
            # A chunk of zeros is written too: one that is missing is then always one that somebody removed.
            config={"write_empty_chunks": True},
            attributes={"torch_dtype": str(tensor.dtype).removeprefix("torch."), "dims": list(dims)},
        )
        for spans in _grid(shape, chunks):
            array[spans] = _as_integers(core[spans]).numpy()
        return array, chunks

    def delete(self, key: int) -> None:
        """Remove what was written under this key, if anything was."""
        name, _ = self._stored.pop(key, (None, 0))
        if name is not None:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def close(self) -> None:
        """Remove everything that was written. The folder itself stays, with whatever else is in it."""
        self._finalizer()
        self._stored.clear()
        self._latest = None

    def read(self, name: str, array: Any, chunks: tuple[int, ...], spans: tuple[slice, ...]) -> Tensor:
        """Integers of a part of an array. The chunk read last is kept: frames that share it follow one another.

        Raises:
            ClosedError: after :meth:`close`.
            SpillError: when a file is gone or damaged.
        """
        self._check_open()
        ranges = [range(span.start // size, -(-span.stop // size)) for span, size in zip(spans, chunks, strict=True)]
        touched = math.prod(map(len, ranges))
        first = tuple(each.start for each in ranges)
        if touched != 1:
            self._check_files(name, array, itertools.product(*ranges))
            return self._read_array(array, spans)
        if self._latest is None or self._latest[:2] != (name, first):
            self._check_files(name, array, [first])
            whole = (slice(place * size, (place + 1) * size) for place, size in zip(first, chunks, strict=True))
            self._latest = (name, first, self._read_array(array, tuple(whole)))
        inside = (
            slice(span.start - place * size, span.stop - place * size)
            for span, place, size in zip(spans, first, chunks, strict=True)
        )
        return self._latest[2][tuple(inside)].clone()

    def _read_array(self, array: Any, spans: tuple[slice, ...]) -> Tensor:
        try:
            return torch.from_numpy(np.asarray(array[spans]))
        except (OSError, ValueError) as error:
            raise SpillError(
                f"a value could not be read back from {str(self.path)!r}: {error}. Capture again, and leave the spill "
                "folder alone while a cache uses it."
            ) from error

    def _check_files(self, name: str, array: Any, places: Iterable[tuple[int, ...]]) -> None:
        """A chunk that is missing must be an error: zarr takes it for zeros."""
        for place in places:
            pair = (0,) * (array.ndim - len(place))
            file = self.path / name / ".".join(("c", *map(str, (*place, *pair))))
            if not file.exists():
                raise SpillError(
                    f"a value on disk is gone: {str(file)!r} was removed. Capture again, and leave the spill folder "
                    "alone while a cache uses it."
                )

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedError("this cache was closed and its values on disk were removed. Capture again.")

    def _refusal(self, tensor: Tensor, error: OSError) -> str:
        size = format_bytes(without_repeats(tensor).numel() * tensor.element_size())
        return (
            f"{size} could not be written to {str(self.path)!r}: {error.strerror or error}. Make room there, give "
            "spill= a folder on another disk, or record fewer layers with layers=."
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else format_bytes(self.nbytes)
        return f"<Spill: {len(self._stored)} values, {state}>"


class SpilledValue:
    """A tensor on disk (a LazyValue). It can be read as long as its :class:`ChunkReader` is open.

    Attributes:
        shape: Size per axis.
        dtype: The dtype that was written.
        nbytes: Bytes of the elements on disk, without repeats.
    """

    __slots__ = ("_array", "_chunks", "_name", "_spill", "dtype", "nbytes", "shape")

    def __init__(
        self,
        spill: ChunkReader,
        name: str,
        array: Any,
        chunks: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: torch.dtype,
    ) -> None:
        self._spill = spill
        self._name = name
        self._array = array
        self._chunks = chunks
        self.shape = shape
        self.dtype = dtype
        self.nbytes = int(array.nbytes)

    @property
    def once(self) -> tuple[int, ...]:
        """Size per axis of what is on disk: 1 where ``expand`` repeated."""
        return tuple(self._array.shape[: len(self.shape)])

    def read(self, index: Index) -> Tensor:
        """A part of it, on the CPU; only the chunks that it touches are read.

        Args:
            index: One int or slice (of step 1) per axis; an int drops its axis.

        Raises:
            IndexError: for an index outside of the shape.
            ClosedError, SpillError: when the files are gone.
        """
        if len(index) != len(self.shape):
            raise IndexError(f"{len(index)} indices for {len(self.shape)} axes; give an int or a slice per axis.")
        spans = [_span(entry, size) for entry, size in zip(index, self.shape, strict=True)]
        # An axis that expand made longer has one entry on disk.
        once = [kept == 1 != size for kept, size in zip(self.once, self.shape, strict=True)]
        places = tuple(slice(0, 1) if single else span for single, span in zip(once, spans, strict=True))
        with torch.inference_mode(False), torch.no_grad():
            raw = self._spill.read(self._name, self._array, self._chunks, places)
            part = _from_integers(raw, self.dtype).expand([span.stop - span.start for span in spans])
            return part[tuple(slice(None) if isinstance(entry, slice) else 0 for entry in index)]

    def load(self) -> Tensor:
        """All of it, in memory."""
        return self.read((slice(None),) * len(self.shape))

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return f"<SpilledValue: {' x '.join(map(str, self.shape)) or 'number'}, {dtype}>"


def chunk_shape(shape: tuple[int, ...], dims: tuple[str, ...], itemsize: int) -> tuple[int, ...]:
    """Size of a chunk per axis, at most CHUNK_BYTES in all.

    The columns of a picture come first, then its rows, then the other axes from the last to the first; parts of an axis
    are about equal, since the last chunk takes as much room on disk as the others.
    """
    room = max(1, CHUNK_BYTES // itemsize)
    chunks = [1] * len(shape)
    for axis in _inner_axes_first(dims, len(shape)):
        size = max(1, shape[axis])
        parts = -(-size // min(size, room))
        chunks[axis] = -(-size // parts)
        room //= chunks[axis]
        if parts > 1 or not room:
            break
    return tuple(chunks)


def _inner_axes_first(dims: tuple[str, ...], rank: int) -> list[int]:
    """Positions of all axes: the picture's columns and rows, then the others from the last to the first."""
    others = list(reversed(range(rank)))
    if len(dims) == rank:
        for row, column in _PICTURES:
            if row in dims and column in dims:
                sides = [dims.index(column), dims.index(row)]
                return [*sides, *(axis for axis in others if axis not in sides)]
    return others


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The part of the tensor in each chunk; nothing for an empty tensor, one empty tuple for a number."""
    starts = (range(0, size, chunk) for size, chunk in zip(shape, chunks, strict=True))
    for place in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + chunk, size)) for start, chunk, size in zip(place, chunks, shape, strict=True)
        )


def _span(entry: int | slice, size: int) -> slice:
    """What an entry of an index covers, as a slice of step 1 with both ends."""
    if isinstance(entry, slice):
        start, stop, step = entry.indices(size)
        if step != 1:
            raise IndexError(f"a slice with step {step}; only step 1 can be read.")
        return slice(start, max(start, stop))
    if not -size <= entry < size:
        raise IndexError(f"index {entry} is outside of an axis of size {size}.")
    return slice(entry % size, entry % size + 1)


def _as_integers(part: Tensor) -> Tensor:
    """The elements as integers, contiguous on the CPU; complex128 gets a last axis of 2."""
    part = part.resolve_conj().resolve_neg().contiguous().cpu()
    if part.element_size() not in INTEGERS:
        return torch.view_as_real(part).view(torch.int64)
    return part.view(INTEGERS[part.element_size()])


def _from_integers(raw: Tensor, dtype: torch.dtype) -> Tensor:
    if not raw.numel():  # numpy gives an empty array strides that no complex view takes
        raw = torch.empty_like(raw, memory_format=torch.contiguous_format)
    if dtype.itemsize not in INTEGERS:
        return torch.view_as_complex(raw.view(torch.float64))
    return raw.view(dtype)


def _import_zarr() -> ModuleType:
    try:
        import zarr  # noqa: PLC0415  # optional, and it takes a fifth of a second
    except ImportError:
        raise MissingExtraError(
            'spill= needs zarr, which is not installed; pip install "memviz_widgets[spill]" (Python 3.11 or later).'
        ) from None
    if int(zarr.__version__.split(".")[0]) < 3:
        raise MissingExtraError(
            f'spill= needs zarr 3, and zarr {zarr.__version__} is installed; pip install "memviz_widgets[spill]" '
            "(Python 3.11 or later)."
        )
    module: ModuleType = zarr
    return module


@contextmanager
def _using(folder: object) -> Iterator[None]:
    """One sentence about a folder that is none or cannot be used, in the place of what it raises."""
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise SpillError(f"spill={folder!r} is no folder; give a path, such as spill='captures'.")
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: "~name" of nobody
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise SpillError(
            f"spill={os.fspath(folder)!r} cannot be used: {reason}. Give a folder that can be made and written to."
        ) from error


def _own_folder(folder: str | os.PathLike[str]) -> Path:
    """A new folder inside ``folder``."""
    place = Path(folder).expanduser().absolute()  # the user may change directory later
    place.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="memviz-", suffix=".zarr", dir=place))


def _remove(path: Path, owner: int) -> None:
    """Remove the files, but never from a forked child, whose copy of the Spill ends before the parent's."""
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
