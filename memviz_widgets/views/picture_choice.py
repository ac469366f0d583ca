"""PictureChoice: which map of an attention the views show, decided in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import register, widget_serialization
from traitlets import Enum, Instance, Int, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .map_choice import MapChoice

PICTURE_KINDS = ("weights", "row", "log", "mean", "max", "difference", "rollout", "flow")


@register
class PictureChoice(MapChoice):
    """Which map of the selected attention is shown, shared by its matrix, colour bar, tokens and image overlay.

    While a layer without attention is selected, the views show the attention nearest to it: inside the layer, around
    it, or next in execution order. A model without a view.
    """

    _model_name = Unicode("PictureChoiceModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: which attention, sample and head.").tag(
        **widget_serialization
    )
    kind: Any = Enum(
        PICTURE_KINDS,
        "weights",
        help="The map: weights of the selected head, row (in shares of the largest weight of each row), log (colours "
        "by the logarithm of the weight), mean or max over the heads, difference (selected head minus other_head), "
        "rollout (from the first attention layer to this one), flow (the same for the selected query alone: the most "
        "that could flow from it to each key).",
    )
    other_head: Any = Int(
        0, min=0, help="The head that is subtracted in a difference, 0 = first; the last where there are fewer."
    )
