"""RecordLine: one line of facts about the selected record, and the messages of the view."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .map_choice import MapChoice
from .tensor_image import TensorImage


@register
class RecordLine(Synced, DOMWidget):
    """Shape with dims, dtype, bytes and statistics of the selected record; below it what the user must know.

    Messages: a value that was not kept and how to get it, an empty output, all NaN, pooling
    ("1 of 8 x 8 cells shown: largest |x|"; of a zoomed picture what is drawn of the part that is seen), waiting for the
    kernel, an error of a callback.
    """

    _model_name = Unicode("RecordLineModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("RecordLineView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose record is described.").tag(**widget_serialization)
    choice: Any = Instance(
        MapChoice, allow_none=True, help="Says whose record is described in its place; None = the selected one."
    ).tag(**widget_serialization)
    image: Any = Instance(
        TensorImage, allow_none=True, help="The heatmap of the view, whose zoom is told; None = there is none."
    ).tag(**widget_serialization)
