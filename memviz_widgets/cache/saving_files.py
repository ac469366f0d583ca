"""Writers of a saved capture: a Zarr folder, or one safetensors file. Nothing half written stays under the final name.

In: chunks of arrays, and at the end the index. Out: the folder or file. On this machine it is written beside its final
place and renamed; elsewhere the label, without which nothing opens, is written last.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch

from ..errors import SaveError
from .opening import INDEX_NAME, LABEL_KEY, LABEL_NAME, MOST_HEADER_BYTES
from .opening_values import chunk_name
from .store_files import StorePlace
from .store_format import MOST_INDEX_BYTES, label_of
from .store_format_arrays import Place, StoredArray

_SAFETENSORS = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "complex64": "C64",
}
"""torch's name of a dtype -> that of the format; of others the elements are written as integers of their size."""
_SAFETENSORS_INTEGERS = {1: "U8", 2: "I16", 4: "I32", 8: "I64", 16: "I64"}
_ZARR = {name for name in _SAFETENSORS if name not in ("bfloat16", "float8_e5m2", "float8_e4m3fn")} | {"complex128"}
_ZARR_INTEGERS = {1: "uint8", 2: "int16", 4: "int32"}


def zarr_type(dtype: torch.dtype) -> str:
    """Zarr's name of a dtype, or that of the integers of its size as which it is stored."""
    name = str(dtype).removeprefix("torch.")
    return name if name in _ZARR else _ZARR_INTEGERS[dtype.itemsize]


class Writer(Protocol):
    """Takes what belongs to a saved capture, piece by piece."""

    pads: bool
    """Whether a chunk at the end of an array is filled up to its full size."""
    pictures_first: bool
    """Whether chunks may be laid out for pictures; else they are runs of bytes."""

    def chunk(self, array: StoredArray, place: Place, data: bytes) -> None:
        """One chunk; those of an array come one after the other, in order."""
        ...

    def array(self, array: StoredArray, dims: tuple[str, ...]) -> None:
        """All chunks of this array are written."""
        ...

    def finish(self, index: bytes, *, overwrite: bool) -> None:
        """Everything is written: give it its name."""
        ...

    def abort(self) -> None:
        """Leave nothing behind."""
        ...


class FolderWriter:
    """A Zarr folder (format 3): ``zarr.json``, the index ``memviz.json``, and a folder per array in ``values``."""

    pads = True
    pictures_first = True

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        root = Path(place.root)
        self._root = str(root.parent / f".{root.name}.{uuid.uuid4().hex[:8]}.part") if place.local else place.root
        if place.local:
            Path(self._root).mkdir(parents=True)

    def chunk(self, array: StoredArray, place: Place, data: bytes) -> None:
        """A file."""
        if not any(place):
            self._make_folder(f"values/{array.number}")
        self._write(chunk_name(array, place), data)

    def array(self, array: StoredArray, dims: tuple[str, ...]) -> None:
        """What another reader of Zarr must know of it."""
        self._make_folder(f"values/{array.number}")
        name = str(array.dtype).removeprefix("torch.")
        kind = zarr_type(array.dtype)
        described = {
            "shape": array.once,
            "data_type": kind,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": array.chunks}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if kind == "bool" else [0, 0] if kind.startswith("complex") else 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "dimension_names": dims if len(dims) == len(array.once) else None,
            "attributes": {"torch_dtype": name, "torch_shape": array.full},
        }
        self._describe(f"values/{array.number}/{LABEL_NAME}", "array", described)

    def finish(self, index: bytes, *, overwrite: bool) -> None:
        """The index, then the label; then the name."""
        self._make_folder("values")
        self._describe(f"values/{LABEL_NAME}", "group", {"attributes": {}})
        self._write(INDEX_NAME, index)
        self._describe(LABEL_NAME, "group", {"attributes": {LABEL_KEY: label_of(index)}})
        if self._place.local:
            _take_the_place(Path(self._root), Path(self._place.root), overwrite=overwrite)

    def abort(self) -> None:
        """Remove the folder that was begun."""
        if self._place.local:
            shutil.rmtree(self._root, ignore_errors=True)
        elif self._place.files.exists(self._root):
            self._place.files.rm(self._root, recursive=True)

    def _describe(self, name: str, node: str, entries: dict[str, Any]) -> None:
        text = json.dumps({"zarr_format": 3, "node_type": node, **entries}, indent=2)
        self._write(name, text.encode("ascii"))

    def _make_folder(self, name: str) -> None:
        if self._place.local:
            Path(self._root, name).mkdir(parents=True, exist_ok=True)
        else:
            self._place.files.makedirs(f"{self._root}/{name}", exist_ok=True)

    def _write(self, name: str, data: bytes) -> None:
        if self._place.local:
            Path(self._root, name).write_bytes(data)
        else:
            self._place.files.pipe_file(f"{self._root}/{name}", data)


class FileWriter:
    """A safetensors file. Elements go to a file of their own first: the header before them holds their checksums."""

    pads = False
    pictures_first = False

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._folder: Path | None = None
        if place.local:
            self._folder = Path(place.root).parent
            self._folder.mkdir(parents=True, exist_ok=True)
        self._elements: BinaryIO = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        self._header: dict[str, Any] = {}
        self._begun: Path | None = None

    def chunk(self, array: StoredArray, place: Place, data: bytes) -> None:
        """The next run of bytes."""
        self._elements.write(data)

    def array(self, array: StoredArray, dims: tuple[str, ...]) -> None:
        """An entry of the header."""
        size = array.dtype.itemsize
        kind = _SAFETENSORS.get(str(array.dtype).removeprefix("torch."))
        stop = self._elements.tell()
        self._header[str(array.number)] = {
            "dtype": kind or _SAFETENSORS_INTEGERS[size],
            "shape": array.once if kind or array.dtype is not torch.complex128 else array.shape,
            "data_offsets": [stop - array.nbytes, stop],
        }

    def finish(self, index: bytes, *, overwrite: bool) -> None:
        """Header and elements, one after the other."""
        metadata = {"format": "pt", LABEL_KEY: json.dumps(label_of(index)), "index": index.decode("ascii")}
        header = json.dumps({"__metadata__": metadata, **self._header}, separators=(",", ":")).encode("ascii")
        header += b" " * (-len(header) % 8)
        if len(header) > MOST_HEADER_BYTES:
            raise SaveError(
                f"{self._place.text!r}: the records would make a header of {len(header)} bytes, and safetensors takes "
                f"{MOST_HEADER_BYTES}. Save as .zarr."
            )
        number, name = tempfile.mkstemp(suffix=".part", dir=self._folder)
        self._begun = Path(name)
        with os.fdopen(number, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            self._elements.seek(0)
            shutil.copyfileobj(self._elements, file)
        if self._place.local:
            _take_the_place(self._begun, Path(self._place.root), overwrite=overwrite)
        else:
            self._place.files.put_file(name, self._place.root)
        self.abort()

    def abort(self) -> None:
        """Remove what was begun."""
        self._elements.close()
        if self._begun is not None:
            self._begun.unlink(missing_ok=True)


def _take_the_place(made: Path, final: Path, *, overwrite: bool) -> None:
    """Rename to the final name; what stands there goes only when the new one is whole."""
    if os.path.lexists(final) and not overwrite:
        raise SaveError(f"{str(final)!r} came to be while the capture was written; give another path.")
    if made.is_dir() and os.path.lexists(final):
        old = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.old")
        final.rename(old)
        made.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        made.replace(final)


def check_index(place: StorePlace, index: bytes) -> None:
    """Refuse an index that no reader would take.

    Raises:
        SaveError: with its size.
    """
    if len(index) > MOST_INDEX_BYTES:
        raise SaveError(
            f"{place.text!r}: the records make an index of {len(index)} bytes, more than {MOST_INDEX_BYTES}; record "
            "fewer layers with layers=, or fewer steps."
        )
