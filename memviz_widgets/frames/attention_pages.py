"""Pages and numbers of the maps of attention weights: the part of PageSource that only such records have.

In: a record with its value, and the cache for the layers before it. Out: pages, numbers, or refusals.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ..capture.lazy import LazyValue
from ..errors import MemvizError, PageRefusedError
from ..records import TensorRecord
from .attention_heads import head_measures
from .attention_maps import ROLLOUT_CELLS, map_codes, map_element, map_frames, rollout_map, tile_frames
from .attention_plan import is_attention, plan_attention, rollout_chains
from .catalog import Recorded
from .cell_value import CellValue, cell_value
from .page import Page, PageKind, check_page
from .plan import Picture
from .pool import loudest, pool
from .reading import READ_CELLS
from .token_places import is_cross, token_places


class AttentionCache(Recorded, Protocol):
    """What is needed of a cache."""

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value of a record, or a `MemvizError`."""
        ...


class AttentionPages:
    """Pages of one cache at a time. Holds the last rollout: the numbers of its cells are asked for one by one."""

    def __init__(self) -> None:
        self._rollout: tuple[tuple[int, int], Tensor] | None = None

    def page(self, record: TensorRecord, kind: PageKind, page: int, cache: AttentionCache) -> Page:
        """One page of a record of attention weights.

        Raises:
            PageRefusedError: when there is no such page; or the weights cannot be had, or are none.
        """
        picture = _picture(record, kind)
        check_page(record, kind, page, record.shape[0] if picture is None else picture.pages)
        try:
            if picture is None:
                values = _detached(cache.value(record))
                measures, sampled = head_measures(values, page, _texts(record, page, cache), cross=is_cross(record))
                return Page(record.index, kind, page, measures.numpy(), sampled=sampled)
            cells, sampled = self._cells(record, picture, kind, page, cache)
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        coded = map_codes(cells, kind)
        return Page(record.index, kind, page, coded.codes, coded.lo, coded.hi, sampled)

    def value(
        self, record: TensorRecord, kind: PageKind, frame: int, row: int, col: int, cache: AttentionCache
    ) -> CellValue:
        """The number that a cell of a map stands for; see `attention_maps.map_element`.

        Raises:
            PageRefusedError: as in `page`.
        """
        picture = _picture(record, kind)
        if picture is None:
            raise PageRefusedError(f"{kind} of record {record.label!r} are measures, without cells.")
        picture.check_cell(record.label, frame, row, col)
        try:
            if kind != "rollout":
                element, index = map_element(_detached(cache.value(record)), picture, kind, frame, row, col)
                return cell_value(element, index)
            joined = self._rolled_out(record, frame, cache)
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        top, left = row * picture.pool_rows, col * picture.pool_cols
        window = joined[top : top + picture.pool_rows, left : left + picture.pool_cols]
        in_row, in_col = divmod(loudest(window), window.shape[1])
        return cell_value(window[in_row, in_col], (frame, -1, top + in_row, left + in_col))

    def _cells(
        self, record: TensorRecord, picture: Picture, kind: PageKind, page: int, cache: AttentionCache
    ) -> tuple[Tensor, bool]:
        """The frames of a page, (n, rows, cols), and whether values were left out."""
        start = page * picture.frames_per_page
        stop = min(picture.frames, start + picture.frames_per_page)
        if kind == "rollout":
            joined = self._rolled_out(record, page, cache).unsqueeze(0)
            return pool(joined, picture.pool_rows, picture.pool_cols), False
        values = _detached(cache.value(record))
        if kind == "tiles":
            return tile_frames(values, picture, start, stop, READ_CELLS)
        return map_frames(values, picture, kind, start, stop), False

    def _rolled_out(self, record: TensorRecord, sample: int, cache: AttentionCache) -> Tensor:
        """The rollout to this layer, (T, T)."""
        place = (record.index, sample)
        if self._rollout is None or self._rollout[0] != place:
            layers = _rollout_layers(record, cache)
            self._rollout = place, rollout_map((_detached(cache.value(each)) for each in layers), sample)
        return self._rollout[1]


def _picture(record: TensorRecord, kind: PageKind) -> Picture | None:
    """The geometry of a map; None for the measures of the heads."""
    if not is_attention(record):
        raise PageRefusedError(
            f"record {record.label!r} has no {kind}: that is of attention weights (batch, head, query, key) only."
        )
    plan = plan_attention(record.shape)
    if kind == "difference" and plan.difference is None:
        raise PageRefusedError(f"record {record.label!r} has no difference: it has one head.")
    if kind == "rollout" and plan.rollout is None:
        raise PageRefusedError(_no_rollout(record))
    return {
        "tiles": plan.tiles,
        "row": plan.row,
        "log": plan.log,
        "mean": plan.mean,
        "max": plan.max,
        "difference": plan.difference,
        "rollout": plan.rollout,
    }.get(kind)


def _rollout_layers(record: TensorRecord, cache: AttentionCache) -> list[TensorRecord]:
    """The layers that a rollout to this record goes through, or a refusal."""
    chain = rollout_chains(cache.records).get(record.index)
    if chain is None:
        raise PageRefusedError(_no_rollout(record))
    indices, count = chain
    tokens = record.shape[2]
    if tokens * tokens * count > ROLLOUT_CELLS:
        raise PageRefusedError(
            f"the rollout to {record.label!r} is of {count} layers over {tokens:,} x {tokens:,} tokens: more than is "
            f"computed while you wait ({ROLLOUT_CELLS:,} numbers). Use mv.analysis.attention.rollout(weights) with the "
            "cache.attention(path) of each layer."
        )
    return [cache.records[index] for index in indices[:count]]


def _no_rollout(record: TensorRecord) -> str:
    return (
        f"record {record.label!r} has no rollout: the attention layers up to it are not all self-attention over the "
        "same tokens."
    )


def _texts(record: TensorRecord, sample: int, cache: AttentionCache) -> list[str] | None:
    """The texts of self-attention over all tokens of a sequence; None where there are none."""
    of_queries, of_keys = token_places(record, cache.token_texts)
    if of_keys.sequence < 0 or of_queries != of_keys:
        return None
    rows = cache.token_texts[of_keys.sequence]
    return list(rows[sample if len(rows) > 1 else 0])


def _detached(values: Tensor | LazyValue) -> Tensor | LazyValue:
    return values.detach() if isinstance(values, Tensor) else values
