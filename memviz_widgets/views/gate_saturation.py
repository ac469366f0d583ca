"""GateSaturation: feeds a bqplot ``Scatter`` with how often each unit's gate is shut and open, in the browser."""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Widget, register, widget_serialization
from traitlets import Bunch, Instance, Unicode, observe

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

SELECTED = {"fill": "#ff7f0e", "stroke": "#000000", "stroke-width": "3px", "opacity": 1.0}
"""The dot of the selected unit."""
FIELDS, LABELS, FORMATS = ["name", "x", "y"], ["", "share < 0.1:", "share > 0.9:"], ["", ".3f", ".3f"]
"""What stands under the pointer: the unit, and both shares."""


@register
class GateSaturation(Synced, Widget):
    """Writes x and y of ``dots``: one dot per unit of a gate, at the selected sample.

    x: share of timesteps at which the gate is below 0.1 (left-saturated, shut); y: share at which it is above 0.9
    (right-saturated, open), as in Karpathy et al. (2015). The gate is the selected layer, else the first gate of its
    memory that is the result of a sigmoid. The selected unit is the selected dot, and a click on a dot selects its
    unit. A model without a view.
    """

    _model_name = Unicode("GateSaturationModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor: which gate, sample and unit; a click on a dot sets the unit."
    ).tag(**widget_serialization)
    dots: Any = Instance(bqplot.Scatter, help="One dot per unit; it is made clickable, with a tooltip.").tag(
        **widget_serialization
    )
    x_axis: Any = Instance(
        bqplot.Axis, allow_none=True, help="Axis whose label names the gate and says what x is, or why there is none."
    ).tag(**widget_serialization)
    y_axis: Any = Instance(bqplot.Axis, allow_none=True, help="Axis whose label says what y is.").tag(
        **widget_serialization
    )

    @observe("dots")
    def _make_clickable(self, change: Bunch) -> None:
        """Dots that say their unit and both shares under the pointer, and that a click selects."""
        with change["new"].hold_sync():
            change["new"].set_trait("display_names", False)
            change["new"].set_trait("interactions", {"hover": "tooltip", "click": "select"})
            change["new"].set_trait("selected_style", SELECTED)
            change["new"].set_trait("tooltip", bqplot.Tooltip(fields=FIELDS, labels=LABELS, formats=FORMATS))
