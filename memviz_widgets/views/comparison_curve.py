"""ComparisonCurve: how far two recordings are apart in every layer, and where they part."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Enum, Float, Instance, Int, List, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

MEASURES = ("relative_l2", "cosine", "cka")


@register
class ComparisonCurve(Synced, DOMWidget):
    """A point per layer in execution order, for the selected step and call; a click or a key on one selects the layer.

    Above it a sentence: the first record whose distance is above ``bound``, and a button that goes there. Below it the
    records that are not compared, with the reason. What is not measured yet is asked for while the curve is on screen.
    """

    _model_name = Unicode("ComparisonCurveModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ComparisonCurveView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor; a click sets its layer.").tag(**widget_serialization)
    distances: Any = List(help="What was measured, a frames.entries.DistanceEntry per record; set by the kernel.")
    unaligned: Any = List(help="What is not compared and why, as frames.entries.UnalignedEntry; set by the kernel.")
    names: Any = List(Unicode(), ["A", "B"], help="What the two recordings are called.")
    measure: Any = Enum(
        MEASURES,
        "relative_l2",
        help="The distance drawn: relative_l2 (|A - B| / |A|, 0 .. inf), cosine (1 - cos, 0 .. 2), cka (1 - linear "
        "CKA, 0 .. 1).",
    )
    bound: Any = Float(
        0.0,
        min=0.0,
        help="Distance above which two layers count as apart, in units of the measure; 0: they are not the same bits.",
    )
    pending: Any = Int(0, help="Records that are held and not measured yet; set by the kernel.")
    unheld: Any = Int(0, help="Records not measured because their values are not held; set by the kernel.")
