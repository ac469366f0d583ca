"""HeadGrid: every head of every attention layer as a small map; a click selects the layer and the head."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Enum, Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

HEAD_ORDERS = ("index", "entropy", "distance", "sink", "induction")


@register
class HeadGrid(Synced, DOMWidget):
    """Layers down, heads across: the attention of each head at the current sample, and what the head mostly does.

    Each map has colours of its own, from 0 to its largest weight. Only layers in view are computed.
    """

    _model_name = Unicode("HeadGridModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("HeadGridView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor; a click on a map sets its layer and head.").tag(
        **widget_serialization
    )
    order: Any = Enum(
        HEAD_ORDERS,
        "index",
        help="Order of the heads in each layer: index, or largest first by entropy (0..1 of what uniform attention "
        "has), distance (mean, in tokens), sink (share of attention on the first key, 0..1), induction (share on what "
        "followed the same token earlier, 0..1); what has no value comes last.",
    )
