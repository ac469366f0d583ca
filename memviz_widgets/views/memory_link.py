"""MemoryLink: ties dropdowns of memories and of the parts of one to the layer of the Selection, in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import Dropdown, Widget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class MemoryLink(Synced, Widget):
    """Shows which memory, and which part of it, belongs to the selected layer, and selects those that are chosen.

    The options of ``memory`` are the memories of the catalog. ``part`` has as many options as the memory with the most
    parts; their labels follow the memory in the browser. A model without a view.
    """

    _model_name = Unicode("MemoryLinkModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose layer is shown and set.").tag(**widget_serialization)
    memory: Any = Instance(Dropdown, help="The dropdown of memories.").tag(**widget_serialization)
    part: Any = Instance(Dropdown, help="The dropdown of the parts of the chosen memory.").tag(**widget_serialization)
