"""RecallCurves: feeds bqplot marks with curves of recall; every point of them is a number that can be opened."""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import DOMWidget, Widget, register, widget_serialization
from traitlets import Bool, Dict, Instance, List, Unicode

from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class RecallCurves(Synced, DOMWidget):
    """A grid of accuracies, a row per model; what is said of the point at the cursor; a table of d50, bits, state size.

    Arrow keys move the cursor, also hovering does, here and in the figure; a click or Enter on a point with a wrong
    answer sends ``{"type": "open", "model": ..., "over": ..., "value": ...}`` to the kernel.

    ``lines`` get the accuracies, ``bars`` their 95 % intervals, ``chance`` the lines of chance, ``halves`` where
    accuracy is half-way to chance, ``dots`` (one mark per model) the points, ``ring`` the point at the cursor.
    """

    _model_name = Unicode("RecallCurvesModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("RecallCurvesView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    names: Any = List(Unicode(), help="Names of the models.")
    colors: Any = List(Unicode(), help="CSS colour of each model's curve.")
    markers: Any = List(Unicode(), help="Shape of each model's points, a bqplot marker.")
    curves: Any = List(Dict(), help="What was measured, a frames.entries.RecallCurve per setting; set by the kernel.")
    over: Any = Unicode(help="The setting whose curves are shown.")
    opening: Any = Bool(False, help="Whether the kernel records a run that failed.")
    failure: Any = Dict(help="The run that is shown (frames.entries.RecallFailureEntry); {} = none.")

    lines: Any = Instance(bqplot.Lines, allow_none=True, help="Curves of accuracy.").tag(**widget_serialization)
    bars: Any = Instance(bqplot.Lines, allow_none=True, help="95 % intervals, a vertical line per point.").tag(
        **widget_serialization
    )
    chance: Any = Instance(bqplot.Lines, allow_none=True, help="Accuracy of a model that remembers nothing.").tag(
        **widget_serialization
    )
    halves: Any = Instance(bqplot.Lines, allow_none=True, help="Where accuracy is half-way to chance.").tag(
        **widget_serialization
    )
    dots: Any = List(Instance(Widget), help="A bqplot.Scatter per model: its points.").tag(**widget_serialization)
    ring: Any = Instance(bqplot.Scatter, allow_none=True, help="The point at the cursor.").tag(**widget_serialization)
    x_axis: Any = Instance(bqplot.Axis, allow_none=True, help="Axis of the setting: its label and ticks.").tag(
        **widget_serialization
    )
