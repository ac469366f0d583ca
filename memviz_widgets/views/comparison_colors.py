"""ComparisonColors: one range of colours for two pictures, so that equal colours are equal values."""

from __future__ import annotations

from typing import Any

from ipywidgets import register, widget_serialization
from traitlets import Instance, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .color_mapping import ColorMapping


@register
class ComparisonColors(ColorMapping):
    """A ColorMapping whose range is that of two recordings together, in every mode that is not typed.

    The picture beside has one of its own, with this one as ``lead``: it takes range and colours from there.
    """

    _model_name = Unicode("ComparisonColorsModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    other: Any = Instance(Selection, help="The cursor in the other recording, whose values count as well.").tag(
        **widget_serialization
    )
    lead: Any = Instance(
        ColorMapping, allow_none=True, help="The mapping that says range and colours; None: this one does."
    ).tag(**widget_serialization)
