"""CacheSummary: one line about the whole recording: its size, and how much of it is held."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class CacheSummary(Synced, DOMWidget):
    """The ``summary`` of the selection's store, such as "1.0 GiB recorded, 256.0 MiB kept, rest on demand"."""

    _model_name = Unicode("CacheSummaryModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("CacheSummaryView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose store is summed up.").tag(**widget_serialization)
