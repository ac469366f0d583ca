"""UnitText: the text as text, each token's background the value of the selected unit at that step."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class UnitText(Synced, DOMWidget):
    """The tokens in reading order, coloured by one unit of the memory that is shown, as in Karpathy et al. (2015).

    Of a cell tanh(c) is drawn, from -1 to 1; of gates and weights the value from 0 to 1; of anything else the value in
    shares of the largest magnitude. Blue is above 0, orange below. Hover or focus says step, token and value; a
    click or Enter selects the step. Where the recording has no texts, a sentence says how to give them.
    """

    _model_name = Unicode("UnitTextModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("UnitTextView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor: part of the memory, unit, sample; a click sets its timestep."
    ).tag(**widget_serialization)
