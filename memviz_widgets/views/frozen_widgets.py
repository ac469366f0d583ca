"""The widgets of a frozen page, and their state as plain data.

In: the views to save. Out: every widget that they need, and its state, with names that are the same each time.
"""

from __future__ import annotations

import math
from typing import Any

from ipywidgets import Widget
from ipywidgets.widgets import widget as registry
from ipywidgets.widgets.widget import _remove_buffers
from ipywidgets.widgets.widget_link import Link

from ..errors import ClosedError, FrozenError
from ..synced import MODULE_NAME
from .lifecycle import widgets_in

MODULES = ("@jupyter-widgets/base", "@jupyter-widgets/controls", "bqplot", "bqscales", MODULE_NAME)
"""Front-end modules that a page carries."""
REFERENCE = "IPY_MODEL_"
"""What ipywidgets puts before the id of a widget that another one refers to."""


def widgets_of(views: list[Widget]) -> list[Widget]:
    """The views and all that they are made of: what their traits refer to, their parts without a view, jslinks.

    Raises:
        ClosedError: when a view, or something below it, is closed.
        FrozenError: for a widget of a package whose front end a page does not carry.
    """
    found: dict[int, Widget] = {}
    for view in views:
        _add(view, view, found)
    for link in list(registry._instances.values()):
        if isinstance(link, Link) and link.comm is not None:
            ends = (link.source, link.target)
            if all(end is not None and id(end[0]) in found for end in ends):
                _add(link, link, found)
    return list(found.values())


def names_of(widgets: list[Widget]) -> dict[str, str]:
    """A short name per model id: w0, w1 ... in this order. ipywidgets draws its ids by lot."""
    return {widget.model_id: f"w{place}" for place, widget in enumerate(widgets)}


def state_of(widget: Widget, names: dict[str, str], instead: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The state of a widget as JSON, and its buffers as (path, bytes).

    ``instead``: values that stand in place of the widget's own, as JSON already but for bytes in them.
    """
    state, paths, buffers = _remove_buffers(
        {name: value for name, value in widget.get_state().items() if name not in instead}
    )
    given, given_paths, given_buffers = _remove_buffers(instead)
    model = {
        "model_name": widget._model_name,
        "model_module": widget._model_module,
        "model_module_version": widget._model_module_version,
        "state": {**_plain(state, names), **given},
    }
    places = zip([*paths, *given_paths], map(bytes, [*buffers, *given_buffers]), strict=True)
    return model, list(places)


def _add(widget: Widget, root: Widget, found: dict[int, Widget]) -> None:
    """A widget and what is below it, parents first."""
    if id(widget) in found:
        return
    if widget.comm is None:
        what = "is closed" if widget is root else f"holds a {type(widget).__name__} that is closed"
        raise ClosedError(f"{_name(root)} {what}; make another one and save that.")
    if widget._model_module not in MODULES:
        raise FrozenError(
            f"{_name(root)} holds a {type(widget).__name__} of {widget._model_module!r}, which a page without a kernel "
            f"cannot show. Save the views themselves: mv.save_html([explorer, ...], path)."
        )
    found[id(widget)] = widget
    below = [getattr(widget, name, None) for name in widget.keys]
    for each in widgets_in([*below, getattr(widget, "_parts", None)]):
        _add(each, root, found)


def _plain(value: Any, names: dict[str, str]) -> Any:
    """JSON with the names of this page in place of ids, and without NaN and Inf, which JSON does not have."""
    if isinstance(value, str):
        known = names.get(value.removeprefix(REFERENCE)) if value.startswith(REFERENCE) else None
        return value if known is None else REFERENCE + known
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(item, names) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, names) for item in value]
    return value


def _name(widget: Widget) -> str:
    return f"the {type(widget).__name__}"
