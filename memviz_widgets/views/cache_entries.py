"""CacheEntries: the entries of a KV cache as bars: how large they are, or how much attention they received."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Enum, Instance, Unicode

from ..frames.memory_entries import ENTRY_MEASURES
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class CacheEntries(Synced, DOMWidget):
    """One bar per entry of the KV cache that is shown, in the head of it that the selected head of queries reads.

    The attention that an entry received stands beside the same for uniform attention: early entries are seen by more
    queries. Entries that a sliding window let go before the last step are grey. Below: how much the cache grows per
    step, in bytes. A click or the arrow keys select the entry: its timestep, or the key of an attention.
    """

    _model_name = Unicode("CacheEntriesModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("CacheEntriesView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor: which cache, sample and head; a click sets its timestep or key."
    ).tag(**widget_serialization)
    measure: Any = Enum(
        ENTRY_MEASURES,
        "key norm",
        help="What a bar is: key norm, value norm, attention received (with the uniform baseline as a line), uniform "
        "baseline, held until (last step in the cache), bytes (held when the entry has been added).",
    )
