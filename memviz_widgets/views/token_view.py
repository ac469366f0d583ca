"""TokenView: the text as text, each token's background as strong as the weight that the selected query gives it."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Enum, Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .picture_choice import PictureChoice

DIRECTIONS = ("from", "to")


@register
class TokenView(Synced, DOMWidget):
    """The tokens in reading order; hover or focus looks at one, a click or Enter selects it.

    Queries and keys of two sequences (cross-attention) are two lines of text. Where the recording has no texts, the
    positions stand there.
    """

    _model_name = Unicode("TokenViewModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("TokenViewView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor; a click sets its query (or key) and attention layer.").tag(
        **widget_serialization
    )
    choice: Any = Instance(
        PictureChoice, allow_none=True, help="Which map of the weights is read; None: the weights of the head."
    ).tag(**widget_serialization)
    direction: Any = Enum(
        DIRECTIONS,
        "from",
        help="What is shown: from (the weights from the selected query to every key) or to (those that every query "
        "gives the selected key).",
    )
