"""Whole pictures of the views: explorers, health report, comparison.

In: selections, choices and colours of a view. Out: a Board of the export stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..export.picture_parts import Board, Part, TablePart
from ..frames.entries import HealthPlace, HealthRow
from ..frames.record_facts import pooling_note, record_facts
from ..frames.shown_colors import Range, around_zero, between, both_sides, finite_ends, stats_ends, union
from ..selection import AXES, Selection
from .color_mapping import ColorMapping
from .contact_sheet import ContactSheet
from .health_table import HealthTable
from .picture_maps import ShownView, map_part, strips_part, view_of
from .picture_reading import PictureReader, frame_range
from .picture_sheet import sheet_part

MOST_ROWS = 40
"""Most findings on a picture; the report has all of them."""
PLACES_SHOWN = 16
COLUMNS = ("severity", "place", "what", "value and bound", "looked at")
COLUMN_PX = (90, 190, 310, 190, 110)
BESIDE_PX = (300, 280)
"""Most of each plot where three stand beside each other."""
MARKS = {"error": "\N{MULTIPLICATION X}", "warning": "\N{BLACK UP-POINTING TRIANGLE}", "hint": "\N{WHITE CIRCLE}"}


def explorer_board(
    selection: Selection,
    choice: Any,
    colors: ColorMapping | None,
    reader: PictureReader,
    *,
    sheet: ContactSheet | None = None,
    parts: bool = False,
    zoomed: bool = False,
) -> Board:
    """The map of an explorer; with the tiles of a contact sheet, or with ``parts`` the strips of the memory.

    ``colors`` None: there is no map at all. ``zoomed``: the screen shows a part, the board all of it and says so.
    """
    view = view_of(selection, choice, colors or ColorMapping(selection=selection), reader)
    if colors is None:
        view.colors.close()
    title = _title(view)
    record = view.shown.place.record if view.shown.place else None
    tiles = None if sheet is None else sheet_part(view, sheet)
    rows: list[tuple[Part, ...]] = [] if colors is None else [(map_part(view), *((tiles,) if tiles else ()))]
    strips = strips_part(view) if parts else None
    rows += [(strips,)] if strips else []
    message = record["message"] if record else view.shown.absence
    pooling = "" if "largest |x|" in message else pooling_note(view.shown.picture, view.selection.store.pooled_by)
    whole = "all of the picture, of which the view shows a part" if zoomed else ""
    notes = dict.fromkeys(filter(None, (message, pooling, whole, *selection.store.notice.split("\n"))))
    return Board(title, (record_facts(record),) if record else (), tuple(rows), tuple(notes))


def health_board(table: HealthTable) -> Board:
    """The rows of a health report that its filter lets through."""
    chosen = [
        row
        for row in table.rows
        if row["severity"] in table.severities and (not table.kind or row["kind"] == table.kind)
    ]
    layers = table.selection.store.catalog["layers"]
    rows = tuple(_finding(row, layers) for row in chosen[:MOST_ROWS])
    notes = [
        f"{len(chosen) - MOST_ROWS:,} more findings" if len(chosen) > MOST_ROWS else "",
        f"{len(table.rows) - len(chosen):,} findings are filtered out" if len(chosen) < len(table.rows) else "",
        *(f"{each['count']:,} records not read: {each['reason']}" for each in table.unread),
    ]
    parts = ((TablePart(COLUMNS, COLUMN_PX, rows),),) if rows else ()
    return Board(table.headline, tuple(filter(None, (table.advice,))), parts, tuple(filter(None, notes)))


def comparison_board(
    names: Sequence[str],
    cursors: Sequence[Selection],
    colors: Sequence[ColorMapping],
    readers: Sequence[PictureReader],
    parts_at: str,
) -> Board:
    """A, B and A - B beside each other: the first two in one range of colours."""
    first = cursors[0]
    for cursor in cursors[1:]:  # the browser keeps them together; a script may not have one
        _move(cursor, first)
    lead, other, difference = (
        view_of(cursor, None, mapping, reader) for cursor, mapping, reader in zip(cursors, colors, readers, strict=True)
    )
    span = _common_range(lead, other)
    beside = (
        map_part(lead, names[0], span, BESIDE_PX),
        map_part(other, names[1], span, BESIDE_PX),
        map_part(difference, names[2], most=BESIDE_PX),
    )
    facts = [
        f"{name}: {record_facts(view.shown.place.record)}"
        for name, view in zip(names, (lead, other), strict=False)
        if view.shown.place
    ]
    note = f"The two part at {parts_at}." if parts_at else ""
    pooling = pooling_note(lead.shown.picture, lead.selection.store.pooled_by)
    return Board(_title(lead), tuple(facts), (beside,), tuple(filter(None, (note, pooling))))


def _title(view: ShownView) -> str:
    """ "conv1 (Conv2d), channel 17 of 64"."""
    place = view.shown.place
    if place is None:
        return view.shown.absence
    kind = place.layer["module_type"]
    named = f"{place.layer['label']} ({kind})" if kind else place.layer["label"]
    steps = len(place.layer["records"])
    step = f"step {view.cursor['step']} of {steps:,}" if steps > 1 else ""
    return ", ".join(filter(None, (named, step, *view.shown.words)))


def _finding(row: HealthRow, layers: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    place = row["place"]
    module = layers[place["layer"]]["module_type"] if place["layer"] >= 0 else ""
    others = [f"{'timestep' if axis == 'time' else axis} {index:,}" for axis, index in row["at"].items()]
    numbers = ", ".join(f"{index:,}" for index in row["places"][:PLACES_SHOWN])
    more = f" and {len(row['places']) - PLACES_SHOWN:,} more" if len(row["places"]) > PLACES_SHOWN else ""
    named = f"{row['axis']} {numbers}{more}" if row["axis"] else ""
    before = f"before: {_place_words(row['before'])}" if row["before"] else ""
    return (
        (f"{MARKS.get(row['severity'], '')} {row['severity']}".strip(),),
        (_place_words(place), ", ".join(filter(None, (module, *others))), named, before),
        (row["kind"], row["sentence"]),
        (row["value"], row["measure"], f"bound: {row['bound']}"),
        ("", row["n"]),
    )


def _place_words(place: HealthPlace) -> str:
    """ "conv1", with its step, and the call where it is not the first."""
    call = f"call {place['call']:,}" if place["call"] else ""
    return ", ".join(filter(None, (place["label"], place["when"], call)))


def _common_range(lead: ShownView, other: ShownView) -> Range:
    """The range of both pictures together, as ComparisonColors in the browser makes it."""
    mode, both = lead.colors.mode, (lead, other)
    layers = union(stats_ends(view.shown) or view.read.seen for view in both)
    if mode == "fixed":
        return lead.colors.vmin, lead.colors.vmax
    if mode == "frame":
        frames = [frame_range(view.read) for view in both]
        return between(union(finite_ends(frame[:1], frame[1:]) for frame in frames))
    if mode == "all":
        catalogs = [view.selection.store.catalog for view in both]
        return between(union((catalog["lo"], catalog["hi"]) for catalog in catalogs))
    if mode == "auto":
        return lead.range if lead.shown.empty_zeros else both_sides(layers)
    return around_zero(layers) if mode == "symmetric" else between(layers)


def _move(cursor: Selection, to: Selection) -> None:
    """Bring a cursor to the place of another one, where its recording has that."""
    with cursor.hold_sync():
        for axis in AXES:
            index = getattr(to, axis)
            if index < cursor.extent(axis):
                setattr(cursor, axis, index)
