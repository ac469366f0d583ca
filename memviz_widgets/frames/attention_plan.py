"""Which maps of attention weights can be drawn, and which layers a rollout goes through.

In: the shape of a record of attention weights; all records. Out: the geometry of the maps, and the layers that follow
on each other. No tensor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..records import TensorRecord
from .plan import MAX_TILES, Axis, Picture, frames_per_page
from .pool import MAX_CELLS, TILE_CELLS, window

WEIGHTS = ("batch", "head", "query", "key")
"""The dims of a record of attention weights."""


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """The maps of a record of attention weights beside its frames; see frames.entries.AttentionEntry.

    ``difference`` is None for one head. ``rollout`` and ``flow`` are there for square maps; whether there is one, the
    layers before decide (`rollout_chains`). A flow is one row, that of a query.
    """

    tiles: Picture
    row: Picture
    log: Picture
    mean: Picture
    max: Picture
    difference: Picture | None
    rollout: Picture | None
    flow: Picture | None


def is_attention(record: TensorRecord) -> bool:
    """Whether a record is of attention weights that can be drawn as such."""
    of_kind = record.kind == "attention" and record.dims == WEIGHTS
    return of_kind and 0 not in record.shape and not record.dtype.startswith("complex")


@lru_cache(maxsize=4096)
def plan_attention(shape: tuple[int, ...]) -> AttentionPlan:
    """The plan of a record of attention weights of this shape, (batch, head, query, key), each 1 or more."""
    _, heads, queries, keys = shape
    sample, head, query, key = (
        Axis(position, dim, trait, size)
        for position, (dim, trait, size) in enumerate(
            zip(WEIGHTS, ("sample", "head", "query", "key"), shape, strict=True)
        )
    )
    other = replace(head, trait="other")
    pooled = (window(queries, MAX_CELLS), window(keys, MAX_CELLS))
    single = Picture(query, key, (sample, head), (), *pooled)
    over_heads = Picture(query, key, (sample,), (), *pooled)
    difference = Picture(query, key, (sample, head, other), (), *pooled)
    tile = Picture(query, key, (sample, head), (), window(queries, TILE_CELLS), window(keys, TILE_CELLS))
    single = replace(single, frames_per_page=frames_per_page(single, cell_bytes=1))
    combined = replace(over_heads, frames_per_page=frames_per_page(over_heads, cell_bytes=1, read_per_frame=heads))
    # A page of tiles is a sample with all its heads; one of differences is a head beside all others, or a part.
    of_a_head = min(heads, frames_per_page(difference, cell_bytes=1, read_per_frame=2))
    return AttentionPlan(
        tiles=replace(tile, frames_per_page=min(heads, MAX_TILES)),
        row=single,
        log=single,
        mean=combined,
        max=combined,
        difference=replace(difference, frames_per_page=of_a_head) if heads > 1 else None,
        rollout=over_heads if queries == keys else None,
        flow=Picture(None, key, (sample, query), (), 1, pooled[1]) if queries == keys else None,
    )


def rollout_chains(records: Sequence[TensorRecord]) -> dict[int, tuple[list[int], int]]:
    """Index of a record -> the layers of its rollout and flow, as a shared list of indices and how many of them count.

    The layers are the attentions of the same step up to this record, in execution order. Where several modules are
    called several times in a step, those of the same call, if each call ends before the next begins; the calls of a
    single module are layers (as in ALBERT, which shares one). A record has no rollout when one of its layers is not
    self-attention over the same tokens: another shape, a decoder after an encoder, or two kinds of attention in one
    layer.
    """
    steps: dict[tuple[int, bool], list[TensorRecord]] = {}
    for record in records:
        if record.kind == "attention":  # maps over all steps are layers of each other, too
            steps.setdefault((record.step, bool(record.parts)), []).append(record)
    chains = {}
    for attentions in steps.values():
        for layers in _passes(attentions):
            indices = [record.index for record in layers]
            for count in range(1, _unbroken(layers) + 1):
                chains[indices[count - 1]] = (indices, count)
    return chains


def _passes(attentions: list[TensorRecord]) -> list[list[TensorRecord]]:
    """The attentions of a step in one list per pass through the model; none when that cannot be told."""
    places = {(record.path, record.item) for record in attentions}
    calls = [record.call for record in attentions]
    if len(places) == 1 or not any(calls):
        return [attentions]
    if calls != sorted(calls):
        return []
    passes: dict[int, list[TensorRecord]] = {}
    for record in attentions:
        passes.setdefault(record.call, []).append(record)
    return list(passes.values())


def _unbroken(layers: list[TensorRecord]) -> int:
    """How many layers from the first on are self-attention over the same tokens."""
    first = layers[0]
    kinds: dict[tuple[str, int], str] = {}
    sides: set[str] = set()
    for count, record in enumerate(layers):
        kind = re.sub(r"\d+", "", f"{record.path}[{record.item}]")
        sides |= {"encoder", "decoder"} & set(record.path.lower().split("."))
        one_layer = record.caller is None or kinds.setdefault(record.caller, kind) == kind
        shown = is_attention(record) and record.available
        same = shown and (record.shape[0], *record.shape[2:]) == (first.shape[0], first.shape[2], first.shape[2])
        if not same or not one_layer or len(sides) > 1:
            return count
    return len(layers)
