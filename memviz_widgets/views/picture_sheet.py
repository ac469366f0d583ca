"""The contact sheet of an explorer as a part of its picture.

In: the heatmap of the view, the ContactSheet widget. Out: a SheetPart of the export stage.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import MemvizError
from ..export.picture_parts import SheetPart
from ..frames.shown import ShownMap, flat_index, index_along
from ..frames.shown_colors import ColorScale, map_name
from .contact_sheet import ORDERS, ContactSheet
from .picture_maps import ShownView


def sheet_part(view: ShownView, sheet: ContactSheet) -> SheetPart | None:
    """The tiles of the page with the selected channel, in the range of the heatmap.

    None: there are no channels, or each is one value, which the heatmap shows already.
    """
    place = view.shown.place
    picture = place.record["sheet"] if place else None
    if place is None or picture is None or view.read.frame is None or picture["rows"] * picture["cols"] == 1:
        return None
    shown = ShownMap(place, "sheet", picture)
    order, by = _order(view, sheet.order, place.record["channels"])
    channel = index_along(view.cursor, "channel", len(order))
    at = int(np.flatnonzero(order == channel)[0])
    first = at // sheet.tiles_per_page * sheet.tiles_per_page
    page = order[first : first + sheet.tiles_per_page]
    tiles = view.reader.tiles(shown, [flat_index(picture, view.cursor, {"channel": int(each)}) for each in page])
    low, high = view.range
    scale = ColorScale(low, high, map_name(view.colors.colormap, low, high))
    part = "" if len(page) == len(order) else f"{first + 1:,} to {first + len(page):,} of "
    title = f"{part}{len(order):,} channels{by}"
    return (
        SheetPart(title, tiles, scale, picture["full_rows"] / max(1, picture["full_cols"]), at - first)
        if tiles
        else None
    )


def _order(view: ShownView, order: str, channels: int) -> tuple[npt.NDArray[np.int64], str]:
    """Channels as the sheet shows them, and the words for it: the largest measure first, equal ones by number."""
    numbers = np.arange(channels)
    if order == "index" or view.shown.place is None or view.reader.held_only:  # measuring takes long
        return numbers, ""
    try:
        page = view.reader.store.page(view.shown.place.index, "channels", 0)
    except MemvizError:
        return numbers, ""
    measure = page.cells[ORDERS.index(order) - 1, 0].astype(np.float64)
    return np.argsort(-np.nan_to_num(measure, nan=-np.inf), kind="stable"), f", by {order}"
