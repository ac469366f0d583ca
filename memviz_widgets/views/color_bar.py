"""ColorBar: the colours with their numbers, the histogram of the layer above them, the loud colours with counts."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, Unicode

from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .color_mapping import ColorMapping


@register
class ColorBar(Synced, DOMWidget):
    """Legend of a ColorMapping: gradient, tick numbers, histogram of the selected record, counts of NaN and Inf."""

    _model_name = Unicode("ColorBarModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ColorBarView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    colors: Any = Instance(ColorMapping, help="The mapping that is explained; its selection says which record.").tag(
        **widget_serialization
    )
