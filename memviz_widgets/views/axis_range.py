"""AxisRange: makes a slider and its play button follow the selected record, in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import IntSlider, Play, Widget, register, widget_serialization
from traitlets import Enum, Instance, Unicode

from ..selection import AXES, Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class AxisRange(Synced, Widget):
    """Sets ``max`` and ``disabled`` of a slider and a play button from the extent of one axis. A model without a view.

    An axis with one position or none is disabled, its slider stays in place. The play button moves the axis from where
    it is; the slider's value is tied to the selection with a jslink.
    """

    _model_name = Unicode("AxisRangeModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose record gives the extent.").tag(**widget_serialization)
    axis: Any = Enum(AXES, "channel", help="The axis of the selection that the slider moves.")
    slider: Any = Instance(IntSlider, help="The slider; its max becomes extent - 1.").tag(**widget_serialization)
    play: Any = Instance(Play, allow_none=True, help="The play button of the axis; its max becomes extent - 1.").tag(
        **widget_serialization
    )
