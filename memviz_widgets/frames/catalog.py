"""What was recorded, as plain data for the browser: layers, records, and the geometry of their pictures.

In: a cache's records. Out: a JSON-safe dict, without NaN and Inf. The TypedDicts are generated into TypeScript.
"""

from __future__ import annotations

import math
from typing import Protocol, TypedDict

from ..records import TensorRecord, TensorStats
from .cell_value import float_text
from .plan import Picture, RecordPlan, plan_record


class AxisEntry(TypedDict):
    """A slider axis: selection trait, name of the dim, size."""

    trait: str
    dim: str
    size: int


class PictureEntry(TypedDict):
    """Geometry of the frames of one kind.

    ``rows, cols``: cells sent. ``full_rows, full_cols``: elements of the tensor. ``pool_rows, pool_cols``: elements
    that one cell stands for, 1 = not pooled. ``row_dim, col_dim``: names for the axes, "" = none. ``row_trait,
    col_trait``: selection trait that rows and columns stand for, "" = none. A flat frame index is row-major over
    ``axes``, the last fastest; page p holds frames ``p * frames_per_page ..``, ``frames`` in all.
    """

    rows: int
    cols: int
    full_rows: int
    full_cols: int
    pool_rows: int
    pool_cols: int
    row_dim: str
    col_dim: str
    row_trait: str
    col_trait: str
    axes: list[AxisEntry]
    frames: int
    frames_per_page: int


class StatsEntry(TypedDict):
    """Statistics of a record; None where no value is finite. ``zeros``: share 0..1 of all elements."""

    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    zeros: float
    nan: int
    posinf: int
    neginf: int
    count: int


class RecordEntry(TypedDict):
    """One record. ``message``: what the user must know, "" = nothing. ``extents``: size per selection trait.

    ``kept``: whether the values were held when the recording ended; ``on_demand``: not held, but to be had again.
    ``frame``, ``sheet``, ``series``: None where there is nothing to show. ``channels``: number of channels, 0 = none.
    """

    shape: list[int]
    dims: list[str]
    dtype: str
    nbytes: int
    kept: bool
    on_demand: bool
    message: str
    stats: StatsEntry | None
    extents: dict[str, int]
    frame: PictureEntry | None
    sheet: PictureEntry | None
    series: PictureEntry | None
    channels: int


class LayerEntry(TypedDict):
    """One place in the model. ``records``: index of its record by step, then by call.

    Every layer has all steps of the recording; one in which it did not run is ``[]``.
    """

    path: str
    module_type: str
    kind: str
    item: str
    label: str
    records: list[list[int]]


class Catalog(TypedDict):
    """Everything a notebook page knows before it asks. ``lo``, ``hi``: finite range over all records."""

    layers: list[LayerEntry]
    records: list[RecordEntry]
    lo: float | None
    hi: float | None


class Recorded(Protocol):
    """What the catalog needs of a cache; ``records[i].index == i``."""

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """Every record, in the order of completion."""
        ...


def build_catalog(cache: Recorded) -> Catalog:
    """The catalog of a cache: layers in the order of their first completion, their records by step and call."""
    records = cache.records
    stats = [record.stats for record in records if record.stats is not None]
    return {
        "layers": _layer_entries(records),
        "records": [_record_entry(record) for record in records],
        "lo": min((each.min for each in stats if each.min is not None), default=None),
        "hi": max((each.max for each in stats if each.max is not None), default=None),
    }


def record_message(record: TensorRecord, plan: RecordPlan) -> str:
    """What the user must know about this record, "" = nothing; several facts are joined by "; "."""
    if not record.available:
        return record.note or "not kept"
    facts = [
        record.note,
        _emptiness(record),
        _sameness(record),
        _pooling(plan.frame),
        "|z| of complex values is shown" if record.dtype.startswith("complex") else "",
        f"index 0 of {' and '.join(plan.fixed)} is shown" if plan.fixed else "",
    ]
    return "; ".join(fact for fact in facts if fact)


def _layer_entries(records: tuple[TensorRecord, ...]) -> list[LayerEntry]:
    layers: dict[tuple[str, str, str], LayerEntry] = {}
    steps = 1 + max((record.step for record in records), default=0)
    for record in records:
        layer = layers.setdefault(
            (record.path, record.kind, record.item),
            {
                "path": record.path,
                "module_type": record.module_type,
                "kind": record.kind,
                "item": record.item,
                "label": record.label,
                "records": [[] for _ in range(steps)],
            },
        )
        layer["records"][record.step].append(record.index)
    for layer in layers.values():
        for calls in layer["records"]:
            calls.sort(key=lambda index: records[index].call)
    return list(layers.values())


def _record_entry(record: TensorRecord) -> RecordEntry:
    plan = plan_record(record.dims, record.shape)
    shown = record.available
    return {
        "shape": list(record.shape),
        "dims": list(record.dims),
        "dtype": record.dtype,
        "nbytes": record.nbytes,
        "kept": record.kept,
        "on_demand": record.on_demand,
        "message": record_message(record, plan),
        "stats": _stats_entry(record.stats),
        "extents": dict(plan.extents),
        "frame": _picture_entry(plan.frame) if shown else None,
        "sheet": _picture_entry(plan.sheet) if shown else None,
        "series": _picture_entry(plan.series) if shown else None,
        "channels": 0 if plan.channel is None else record.shape[plan.channel],
    }


def _picture_entry(picture: Picture | None) -> PictureEntry | None:
    if picture is None:
        return None
    return {
        "rows": picture.rows,
        "cols": picture.cols,
        "full_rows": picture.full_rows,
        "full_cols": picture.full_cols,
        "pool_rows": picture.pool_rows,
        "pool_cols": picture.pool_cols,
        "row_dim": picture.row.dim if picture.row else "",
        "col_dim": picture.col.dim if picture.col else "",
        "row_trait": picture.row.trait if picture.row else "",
        "col_trait": picture.col.trait if picture.col else "",
        "axes": [{"trait": axis.trait, "dim": axis.dim, "size": axis.size} for axis in picture.axes],
        "frames": picture.frames,
        "frames_per_page": picture.frames_per_page,
    }


def _stats_entry(stats: TensorStats | None) -> StatsEntry | None:
    if stats is None:
        return None
    return {
        "min": _finite_or_none(stats.min),
        "max": _finite_or_none(stats.max),
        "mean": _finite_or_none(stats.mean),
        "std": _finite_or_none(stats.std),
        "zeros": _finite_or_none(stats.zeros) or 0.0,
        "nan": stats.nan,
        "posinf": stats.posinf,
        "neginf": stats.neginf,
        "count": stats.count,
    }


def _finite_or_none(number: float | None) -> float | None:
    """JSON has no NaN and no Inf: a sum that overflowed, say, is None."""
    return number if number is not None and math.isfinite(number) else None


def _emptiness(record: TensorRecord) -> str:
    if 0 not in record.shape:
        return ""
    return f"empty: shape ({', '.join(map(str, record.shape))}{',' if len(record.shape) == 1 else ''})"


def _sameness(record: TensorRecord) -> str:
    """A sentence for a record whose elements are all alike, or of which none is finite."""
    stats = record.stats
    if stats is None or stats.count < 2:
        return ""
    if stats.nan == stats.count:
        return f"all {stats.count:,} values are NaN"
    if stats.nan + stats.posinf + stats.neginf == stats.count:
        return f"no value is finite: {stats.nan:,} NaN, {stats.posinf:,} +Inf, {stats.neginf:,} -Inf"
    if stats.min is None or stats.min != stats.max or stats.nan + stats.posinf + stats.neginf:
        return ""
    what = "|z|" if record.dtype.startswith("complex") else "value"
    return f"every {what} is {_number_text(stats.min, record.dtype)}"


def _number_text(number: float, dtype: str) -> str:
    """A statistic of a record of this dtype, written as the dtype would be."""
    if dtype == "bool":
        return str(bool(number))
    if "float" in dtype or dtype.startswith("complex"):
        return float_text(number, "float64" if dtype == "complex128" else dtype)
    return f"{number:.0f}"


def _pooling(picture: Picture | None) -> str:
    if picture is None or picture.pool_rows == picture.pool_cols == 1:
        return ""
    return f"1 of {picture.pool_rows} x {picture.pool_cols} cells shown: largest |x|"
