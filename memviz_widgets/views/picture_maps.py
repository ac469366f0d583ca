"""The parts of a picture of a view: its heatmap with axes and colours, and the strips of a memory.

In: a selection, the choice of a map, the colours. Out: parts of the export stage, which draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..export.picture_parts import AxisPart, CodedFrame, MapPart, StripPart, StripsPart
from ..frames.entries import PictureEntry
from ..frames.number_text import approximately
from ..frames.shown import Cursor, ShownMap, TextAt, index_along, only_query, shown_frame, texts_along
from ..frames.shown_attention import shown_attention
from ..frames.shown_colors import ColorScale, Range, color_range, map_name, strip_range
from ..frames.shown_memory import Strip, shown_memory, strips
from ..frames.token_words import short_text, visible_text
from ..selection import Selection
from .color_mapping import ColorMapping
from .memory_choice import MemoryChoice
from .picture_choice import PictureChoice
from .picture_reading import PictureReader, ReadFrame, cursor_of, frame_range

Size = tuple[int, int]
MOST_PX: Size = (480, 360)
"""Width and height that a plot has at most, in CSS pixels."""


@dataclass(frozen=True, slots=True)
class ShownView:
    """A heatmap of a view: where it looks, what it chose, and the frame that was read."""

    selection: Selection
    choice: Any
    colors: ColorMapping
    reader: PictureReader
    cursor: Cursor
    shown: ShownMap
    read: ReadFrame

    @property
    def range(self) -> Range:
        """The range of the colours in force."""
        kind = {PictureChoice: "attention", MemoryChoice: "memory"}.get(type(self.choice), "")
        typed = (self.colors.vmin, self.colors.vmax)
        catalog = self.selection.store.catalog
        return color_range(self.shown, self.colors.mode, typed, frame_range(self.read), self.read.seen, catalog, kind)


def view_of(selection: Selection, choice: Any, colors: ColorMapping, reader: PictureReader) -> ShownView:
    """What a heatmap shows now; its frame is read."""
    cursor, catalog = cursor_of(selection), selection.store.catalog
    if isinstance(choice, PictureChoice):
        shown = shown_attention(catalog, cursor, choice.kind, choice.other_head)
    elif isinstance(choice, MemoryChoice):
        shown = shown_memory(catalog, cursor, choice.map, choice.order, choice.whole)
    else:
        shown = shown_frame(catalog, cursor)
    return ShownView(selection, choice, colors, reader, cursor, shown, reader.read(shown))


def map_part(view: ShownView, title: str = "", span: Range | None = None, most: Size = MOST_PX) -> MapPart:
    """The heatmap. ``span``: the range of its colours where another picture says it. ``most``: of the plot."""
    low, high = view.range if span is None else span
    shown, picture = view.shown, view.shown.picture
    scale = ColorScale(low, high, map_name(view.colors.colormap, low, high), shown.kind == "log")
    if view.read.frame is None or picture is None or shown.place is None:
        return MapPart(
            title,
            None,
            scale,
            AxisPart("", 1),
            AxisPart("", 1),
            absence=view.read.absence,
            width=most[0],
            height=most[1],
        )
    stats = shown.place.record["stats"]
    counts = {} if stats is None else {"nan": stats["nan"], "posinf": stats["posinf"], "neginf": stats["neginf"]}
    empty = shown.zero_reason if shown.empty_zeros else ""
    return MapPart(
        title,
        view.read.frame,
        scale,
        _rows(view, picture),
        _cols(view, picture),
        empty,
        counts,
        width=most[0],
        height=most[1],
    )


def strips_part(view: ShownView) -> StripsPart | None:
    """The parts of the shown memory over time; None: there is no strip."""
    order = view.choice.order if isinstance(view.choice, MemoryChoice) else "index"
    found = strips(view.selection.store.catalog, view.cursor, order)
    drawn = [each for each in found if each.shown.picture is not None]
    if not drawn:
        return None
    last = drawn[-1].shown
    steps = max(each.shown.picture["full_cols"] for each in drawn if each.shown.picture is not None)
    text_at = texts_along(view.selection.store.catalog, last, "time", view.cursor)
    time = AxisPart("time", steps, _texts(text_at, steps), index_along(view.cursor, "time", steps))
    return StripsPart(tuple(_strip(each, view.reader) for each in found), time)


def _strip(strip: Strip, reader: PictureReader) -> StripPart:
    read, picture = reader.read(strip.shown), strip.shown.picture
    span = None if read.frame is None else strip_range(strip.pinned, read.frame.lo, read.frame.hi)
    low, high = span or (0.0, 0.0)
    facts = "no finite value" if span is None else f"{approximately(low, 3)} to {approximately(high, 3)}"
    scale = ColorScale(low, high, map_name("auto", low, high))
    frame: CodedFrame | None = read.frame
    if frame is None or picture is None:
        return StripPart(strip.name, "", None, scale, note=read.absence)
    facts = ", ".join(filter(None, (strip.which, facts)))
    return StripPart(strip.name, facts, frame, scale, picture["full_rows"], picture["full_cols"])


def _rows(view: ShownView, picture: PictureEntry) -> AxisPart:
    shown, cursor = view.shown, view.cursor
    query, size = only_query(picture, cursor), picture["full_rows"]
    catalog = view.selection.store.catalog
    if query is not None:
        text_at = texts_along(catalog, shown, "query", cursor)
        text = text_at(query) if text_at else None
        return AxisPart(f"query {query}", 1, (_tick_text(text, query),))
    order = view.reader.row_order(shown, cursor)
    index = index_along(cursor, picture["row_trait"], max(size, *(order or (0,))) + 1) if picture["row_trait"] else -1
    label = _label(picture["row_dim"], picture["pool_rows"])
    if order is not None:
        selected = order.index(index) if index in order else -1
        texts = tuple(map(str, order)) if shown.order else ()
        return AxisPart(" ".join(filter(None, (label, shown.order))), size, texts, selected)
    text_at = texts_along(catalog, shown, picture["row_dim"], cursor)
    return AxisPart(label, size, _texts(text_at, size), min(index, size - 1))


def _cols(view: ShownView, picture: PictureEntry) -> AxisPart:
    size, trait = picture["full_cols"], picture["col_trait"]
    text_at = texts_along(view.selection.store.catalog, view.shown, picture["col_dim"], view.cursor)
    selected = index_along(view.cursor, trait, size) if trait else -1
    return AxisPart(_label(picture["col_dim"], picture["pool_cols"]), size, _texts(text_at, size), selected)


def _label(dim: str, pool: int) -> str:
    return f"{dim} (1 of {pool:,} shown)" if dim and pool > 1 else dim


def _texts(text_at: TextAt | None, size: int) -> tuple[str, ...]:
    return () if text_at is None else tuple(_tick_text(text_at(index), index) for index in range(size))


def _tick_text(text: str | None, index: int) -> str:
    return str(index) if text is None else short_text(visible_text(text))
