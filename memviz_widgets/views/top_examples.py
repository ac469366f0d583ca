"""TopExamples: the samples of a data set that excite the selected channel most; a click goes to one.

In: an ActivationDataset and the cursor. Out: traits with the samples of the channel that the cursor is at.
"""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Bunch, Instance, Int, List, Unicode

from ..cache import ActivationDataset
from ..frames.number_text import approximately
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .color_mapping import ColorMapping

_FOLLOWED = ["layer", "step", "call", "channel"]


@register
class TopExamples(Synced, DOMWidget):
    """A strip of the top examples of one channel, the strongest first: the map, the sample and its largest value.

    A click, Enter or the arrow keys move the selection to the sample. Which samples these are was found when the data
    set was recorded; their maps are read when they are looked at.
    """

    _model_name = Unicode("TopExamplesModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("TopExamplesView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: whose channel; a click sets its sample.").tag(
        **widget_serialization
    )
    colors: Any = Instance(ColorMapping, help="Colour range and map, shared with the heatmap.").tag(
        **widget_serialization
    )
    record: Any = Int(-1, help="Index of the record that the examples are of; -1 = none.")
    channel: Any = Int(-1, help="The channel that they are of, 0 = first; -1 = none.")
    samples: Any = List(Int(), help="Numbers of the samples, the strongest first.")
    values: Any = List(Unicode(), help="The largest value of each in the channel, as text.")
    places: Any = List(Unicode(), help='Where that value is, as in "(3, 4)"; "" where there is no such axis.')

    _dataset: ActivationDataset | None = None

    def __init__(self, dataset: ActivationDataset, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dataset = dataset
        self.selection.observe(self._follow, _FOLLOWED)
        self._follow()

    def close(self) -> None:
        """Let the data set go, and close the widget."""
        if self._dataset is not None:
            self.selection.unobserve(self._follow, _FOLLOWED)
        self._dataset = None
        super().close()

    def _follow(self, change: Bunch | None = None) -> None:
        """Say which samples excite the channel that the cursor is at."""
        dataset, record = self._dataset, int(self.selection.record)
        if dataset is None or dataset.closed:
            return
        channel = min(int(self.selection.channel), max(0, self.selection.extent("channel") - 1))
        found = dataset.top_of(dataset.records[record], channel) if record >= 0 else ()
        with self.hold_sync():
            self.record, self.channel = record, channel
            self.samples = [each.sample for each in found]
            self.values = [approximately(each.value) for each in found]
            self.places = [f"({', '.join(map(str, each.position))})" if each.position else "" for each in found]
