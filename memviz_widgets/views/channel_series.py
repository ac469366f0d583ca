"""ChannelSeries: feeds a bqplot ``Lines`` with the selected channel over time, in the browser."""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Widget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class ChannelSeries(Synced, Widget):
    """Writes x and y of ``lines`` (timestep, exact float32 value) and of ``cursor`` (the selected timestep).

    A model without a view.
    """

    _model_name = Unicode("ChannelSeriesModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: which record, channel and timestep.").tag(
        **widget_serialization
    )
    lines: Any = Instance(bqplot.Lines, help="The line of the selected channel over time.").tag(**widget_serialization)
    cursor: Any = Instance(bqplot.Lines, help="A vertical line at the selected timestep.").tag(**widget_serialization)
    x_axis: Any = Instance(bqplot.Axis, allow_none=True, help="Axis whose integer ticks follow the timesteps.").tag(
        **widget_serialization
    )
    y_axis: Any = Instance(
        bqplot.Axis, allow_none=True, help="Axis whose label names the channel, with round ticks."
    ).tag(**widget_serialization)
