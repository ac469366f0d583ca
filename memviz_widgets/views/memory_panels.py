"""MemoryPanels: every part of the shown memory as a strip over time, under each other on one time axis."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Enum, Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .memory_choice import UNIT_ORDERS, MemoryChoice


@register
class MemoryPanels(Synced, DOMWidget):
    """States, gates, weightings and slots of one memory at the current sample: units down, time across, one cursor.

    Weights and gates are drawn from 0 to 1, every other part up to its own largest |x|; the range is said beside it.
    A click sets layer, time and unit. Only strips in view are asked for.
    """

    _model_name = Unicode("MemoryPanelsModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("MemoryPanelsView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor; a click on a strip sets its layer, time, unit and head, arrow keys its time."
    ).tag(**widget_serialization)
    choice: Any = Instance(
        MemoryChoice,
        allow_none=True,
        help="Lights up the steps that wrote what is clicked; None: a click only selects.",
    ).tag(**widget_serialization)
    order: Any = Enum(
        UNIT_ORDERS,
        "index",
        help="Order of the units in each strip: index; timescale, the slowest first (see the memory's time constants); "
        "similarity, units with like courses beside each other.",
    ).tag(sync=True)
