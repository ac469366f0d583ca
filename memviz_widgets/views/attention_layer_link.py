"""AttentionLayerLink: ties a dropdown of the attention layers to the layer of the Selection, in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import Dropdown, Widget, register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class AttentionLayerLink(Synced, Widget):
    """Shows which attention belongs to the selected layer, and selects the one that is chosen. A model without a view.

    The options of the dropdown are the attention layers of the catalog, in its order.
    """

    _model_name = Unicode("AttentionLayerLinkModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor whose layer is shown and set.").tag(**widget_serialization)
    control: Any = Instance(Dropdown, help="The dropdown, one option per attention layer.").tag(**widget_serialization)
