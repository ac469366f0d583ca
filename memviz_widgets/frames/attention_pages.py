"""Pages and numbers of the maps of attention weights: the part of PageSource that only such records have.

In: a record with its value, and the cache for the layers before it. Out: pages, numbers, or refusals.
"""

from __future__ import annotations

from torch import Tensor

from ..capture.lazy import LazyValue
from ..errors import MemvizError, PageRefusedError
from ..records import TensorRecord
from .attention_heads import head_measures
from .attention_maps import map_codes, map_element, map_frames, tile_frames
from .attention_plan import is_attention, plan_attention
from .cell_value import CellValue, cell_value
from .detail import Part, coded_detail, detail_grid, finer, map_detail
from .joined_layers import AttentionCache, JoinedLayers, no_joined
from .page import Page, PageKind, check_page
from .plan import Picture
from .pool import loudest, pool
from .reading import READ_CELLS
from .token_places import is_cross, token_places

JOINED = ("rollout", "flow")
"""Maps through the layers up to a record."""


class AttentionPages:
    """Pages of one cache at a time."""

    def __init__(self) -> None:
        self._joined = JoinedLayers()

    def page(self, record: TensorRecord, kind: PageKind, page: int, cache: AttentionCache) -> Page:
        """One page of a record of attention weights.

        Raises:
            PageRefusedError: when there is no such page; or the weights cannot be had, or are none.
        """
        picture = map_picture(record, kind)
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
        self,
        record: TensorRecord,
        kind: PageKind,
        frame: int,
        row: int,
        col: int,
        cache: AttentionCache,
        pools: tuple[int, int] | None = None,
    ) -> CellValue:
        """The number that a cell of a map stands for; see `attention_maps.map_element`, `PageSource.value`.

        Raises:
            PageRefusedError: as in `page`.
        """
        picture = map_picture(record, kind)
        if picture is None:
            raise PageRefusedError(f"{kind} of record {record.label!r} are measures, without cells.")
        picture = finer(picture, *pools) if pools else picture
        picture.check_cell(record.label, frame, row, col)
        try:
            if kind not in JOINED:
                element, index = map_element(_detached(cache.value(record)), picture, kind, frame, row, col)
                return cell_value(element, index)
            joined, sample, query = self._through_layers(record, kind, frame, cache)
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        top, left = row * picture.pool_rows, col * picture.pool_cols
        window = joined[top : top + picture.pool_rows, left : left + picture.pool_cols]
        in_row, in_col = divmod(loudest(window), window.shape[1])
        return cell_value(window[in_row, in_col], (sample, -1, query + top + in_row, left + in_col))

    def detail(self, record: TensorRecord, kind: PageKind, frame: int, part: Part, cache: AttentionCache) -> Page:
        """A part of a map through several layers, finer than its page has it.

        Raises:
            PageRefusedError: as in `page`; or there is no such part.
        """
        picture = map_picture(record, kind)
        if picture is None or kind not in JOINED:
            raise PageRefusedError(f"{kind} of record {record.label!r} is no map through several layers.")
        grid = detail_grid(record.label, picture, frame, part)
        try:
            joined, _, _ = self._through_layers(record, kind, frame, cache)
        except MemvizError as error:
            raise PageRefusedError(str(error)) from error
        return coded_detail(record, kind, frame, map_codes(map_detail(joined, grid, part), kind))

    def _cells(
        self, record: TensorRecord, picture: Picture, kind: PageKind, page: int, cache: AttentionCache
    ) -> tuple[Tensor, bool]:
        """The frames of a page, (n, rows, cols), and whether values were left out."""
        start = page * picture.frames_per_page
        stop = min(picture.frames, start + picture.frames_per_page)
        if kind in JOINED:
            joined, _, _ = self._through_layers(record, kind, start, cache)
            return pool(joined.unsqueeze(0), picture.pool_rows, picture.pool_cols), False
        values = _detached(cache.value(record))
        if kind == "tiles":
            return tile_frames(values, picture, start, stop, READ_CELLS)
        return map_frames(values, picture, kind, start, stop), False

    def _through_layers(
        self, record: TensorRecord, kind: PageKind, frame: int, cache: AttentionCache
    ) -> tuple[Tensor, int, int]:
        """The rollout to this layer, (T, T), or the flow to it, (1, T); its sample and the query of its first row."""
        if kind == "rollout":
            return self._joined.rollout(record, frame, cache), frame, 0
        sample, query = divmod(frame, record.shape[2])
        return self._joined.flow(record, sample, query, cache).unsqueeze(0), sample, query


def map_picture(record: TensorRecord, kind: PageKind) -> Picture | None:
    """The geometry of a map; None for the measures of the heads."""
    if not is_attention(record):
        raise PageRefusedError(
            f"record {record.label!r} has no {kind}: that is of attention weights (batch, head, query, key) only."
        )
    plan = plan_attention(record.shape)
    if kind == "difference" and plan.difference is None:
        raise PageRefusedError(f"record {record.label!r} has no difference: it has one head.")
    if kind in JOINED and plan.rollout is None:
        raise PageRefusedError(no_joined(record, kind))
    return {
        "tiles": plan.tiles,
        "row": plan.row,
        "log": plan.log,
        "mean": plan.mean,
        "max": plan.max,
        "difference": plan.difference,
        "rollout": plan.rollout,
        "flow": plan.flow,
    }.get(kind)


def _texts(record: TensorRecord, sample: int, cache: AttentionCache) -> list[str] | None:
    """The texts of self-attention over all tokens of a sequence; None where there are none."""
    of_queries, of_keys = token_places(record, cache.token_texts)
    if of_keys.sequence < 0 or of_queries != of_keys:
        return None
    rows = cache.token_texts[of_keys.sequence]
    return list(rows[sample if len(rows) > 1 else 0])


def _detached(values: Tensor | LazyValue) -> Tensor | LazyValue:
    return values.detach() if isinstance(values, Tensor) else values
