"""One row of controls per axis: a slider and a play button that move one index of the Selection."""

from __future__ import annotations

from ipywidgets import HBox, IntSlider, Play, Widget, jslink

from ..selection import Selection
from .axis_range import AxisRange
from .layer_picker import LayerPicker
from .step_label import StepLabel

# What the slider of an axis is called; an axis that is not listed is called by its own name.
AXIS_NAMES = {"time": "timestep"}
PLAY_INTERVAL_MS = 150


class AxisSlider:
    """Slider and play button for one axis, linked to the selection in the browser.

    Attributes:
        row: the HBox to show. parts: what ``close()`` must end beside it (links and the range follower).
    """

    def __init__(self, selection: Selection, axis: str) -> None:
        extra = _name_of(selection, axis)
        name = AXIS_NAMES.get(axis, axis)
        extent = selection.extent(axis)
        last, idle = max(extent - 1, 1), extent <= 1
        value = getattr(selection, axis)
        self.slider = IntSlider(
            value=value, max=last, disabled=idle, description=name, readout=not extra, tooltip=f"{name} of the picture"
        )
        self.play = Play(
            value=value, max=last, disabled=idle, interval=PLAY_INTERVAL_MS, tooltip=f"play through {name}"
        )
        self.row = HBox([self.slider, self.play, *extra])
        self.row.add_class("memviz-axis").add_class(f"memviz-axis-{axis}")
        self.parts: list[Widget] = [
            AxisRange(selection=selection, axis=axis, slider=self.slider, play=self.play),
            jslink((selection, axis), (self.slider, "value")),
        ]


def _name_of(selection: Selection, axis: str) -> list[Widget]:
    """What names the position in place of its number: the layer's name, with a search box; the label of the step."""
    if axis == "layer":
        return [LayerPicker(selection=selection)]
    if axis == "step" and selection.store.catalog["step_labels"]:
        return [StepLabel(selection=selection)]
    return []
