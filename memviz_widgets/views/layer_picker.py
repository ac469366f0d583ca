"""LayerPicker: the name of the selected layer, and a search box that finds a layer by name."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class LayerPicker(Synced, DOMWidget):
    """Readout "layer1.0.conv1 - Conv2d (3 of 43)" and a combobox over all layer names. Text is never HTML."""

    _model_name = Unicode("LayerPickerModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("LayerPickerView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose layer is named and set.").tag(**widget_serialization)
