"""Reading what a view shows for a picture: the cursor, the page behind it, and whether that costs anything.

In: a cache, its store, what is shown. Out: a coded frame with the range over its page, or why there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..cache.recorded_cache import RecordedCache
from ..errors import MemvizError
from ..export.picture_parts import CodedFrame
from ..frames.page import Page
from ..frames.shown import PROVENANCE, Cursor, ShownMap, index_along
from ..frames.shown_colors import Ends, finite_ends, union
from ..selection import AXES, Selection

NOT_DRAWN = (
    "Not drawn in this still picture: its values are not in memory, or many. See it in a running notebook, or in "
    "save_png()."
)
AT_ONCE_ELEMENTS = 2**22
"""Most elements that are read for a picture that nobody asked for; some 20 ms."""
COSTLY_KINDS = (*PROVENANCE, "rollout", "flow")
"""Maps that are computed from many records."""
UNIT_LINES = {"timescale": 1, "similarity": 2}
"""Line of a page "units" with the unit in each row."""


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """A frame with the finite range over all frames of its page; None: there is none and ``absence`` says why."""

    frame: CodedFrame | None
    seen: Ends = (None, None)
    absence: str = ""


@dataclass(frozen=True, slots=True)
class PictureReader:
    """Reads pages of one cache. ``held_only``: nothing that is not held, and nothing that takes long."""

    cache: RecordedCache
    store: Any
    held_only: bool = False

    def read(self, shown: ShownMap) -> ReadFrame:
        """The frame of a map."""
        picture = shown.picture
        if shown.place is None or picture is None:
            return ReadFrame(None, absence=shown.absence)
        if self.held_only and not self._is_cheap(shown):
            return ReadFrame(None, absence=NOT_DRAWN)
        number, within = divmod(shown.flat, picture["frames_per_page"])
        try:
            page: Page = self.store.page(shown.place.index, shown.kind, number)
        except MemvizError as error:
            return ReadFrame(None, absence=str(error))
        frame = CodedFrame(page.cells[within], float(page.lows[within]), float(page.highs[within]))
        return ReadFrame(frame, union([finite_ends(page.lows, page.highs), self._counted(shown)]))

    def tiles(self, shown: ShownMap, flats: Sequence[int]) -> tuple[CodedFrame, ...]:
        """Several frames of the pages of a map; () when they cannot be had, or that takes long and nobody asked."""
        picture, place = shown.picture, shown.place
        if place is None or picture is None or (self.held_only and not self._is_cheap(shown)):
            return ()
        size = picture["frames_per_page"]
        try:
            pages = {number: self.store.page(place.index, shown.kind, number) for number in {f // size for f in flats}}
        except MemvizError:
            return ()  # the map beside says why
        found = [(pages[flat // size], flat % size) for flat in flats]
        return tuple(CodedFrame(page.cells[at], float(page.lows[at]), float(page.highs[at])) for page, at in found)

    def row_order(self, shown: ShownMap, cursor: Cursor) -> tuple[int, ...] | None:
        """The unit in each row of a map whose rows stand in another order; None: each is its own."""
        line = UNIT_LINES.get(shown.kind)
        if line is None or shown.place is None or shown.picture is None:
            return shown.times
        samples = next((axis["size"] for axis in shown.picture["axes"] if axis["trait"] == "sample"), 1)
        page: Page = self.store.page(shown.place.index, "units", index_along(cursor, "sample", samples))
        return tuple(int(unit) for unit in page.cells[line, 0])

    def _counted(self, shown: ShownMap) -> Ends:
        """Range over which the histogram beside the screen's map is counted, of a record without statistics."""
        assert shown.place is not None
        if self.held_only or shown.place.record["stats"] or shown.place.record["attention"] or shown.kind != "frame":
            return None, None
        try:
            page: Page = self.store.page(shown.place.index, "histogram", 0)
        except MemvizError:
            return None, None
        return finite_ends(page.lows, page.highs)

    def _is_cheap(self, shown: ShownMap) -> bool:
        assert shown.place is not None and shown.picture is not None
        picture, record = shown.picture, self.cache.records[shown.place.index]
        frames = min(picture["frames"], picture["frames_per_page"])
        heads = shown.place.record["extents"].get("head", 1) if shown.kind in ("mean", "max") else 1
        elements = frames * heads * picture["full_rows"] * picture["full_cols"]
        parts = [self.cache.records[index] for index in record.parts or (record.index,)]
        held = all(self.cache.value_or_none(part) is not None for part in parts)
        return held and elements <= AT_ONCE_ELEMENTS and shown.kind not in COSTLY_KINDS


def cursor_of(selection: Selection) -> dict[str, int]:
    """The index that a selection holds for each of its traits."""
    return {axis: getattr(selection, axis) for axis in AXES}


def frame_range(read: ReadFrame) -> tuple[float, float]:
    """Finite range of a frame that was read; NaN where there is none."""
    return (math.nan, math.nan) if read.frame is None else (read.frame.lo, read.frame.hi)
