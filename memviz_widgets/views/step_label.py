"""StepLabel: what the selected step is called, beside its slider."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class StepLabel(Synced, DOMWidget):
    """The label of the selected step, such as "epoch 3" (see ``cache.step_labels``). Text is never HTML."""

    _model_name = Unicode("StepLabelModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("StepLabelView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose step is named.").tag(**widget_serialization)
