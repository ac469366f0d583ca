"""RetentionLines: feeds bqplot ``Lines`` with how much of what was written is left after a number of steps."""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Label, Widget, register, widget_serialization
from traitlets import Bunch, Instance, Unicode, observe

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

MEAN, UNIT = "#808080", "#1f77b4"
"""Colours of the two curves, as the label of the x axis names them."""


@register
class RetentionLines(Synced, Widget):
    """Writes x and y of ``lines`` and ``horizon``: lag in timesteps, and the survival S(t, t - lag), its mean over t.

    ``lines`` are two curves: the mean over all units of the memory that is shown, grey, and the selected unit, blue.
    ``horizon`` is 1/e: an even decay is there after one time constant. The x axis says the lag at which the mean falls
    below 1/e, and the time constant of the unit. A model without a view.
    """

    _model_name = Unicode("RetentionLinesModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: which memory, sample and unit.").tag(**widget_serialization)
    lines: Any = Instance(bqplot.Lines, help="The curves of the mean over all units and of the selected one.").tag(
        **widget_serialization
    )
    horizon: Any = Instance(bqplot.Lines, help="A horizontal line at 1/e.").tag(**widget_serialization)
    x_axis: Any = Instance(
        bqplot.Axis,
        allow_none=True,
        help="Axis whose label says the colours, where the mean falls below 1/e, the unit and its time constant.",
    ).tag(**widget_serialization)
    y_axis: Any = Instance(bqplot.Axis, allow_none=True, help="Axis whose label says that y is survival, 0..1.").tag(
        **widget_serialization
    )

    caption: Any = Instance(
        Label, allow_none=True, help="Text that says this in place of the x axis, which has less room."
    ).tag(**widget_serialization)

    @observe("lines")
    def _tell_apart(self, change: Bunch) -> None:
        """The colours that the label of the x axis names."""
        with change["new"].hold_sync():
            change["new"].set_trait("colors", [MEAN, UNIT])
            change["new"].set_trait("labels", ["mean", "unit"])
