"""ChoiceLink: ties a dropdown to a trait that takes one of several values, in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import Dropdown, Widget, register, widget_serialization
from traitlets import Instance, List, Unicode

from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class ChoiceLink(Synced, Widget):
    """Keeps ``target.trait == values[control.index]`` both ways. A model without a view.

    A dropdown syncs only its index, so ``jslink`` cannot tie it to a trait that holds the value itself.
    """

    _model_name = Unicode("ChoiceLinkModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    control: Any = Instance(Dropdown, help="The dropdown whose index chooses.").tag(**widget_serialization)
    target: Any = Instance(Widget, help="The widget that holds the chosen value.").tag(**widget_serialization)
    trait: Any = Unicode(help="Name of the trait of ``target`` that takes the value.")
    values: Any = List(help="The values, in the order of the dropdown's options.")
