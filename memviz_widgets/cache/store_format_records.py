"""Records in a saved capture: every field, and which arrays hold the value.

In: TensorRecords and a StoredValue each, or what an index says. Out: JSON; records that fit together, or FormatError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import FormatError
from ..records import Placement, TensorRecord, TensorStats
from .store_format_arrays import DTYPES, StoredArray
from .store_format_fields import Fields, number_as_json

WEIGHTS = ("batch", "head", "query", "key")
_STATS = tuple(field.name for field in fields(TensorStats))
_MOMENTS = ("min", "max", "mean", "std", "zeros")
MOST_PARTS = 10**6
"""Records that one joins."""
MOST_RANKS = 10**6
"""Processes that one launch has."""
PLACEMENTS = ("replicate", "partial sum", "batch")
"""What a placement may be besides "shard" with an axis."""
_SHARD = re.compile(r"shard (\d{1,2})")


@dataclass(frozen=True, slots=True)
class StoredValue:
    """Which arrays hold the value of a record.

    Attributes:
        arrays: {"": its elements}, or {"query", "key"} and perhaps {"mask"} of attention weights.
        is_causal, scale, note: Of attention weights, see capture.attention.QueryKey.
    """

    arrays: dict[str, int]
    is_causal: bool = False
    scale: float = 1.0
    note: str = ""

    @property
    def is_attention(self) -> bool:
        """Whether these are weights that are computed when they are read."""
        return "query" in self.arrays


def record_as_json(record: TensorRecord, value: StoredValue | None) -> dict[str, Any]:
    """For the index."""
    entries = {field.name: getattr(record, field.name) for field in fields(record)}
    entries["stats"] = record.stats and {name: number_as_json(number) for name, number in asdict(record.stats).items()}
    entries["residual"] = number_as_json(record.residual)
    entries["placement"] = record.placement and asdict(record.placement)
    entries["value"] = None if value is None else _value_as_json(value)
    return entries


def _value_as_json(value: StoredValue) -> dict[str, Any]:
    options = {"is_causal": value.is_causal, "scale": number_as_json(value.scale), "note": value.note}
    return {"arrays": value.arrays, **(options if value.is_attention else {})}


Found = list[tuple[TensorRecord, StoredValue | None]]


def read_records(entries: Iterable[Fields], arrays: Sequence[StoredArray]) -> Found:
    """The records that an index declares, with their values.

    Raises:
        FormatError: when something is of another type than it must be, or a record does not fit its arrays or parts.
    """
    found: Found = []
    for index, each in enumerate(entries):
        record = _read_record(index, each)
        inner = each.inner("value")
        value = None if inner is None else _read_value(inner, len(arrays))
        if value is not None:
            check_value(record, value, arrays)
        if record.parts:
            _check_parts(record, [part for part, _ in found])
        elif record.available != (value is not None):
            raise each.refuse("value", "a value where kept or on_demand is true, and null elsewhere")
        found.append((record, value))
    return found


def _read_record(index: int, each: Fields) -> TensorRecord:
    if each.whole("index") != index:
        raise each.refuse("index", f"{index}, its position")
    dims, shape, dtype = tuple(each.texts("dims")), each.wholes("shape"), each.text("dtype")
    if dtype and (dtype not in DTYPES or len(dims) != len(shape)):
        raise each.refuse("dims", f"a name for each of {len(shape)} axes, and a dtype that this torch has")
    stats = each.inner("stats")
    return TensorRecord(
        index=index,
        path=each.text("path"),
        module_type=each.text("module_type"),
        call=each.whole("call"),
        kind=each.text("kind"),
        item=each.text("item"),
        dims=dims,
        shape=shape,
        dtype=dtype,
        device=each.text("device"),
        nbytes=each.whole("nbytes"),
        stats=None if stats is None else _read_stats(stats),
        kept=each.truth("kept"),
        note=each.text("note"),
        residual=each.number("residual"),
        step=each.whole("step"),
        on_demand=each.truth("on_demand"),
        memory=each.text("memory"),
        caller=_read_caller(each),
        parts=each.wholes("parts", index, MOST_PARTS) if index else (),
        # Captures from before there were ranks have no such entries.
        placement=_read_placement(each, shape) if each.has("placement") else None,
        rank=each.whole("rank", MOST_RANKS) if each.has("rank") and not each.is_null("rank") else None,
    )


def _read_placement(each: Fields, local: tuple[int, ...]) -> Placement | None:
    inner = each.inner("placement")
    if inner is None:
        return None
    placement = Placement(
        mesh=inner.wholes("mesh"),
        mesh_dims=tuple(inner.texts("mesh_dims")),
        ranks=inner.wholes("ranks", MOST_RANKS, MOST_RANKS),
        placements=tuple(inner.texts("placements")),
        shape=inner.wholes("shape"),
    )
    axes = len(placement.mesh)
    if not len(placement.mesh_dims) == len(placement.placements) == axes or not axes:
        raise inner.refuse("placements", f"a placement and a name for each of {axes} axes of the mesh, at least one")
    if (
        0 in placement.mesh
        or math.prod(placement.mesh) != len(placement.ranks)
        or len(set(placement.ranks)) != len(placement.ranks)
    ):
        raise inner.refuse("ranks", f"{math.prod(placement.mesh)} ranks, each once")
    if placement.shape and len(placement.shape) != len(local):
        raise inner.refuse("shape", f"a size for each of {len(local)} axes, or none")
    for text in placement.placements:
        axis = sharded_axis(text)
        if text not in PLACEMENTS if axis is None else axis >= len(local):
            raise inner.refuse("placements", f"{', '.join(PLACEMENTS)} or 'shard' and an axis below {len(local)}")
    return placement


def sharded_axis(placement: str) -> int | None:
    """The axis of the tensor that "shard 2" names; None of other placements."""
    found = _SHARD.fullmatch(placement)
    return None if found is None else int(found[1])


def _read_stats(each: Fields) -> TensorStats:
    moments = {name: each.number(name) for name in _MOMENTS}
    if moments["zeros"] is None:
        raise each.refuse("zeros", "a number")
    return TensorStats(**moments, **{name: each.whole(name) for name in _STATS if name not in _MOMENTS})  # type: ignore[arg-type]


def _read_caller(each: Fields) -> tuple[str, int] | None:
    if each.is_null("caller"):
        return None
    match each.array("caller"):
        case [str(path), int(call)]:
            return path, call
    raise each.refuse("caller", "a path and a call, or null")


def _read_value(each: Fields, count: int) -> StoredValue:
    inside = each.inner("arrays")
    names = () if inside is None else tuple(name for name in ("", "query", "key", "mask") if inside.has(name))
    if inside is None or names not in (("",), ("query", "key"), ("query", "key", "mask")):
        raise each.refuse("arrays", "the numbers of one array, or of query, key and perhaps mask")
    arrays = {name: inside.whole(name, count) for name in names}
    if names == ("",):
        return StoredValue(arrays)
    scale = each.number("scale")
    if scale is None:
        raise each.refuse("scale", "a number")
    return StoredValue(arrays, each.truth("is_causal"), scale, each.text("note"))


def check_value(record: TensorRecord, value: StoredValue, arrays: Sequence[StoredArray]) -> None:
    """Refuse a value of another shape or dtype than its record says.

    Raises:
        FormatError: with both.
    """
    if value.is_attention:
        shape, dtype = _weights_of(*(arrays[value.arrays[name]] for name in value.arrays))
    else:
        array = arrays[value.arrays[""]]
        shape, dtype = array.full, str(array.dtype).removeprefix("torch.")
    if (shape, dtype) != (record.shape, record.dtype):
        raise FormatError(
            f"record {record.index} is {record.dtype} of shape {record.shape}, and its arrays make {dtype} of {shape}"
        )


def _weights_of(query: StoredArray, key: StoredArray, mask: StoredArray | None = None) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of the attention weights that these make: (B, N, Q, K)."""
    fault = FormatError(f"query {query.full} and key {key.full} make no attention weights")
    if len(query.full) != 4 or len(key.full) != 4 or query.full[3] != key.full[3]:
        raise fault
    if not (query.dtype.is_floating_point and key.dtype.is_floating_point):
        raise fault
    (batch, heads), (others, groups) = query.full[:2], key.full[:2]
    if (batch != others and 1 not in (batch, others)) or (heads != 1 and heads % max(groups, 1)):
        raise fault
    shape = (others if batch == 1 else batch, groups if heads == 1 else heads, query.full[2], key.full[2])
    if mask is not None:
        sizes = (1,) * (4 - len(mask.full)) + mask.full
        if len(sizes) != 4 or any(size not in (1, whole) for size, whole in zip(sizes, shape, strict=True)):
            raise FormatError(f"a mask of shape {mask.full} does not fit attention weights of shape {shape}")
    return shape, "float64" if str(query.dtype) == "torch.float64" else "float32"


def _check_parts(record: TensorRecord, before: Sequence[TensorRecord]) -> None:
    """Refuse a record that joins what cannot be joined to it."""
    parts = [before[index] for index in record.parts]
    axis = "query" if record.kind == "attention" else "time"
    first = parts[0]
    fault = FormatError(f"record {record.index} of shape {record.shape} does not fit the {len(parts)} that it joins")
    same = all((part.dims, part.dtype) == (first.dims, record.dtype) for part in parts)
    if not same or axis not in record.dims or any(part.parts for part in parts):
        raise fault
    at = record.dims.index(axis)
    if record.kind == "attention":
        # Fewer keys than the whole has: those of later steps. See cache.joined_attention.
        fits = record.dims == WEIGHTS == first.dims and all(
            part.shape[:2] == record.shape[:2] and part.shape[3] <= record.shape[3] for part in parts
        )
        length = sum(part.shape[2] for part in parts) if fits else -1
    else:
        rests = {_without(part, axis) for part in parts}
        fits = rests == {(*record.shape[:at], *record.shape[at + 1 :])}
        stacked = axis not in first.dims
        length = len(parts) if stacked else sum(part.shape[first.dims.index(axis)] for part in parts)
    if not fits or length != record.shape[at]:
        raise fault


def _without(part: TensorRecord, axis: str) -> tuple[int, ...]:
    """Sizes of a part but for the joined axis, and for the one query that reads in a row have (cache.joined)."""
    skipped = {axis, "query"} if part.kind == "attention" else {axis}
    return tuple(size for size, dim in zip(part.shape, part.dims, strict=True) if dim not in skipped)
