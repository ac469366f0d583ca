"""What was recorded, as plain data for the browser: layers, records, and the geometry of their pictures.

In: a cache's records. Out: a JSON-safe dict, without NaN and Inf, of the shape that frames.entries says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Protocol, TypedDict

from ..cache.aligned import ATTENTION_DIFFERENCE
from ..capture import cheap_collections
from ..records import TensorRecord, TensorStats
from .attention_heads import HEAD_KINDS, HEAD_MEASURES
from .attention_plan import AttentionPlan, is_attention, plan_attention, rollout_chains
from .entries import AttentionEntry, Catalog, LayerEntry, MemoryFrames, PictureEntry, RecordEntry, StatsEntry
from .memory_catalog import memory_entries, memory_pictures, pinned_range, time_tokens
from .memory_entries import ENTRY_MEASURES
from .memory_plan import MemoryRecords, plan_memory
from .plan import Picture, plan_record
from .record_message import record_message
from .token_places import Texts, TokenPlace, sent_texts, token_places

__all__ = ["Catalog", "RecordEntry", "Recorded", "build_catalog"]


OF_QUERIES = ("attention", ATTENTION_DIFFERENCE)
"""Kinds whose queries are timesteps: views of other layers go along with the one that is chosen."""


class LookEntry(TypedDict):
    """The fields of a RecordEntry that follow from its dims and shape."""

    shape: list[int]
    dims: list[str]
    extents: dict[str, int]
    frame: PictureEntry | None
    sheet: PictureEntry | None
    series: PictureEntry | None
    channels: int


class Recorded(Protocol):
    """What the catalog needs of a cache; ``records[i].index == i``."""

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """Every record, in the order of completion."""
        ...

    @property
    def token_texts(self) -> Texts:
        """Texts of the tokens by sequence, sample, position."""
        ...

    @property
    def step_labels(self) -> tuple[str, ...]:
        """What the steps are called; () where they have numbers only."""
        ...


@cheap_collections()
def build_catalog(cache: Recorded) -> Catalog:
    """The catalog of a cache: layers in the order of their first completion, their records by step and call."""
    records = cache.records
    stats = [record.stats for record in records if record.stats is not None]
    entries = [_record_entry(record) for record in records]
    for index, entry in _attention_entries(records, cache.token_texts):
        entries[index]["attention"] = entry
    memories = MemoryRecords(records)
    layers = _layer_entries(records, memories)
    _add_memory_frames(entries, records, cache.token_texts, memories)
    return {
        "layers": layers,
        "records": entries,
        "lo": min((each.min for each in stats if each.min is not None), default=None),
        "hi": max((each.max for each in stats if each.max is not None), default=None),
        "tokens": sent_texts(cache.token_texts, _batches(entries, len(cache.token_texts))),
        "head_measures": list(HEAD_MEASURES),
        "head_kinds": list(HEAD_KINDS),
        "memories": memory_entries(records, layers, memories),
        "entry_measures": list(ENTRY_MEASURES),
        "step_labels": list(cache.step_labels),
    }


def _layer_entries(records: tuple[TensorRecord, ...], memories: MemoryRecords) -> list[LayerEntry]:
    """Records that are joined into another are of no layer; that one is of every step that it joins."""
    layers: dict[tuple[str, str, str], LayerEntry] = {}
    steps = 1 + max((record.step for record in records), default=0)
    for record in records:
        if record.index in memories.hidden:
            continue
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
        for step in sorted({records[part].step for part in record.parts} or {record.step}):
            layer["records"][step].append(record.index)
    for layer in layers.values():
        for calls in layer["records"]:
            calls.sort(key=lambda index: records[index].call)
    return list(layers.values())


def _record_entry(record: TensorRecord) -> RecordEntry:
    plan = plan_record(record.dims, record.shape)
    return {
        **_look(record.dims, record.shape, shown=record.available, with_time=record.kind in OF_QUERIES),
        "dtype": record.dtype,
        "nbytes": record.nbytes,
        "kept": record.kept,
        "on_demand": record.on_demand,
        "message": record_message(record, plan),
        "stats": _stats_entry(record.stats),
        "attention": None,
        "memory": None,
    }


@lru_cache(maxsize=4096)
def _look(dims: tuple[str, ...], shape: tuple[int, ...], *, shown: bool, with_time: bool) -> LookEntry:
    """What records of one shape have in common: made once, and one object in all of them. Nobody may change it."""
    plan = plan_record(dims, shape)
    extents = dict(plan.extents)
    if with_time and "query" in extents:
        extents.setdefault("time", extents["query"])
    return {
        "shape": list(shape),
        "dims": list(dims),
        "extents": extents,
        "frame": _picture_entry(plan.frame) if shown else None,
        "sheet": _picture_entry(plan.sheet) if shown else None,
        "series": _picture_entry(plan.series) if shown else None,
        "channels": 0 if plan.channel is None else shape[plan.channel],
    }


def _attention_entries(records: tuple[TensorRecord, ...], texts: Texts) -> Iterator[tuple[int, AttentionEntry]]:
    """Index and entry of every record of attention weights that can be shown."""
    growing = any(record.step for record in records)
    chains = rollout_chains(records)
    earlier: dict[tuple[str, str, int], int] = {}
    for record in records:
        if _over_keys(record) and record.available:
            layer = (record.path, record.item, record.call)
            places = token_places(record, texts, growing=growing, earlier=earlier.get(layer, 0))
            earlier[layer] = earlier.get(layer, 0) + record.shape[2]
            plan = plan_attention(record.shape)
            yield record.index, _attention_entry(record, plan, places, in_chain=record.index in chains)


def _over_keys(record: TensorRecord) -> bool:
    """Whether the axes of a record are those of attention weights: of weights, or of their difference."""
    if record.kind == ATTENTION_DIFFERENCE:
        record = replace(record, kind="attention")
    return is_attention(record)


def _attention_entry(
    record: TensorRecord, plan: AttentionPlan, places: tuple[TokenPlace, TokenPlace], *, in_chain: bool
) -> AttentionEntry:
    _, heads, queries, keys = record.shape
    of_queries, of_keys = places
    return {
        "queries": queries,
        "keys": keys,
        "heads": heads,
        "tiles": _geometry(plan.tiles),
        "row": _geometry(plan.row),
        "log": _geometry(plan.log),
        "mean": _geometry(plan.mean),
        "max": _geometry(plan.max),
        "difference": _picture_entry(plan.difference),
        "rollout": _picture_entry(plan.rollout) if in_chain else None,
        "flow": _picture_entry(plan.flow) if in_chain else None,
        "query_tokens": {"sequence": of_queries.sequence, "offset": of_queries.offset},
        "key_tokens": {"sequence": of_keys.sequence, "offset": of_keys.offset},
    }


def _add_memory_frames(
    entries: list[RecordEntry], records: tuple[TensorRecord, ...], texts: Texts, memories: MemoryRecords
) -> None:
    """What can be shown of the parts of memories, and the sliders of their pictures."""
    for place, parts in enumerate(memories.by_label.values()):
        for record in parts:
            entry = entries[record.index]
            entry["memory"] = _memory_frames(record, place, records, texts, memories)
            time = plan_memory(record.dims, record.shape).time
            sliders = {} if time is None else {axis.trait: axis.size for axis in time.axes}
            entry["extents"] = {**entry["extents"], **sliders, **entry["extents"]}


def _memory_frames(
    record: TensorRecord, place: int, records: tuple[TensorRecord, ...], texts: Texts, memories: MemoryRecords
) -> MemoryFrames:
    pictures = memory_pictures(record, memories)
    tokens = time_tokens(record, texts)
    return {
        "memory": place,
        "units": plan_memory(record.dims, record.shape).units,
        "time": _picture_entry(pictures.time),
        "wrote": _picture_entry(pictures.wrote),
        "wrote_unit": _picture_entry(pictures.wrote_unit),
        "reads": _picture_entry(pictures.reads),
        "pinned": pinned_range(record, records),
        "tokens": {"sequence": tokens.sequence, "offset": tokens.offset},
        "saturation": pictures.saturation,
        "lags": pictures.lags,
        "entries": pictures.entries,
    }


def _batches(entries: list[RecordEntry], sequences: int) -> list[int]:
    """Per sequence of texts, the most samples of a record that has it."""
    batches = [1] * sequences
    for entry in entries:
        attention, memory = entry["attention"], entry["memory"]
        places = [] if attention is None else [attention["query_tokens"], attention["key_tokens"]]
        places += [] if memory is None else [memory["tokens"]]
        for place in places:
            if place["sequence"] >= 0:
                samples = entry["extents"].get("sample", 1)
                batches[place["sequence"]] = max(batches[place["sequence"]], samples)
    return batches


def _picture_entry(picture: Picture | None) -> PictureEntry | None:
    return None if picture is None else _geometry(picture)


def _geometry(picture: Picture) -> PictureEntry:
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
