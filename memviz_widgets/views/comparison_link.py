"""ComparisonLink: keeps the cursors of aligned recordings at the same place, in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import Widget, register, widget_serialization
from traitlets import Instance, List, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class ComparisonLink(Synced, Widget):
    """Moves every cursor to where one of them was moved; an axis that a recording lacks stays. A model without a view.

    Only the browser links: a second link in the kernel would answer a moving slider with where it was.
    """

    _model_name = Unicode("ComparisonLinkModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selections: Any = List(Instance(Selection), help="The cursors, in recordings of the same layers.").tag(
        **widget_serialization
    )
