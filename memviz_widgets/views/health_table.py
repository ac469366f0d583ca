"""HealthTable: what looks wrong in a recording, a row per finding; a row, and each place in it, leads to that place."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Bool, Dict, Enum, Instance, Int, List, Unicode

from ..analysis.health import SEVERITIES
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class HealthTable(Synced, DOMWidget):
    """Findings worst first: severity, place, what it is, the value against its bound, and n.

    A click, Enter or the arrow keys on a row set the layer, step and call of the selection and the channel, head, slot,
    sample, timestep or key that the finding names; left and right go through the places of one row. Above: how many
    there are and where to look first; below: what was checked, and what could not be read.
    """

    _model_name = Unicode("HealthTableModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("HealthTableView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor that a row moves.").tag(**widget_serialization)
    headline: Any = Unicode(help='How much was found, as in "3 errors and 2 warnings in 43 layers".')
    advice: Any = Unicode(help='Where to look first and why, one sentence; "" = nothing was found.')
    first: Any = Int(-1, help="Which row the advice is about, from 0; -1 = none.")
    rows: Any = List(Dict(), help="The findings, worst first (frames.entries.HealthRow).")
    checks: Any = List(Dict(), help="What was looked for, worst first (frames.entries.HealthCheck).")
    unread: Any = List(
        Dict(), help="Records whose values were wanted and not read, by reason (frames.entries.HealthUnread)."
    )
    to_read: Any = Int(0, help="How many of the unread records can be computed again or read from disk.")
    reading: Any = Bool(False, help="Whether the kernel is reading those now.")
    read: Any = Int(0, help="How many of them it has read so far.")
    severities: Any = List(
        Enum(SEVERITIES), list(SEVERITIES), help='Severities that are shown: of "error", "warning", "hint".'
    )
    kind: Any = Unicode("", help='The only kind of finding that is shown, such as "dead units"; "" = all kinds.')
