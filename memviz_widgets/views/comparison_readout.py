"""ComparisonReadout: the numbers of both recordings and their difference, at the cell that is pointed at."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, List, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .tensor_image import TensorImage


@register
class ComparisonReadout(Synced, DOMWidget):
    """One line: the cell under the pointer or the keyboard cursor of any of the pictures, and its number in each.

    "≈" until the kernel has sent the exact numbers, and without one.
    """

    _model_name = Unicode("ComparisonReadoutModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ComparisonReadoutView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor of the first recording.").tag(**widget_serialization)
    images: Any = List(Instance(TensorImage), help="The pictures: first, second, difference.").tag(
        **widget_serialization
    )
    names: Any = List(Unicode(), help="What the pictures are called, in the same order.")
