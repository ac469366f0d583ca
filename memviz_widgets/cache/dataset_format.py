"""How a recorded data set lies in its folder: the label, the arrays, and the commit. See docs/format.md.

In: what is recorded and how far it is. Out: files of a Zarr folder; or what they say, checked, or FormatError.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..errors import FormatError
from .dataset_statistics import BINS, Array
from .saving_files import zarr_type
from .store_format_arrays import DTYPES
from .store_format_fields import MOST_ELEMENTS, Fields, parsed

FORMAT, VERSION = "memviz_widgets data set", 1
COMMIT_NAME = "commit.safetensors"
CHUNK_BYTES = 4096
"""Samples that are smaller share a chunk of about this many bytes; a larger one is a chunk by itself."""
SUM_BYTES = 4
"""The CRC-32C behind each chunk, and behind the index of a shard."""
PART_STATE = ("spans", "whole")
"""What the commit of one rank among several has besides: rows of first sample and number of samples, in the order in
which they lie here; and batches and samples of the whole loader, 0 = not known."""
MISSING = 2**64 - 1
"""In the index of a shard: there is no such chunk."""
_TALLIES = ("count", "finite", "zero", "posinf", "neginf", "mean", "squares", "min", "max")
_TYPES = {"F64": np.dtype("<f8"), "I64": np.dtype("<i8")}


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """One output of a layer, over all samples.

    Attributes:
        number: Its name in the folder.
        path, module_type, call, item, note: As in a TensorRecord.
        dims: "batch", then the names of the axes of a sample.
        sample: Size per axis of one sample.
        dtype: Of what is kept.
        together: Samples in a chunk.
    """

    number: int
    path: str
    module_type: str
    call: int
    item: str
    note: str
    dims: tuple[str, ...]
    sample: tuple[int, ...]
    dtype: torch.dtype
    together: int = 1

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.sample) * self.dtype.itemsize

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk, without its checksum."""
        return self.together * self.sample_bytes

    @property
    def channels(self) -> int:
        """Channels of a sample; 1 where no axis is called so."""
        return self.sample[self.dims.index("channel") - 1] if "channel" in self.dims else 1

    def as_json(self) -> dict[str, Any]:
        """For the label."""
        names = ("path", "module_type", "call", "item", "note", "together")
        rest = {"dims": list(self.dims), "sample": list(self.sample), "dtype": str(self.dtype).removeprefix("torch.")}
        return {**{name: getattr(self, name) for name in names}, **rest}


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """What a folder holds, fixed with the first batch.

    Attributes:
        model: Class of the model.
        weights: CRC-32 over parameters and buffers, 8 hexadecimal digits; of large ones over elements spread over them.
        layers: Paths of the layers; () for all.
        reduce: Name of the reduction, "" for none.
        dtype: Name of the dtype that was asked for, "" for the layers' own.
        top_k: Examples per channel.
        shard_samples: Samples in a shard, which is one file of each array.
        arrays: The outputs.
    """

    model: str
    weights: str
    layers: tuple[str, ...]
    reduce: str
    dtype: str
    top_k: int
    shard_samples: int = 0
    arrays: tuple[ArrayPlan, ...] = ()

    def with_shards(self, batch: int, shard_bytes: int) -> DatasetPlan:
        """The plan with sizes of chunks and shards: whole batches to a shard where they fit, so that none is split."""
        room = max(1, shard_bytes // max(1, sum(each.sample_bytes for each in self.arrays)))
        samples = batch * (room // batch) if room >= batch else room
        samples = min(samples, max(batch, 1 << 16))
        arrays = []
        for each in self.arrays:
            together = max(1, min(samples, CHUNK_BYTES // max(1, each.sample_bytes)))
            while samples % together:
                together -= 1
            arrays.append(replace(each, together=together))
        return replace(self, shard_samples=samples, arrays=tuple(arrays))

    def difference(self, other: DatasetPlan) -> str:
        """What another plan has otherwise, as "name: here, there"; "" when nothing. Sizes of shards do not count."""
        for name in ("model", "layers", "reduce", "dtype", "top_k", "weights"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} {_shown(mine)}, not {_shown(theirs)}"
        return ""

    def as_json(self) -> dict[str, Any]:
        """The label of the folder."""
        names = ("model", "weights", "reduce", "dtype", "top_k", "shard_samples")
        return {
            "format": FORMAT,
            "version": VERSION,
            **{name: getattr(self, name) for name in names},
            "layers": list(self.layers),
            "arrays": [each.as_json() for each in self.arrays],
        }


@dataclass(frozen=True, slots=True)
class Commit:
    """How far a recording is: what a reader may rely on.

    Attributes:
        samples: Samples that are written.
        batches: Batches of which all samples are written.
        taken: Samples of the next batch that are written too.
        inputs: CRC-32 over the tensors of those batches.
        complete: Whether the loader has ended.
        last: CRC-32 over the tensors of the last of those batches; None when that is not known.
    """

    samples: int = 0
    batches: int = 0
    taken: int = 0
    inputs: int = 0
    complete: bool = False
    last: int | None = None


def group_json(plan: DatasetPlan) -> bytes:
    """``zarr.json`` of the folder."""
    return _zarr_json("group", {"attributes": {"memviz": plan.as_json()}})


def array_json(plan: DatasetPlan, array: ArrayPlan, samples: int) -> bytes:
    """``zarr.json`` of an array that has so many samples: sharded, each chunk with a CRC-32C."""
    name = str(array.dtype).removeprefix("torch.")
    kind = zarr_type(array.dtype)
    plain = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    sharding = {
        "chunk_shape": [array.together, *array.sample],
        "codecs": plain,
        "index_codecs": plain,
        "index_location": "end",
    }
    return _zarr_json(
        "array",
        {
            "shape": [samples, *array.sample],
            "data_type": kind,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [plan.shard_samples, *array.sample]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if kind == "bool" else 0,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "dimension_names": list(array.dims),
            "attributes": {"torch_dtype": name, "path": array.path, "call": array.call, "item": array.item},
        },
    )


def _zarr_json(node: str, entries: dict[str, Any]) -> bytes:
    return json.dumps({"zarr_format": 3, "node_type": node, **entries}, indent=1).encode("ascii")


def shard_name(array: ArrayPlan, shard: int) -> str:
    """The file of a shard within the folder."""
    return f"values/{array.number}/{'.'.join(('c', str(shard), *('0' for _ in array.sample)))}"


def read_plan(text: bytes) -> DatasetPlan:
    """What ``zarr.json`` of a folder says.

    Raises:
        FormatError: when it is no data set, a newer one, or something of it does not fit.
    """
    attributes = parsed(text, "zarr.json").inner("attributes")
    label = attributes.inner("memviz") if attributes is not None and attributes.has("memviz") else None
    if label is None or not label.has("format") or label.text("format") != FORMAT:
        raise FormatError("it is no data set that mv.record_dataset wrote")
    if label.whole("version") > VERSION:
        raise FormatError(f"it has version {label.whole('version')} and this package reads {VERSION}; update it")
    samples = label.whole("shard_samples")
    arrays = tuple(_read_array(number, each, samples) for number, each in enumerate(label.inners("arrays", "array")))
    texts = {name: label.text(name) for name in ("model", "weights", "reduce", "dtype")}
    return DatasetPlan(
        **texts,
        layers=tuple(label.texts("layers")),
        top_k=label.whole("top_k", 1 << 20),
        shard_samples=samples,
        arrays=arrays,
    )


def _read_array(number: int, fields: Fields, shard_samples: int) -> ArrayPlan:
    dtype, dims, sample = fields.text("dtype"), tuple(fields.texts("dims")), fields.wholes("sample")
    together = fields.whole("together")
    if dtype not in DTYPES:
        raise fields.refuse("dtype", "a dtype that this torch has, such as 'float32'")
    if len(dims) != len(sample) + 1 or dims[0] != "batch" or 0 in sample or math.prod(sample) >= MOST_ELEMENTS:
        raise fields.refuse("dims", "'batch' and a name per axis of sample, none of size 0")
    if not together or not shard_samples or shard_samples % together:
        raise fields.refuse("together", f"a divisor of the {shard_samples} samples of a shard")
    texts = {name: fields.text(name) for name in ("path", "module_type", "item", "note")}
    rest = {"dims": dims, "sample": sample, "dtype": DTYPES[dtype], "together": together}
    return ArrayPlan(number=number, call=fields.whole("call"), **texts, **rest)  # type: ignore[arg-type]  # as it says


def commit_bytes(commit: Commit, state: Mapping[str, Array]) -> bytes:
    """The commit with the state of the statistics, as a safetensors file."""
    header: dict[str, Any] = {}
    parts, stop = [], 0
    for name, array in state.items():
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        kind = "F64" if array.dtype.kind == "f" else "I64"
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [stop, stop + len(data)]}
        parts.append(data)
        stop += len(data)
    data = b"".join(parts)
    said = {name: getattr(commit, name) for name in ("samples", "batches", "taken", "inputs", "complete")}
    if commit.last is not None:
        said["last"] = commit.last
    header["__metadata__"] = {"commit": json.dumps(said), "crc32": f"{zlib.crc32(data):08x}"}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def read_commit(data: bytes, plan: DatasetPlan) -> tuple[Commit, dict[str, Array]]:
    """How far the recording is, and the state of its statistics.

    Raises:
        FormatError: when it is damaged or does not fit the plan.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = parsed(data[8:start], COMMIT_NAME)
    beside = header.inner("__metadata__")
    if beside is None or f"{zlib.crc32(data[start:]):08x}" != beside.text("crc32"):
        raise FormatError(f"the checksum of {COMMIT_NAME} does not fit: the file is damaged")
    fields = parsed(beside.text("commit").encode(), COMMIT_NAME)
    whole = {name: fields.whole(name) for name in ("samples", "batches", "taken", "inputs")}
    last = fields.whole("last") if fields.has("last") else None
    commit = Commit(**whole, complete=fields.truth("complete"), last=last)
    state: dict[str, Array] = {}
    shapes = state_shapes(plan)
    for name in filter(header.has, PART_STATE):
        entry = header.inner(name)
        rows = entry.wholes("shape")[:1] if entry is not None else ()
        shapes[name] = (*rows, 2)
    for name, shape in shapes.items():
        entry = header.inner(name)
        if entry is None or entry.wholes("shape") != shape or entry.text("dtype") not in _TYPES:
            raise FormatError(f"{name!r} of {COMMIT_NAME} is not as the arrays need it")
        first, last = entry.wholes("data_offsets", most=2)
        kind = _TYPES[entry.text("dtype")]
        if last - first != math.prod(shape) * kind.itemsize or start + last > len(data):
            raise FormatError(f"{name!r} of {COMMIT_NAME} has another size than it says")
        state[name] = np.frombuffer(data, kind, math.prod(shape), start + first).reshape(shape)
    return commit, state


def state_shapes(plan: DatasetPlan) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all arrays of the statistics."""
    shapes: dict[str, tuple[int, ...]] = {}
    for each in plan.arrays:
        own = dict.fromkeys(_TALLIES, (each.channels,))
        top = dict.fromkeys(("top_value", "top_sample", "top_place"), (plan.top_k, each.channels))
        every = {**own, "histogram": (each.channels, BINS), **top}
        shapes.update({f"{each.number}.{name}": shape for name, shape in every.items()})
    return shapes


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(repr, value)) or "(all)"
    return repr(value) if value != "" else "(none)"
