"""ContactSheet: every channel of the selected layer as a small tile; a click selects the channel."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Enum, Instance, Int, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .color_mapping import ColorMapping

ORDERS = ("index", "magnitude", "variance", "zeros")


@register
class ContactSheet(Synced, DOMWidget):
    """Tiles of all channels at the current sample and timestep, in the colour range of the heatmap.

    More channels than ``tiles_per_page`` are paged; the page follows the selected channel.
    """

    _model_name = Unicode("ContactSheetModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ContactSheetView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor; a click on a tile sets its channel.").tag(
        **widget_serialization
    )
    colors: Any = Instance(ColorMapping, help="Colour range and map, shared with the heatmap.").tag(
        **widget_serialization
    )
    order: Any = Enum(
        ORDERS,
        "index",
        help="Order of the tiles: index, magnitude (mean |x|, largest first), variance (largest first), "
        "zeros (share of zeros, largest first); measured over the whole record.",
    )
    tiles_per_page: Any = Int(256, min=1, help="Tiles shown at once, 1 or more.")
