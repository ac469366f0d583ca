"""TokenLines: two columns of tokens and a line for every weight above a threshold."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Float, Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .picture_choice import PictureChoice


@register
class TokenLines(Synced, DOMWidget):
    """Queries on the left, keys on the right, a line as strong as the weight between them.

    For at most 64 tokens a side; above, the view says so. Hover or focus shows the lines of one token alone.
    """

    _model_name = Unicode("TokenLinesModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("TokenLinesView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor; a click sets its query or key and attention layer.").tag(
        **widget_serialization
    )
    choice: Any = Instance(
        PictureChoice, allow_none=True, help="Which map of the weights is drawn; None: the weights of the head."
    ).tag(**widget_serialization)
    threshold: Any = Float(0.1, min=0.0, max=1.0, help="Least |weight| that gets a line, 0 .. 1.")
