"""MemoryChoice: which map of a memory the views show, decided in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import register, widget_serialization
from traitlets import Bool, Enum, Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .map_choice import MapChoice

MEMORY_MAPS = ("time", "cursor", "wrote", "reads")
UNIT_ORDERS = ("index", "timescale", "similarity")


@register
class MemoryChoice(MapChoice):
    """Which map of the selected memory is shown, shared by its heatmap, colour bar and facts.

    While a layer that is no part of a memory is selected, the views show the memory nearest to it: inside the layer,
    around it, or next in execution order. A click on a unit, a slot or a cell lights up the steps that wrote what it
    holds at the selected time in every linked view (``selection.lit``). A model without a view.
    """

    _model_name = Unicode("MemoryChoiceModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: which part of which memory, sample, time and unit.").tag(
        **widget_serialization
    )
    map: Any = Enum(
        MEMORY_MAPS,
        "time",
        help="The map: time (units down, time across), cursor (all of it at the selected time), wrote (rows: when it "
        "is read, columns: the step that wrote it, in shares 0..1 of a row), reads (the same for what a head reads).",
    )
    order: Any = Enum(
        UNIT_ORDERS,
        "index",
        help="Units in the map over time: by index, by timescale (longest time constant first) or by similarity "
        "(neighbours are alike).",
    )
    whole: Any = Bool(True, help="Who wrote the whole memory; False: who wrote the selected unit.")
