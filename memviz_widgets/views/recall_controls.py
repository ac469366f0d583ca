"""RecallControls: starts and stops the measuring of recall, and says how far it is."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register
from traitlets import Enum, Int, Unicode

from ..synced import MODULE_NAME, MODULE_VERSION, Synced

STATES = ("ready", "running", "stopped", "done")


@register
class RecallControls(Synced, DOMWidget):
    """A button, a bar, and a sentence. The button sends ``{"type": "run"}`` or ``{"type": "stop"}`` to the kernel."""

    _model_name = Unicode("RecallControlsModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("RecallControlsView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    title: Any = Unicode(help='The task with its settings, as in "AssociativeRecall(pairs=4, symbols=8, gap=0)".')
    state: Any = Enum(
        STATES, "ready", help="What the kernel does: nothing yet, measuring, it was stopped, all was measured."
    )
    done: Any = Int(0, min=0, help="Points that were measured or failed.")
    total: Any = Int(0, min=0, help="Points in all.")
    share: Any = Int(0, min=0, max=1000, help="How far the measuring is, in thousandths: chunks of sequences.")
    doing: Any = Unicode(help='The point that is measured now, as in "lstm at delay 20"; "" = none.')
    failed: Any = Int(0, min=0, help="Points that failed and would be tried again.")
    problem: Any = Unicode(help='What went wrong, a line per point or request; "" = nothing.')
