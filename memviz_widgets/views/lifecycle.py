"""Finding and closing every widget that hangs below a view: ``close()`` undoes ``__init__``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ipywidgets import Widget


def widgets_below(root: Widget, keep: tuple[type[Widget], ...]) -> list[Widget]:
    """All widgets reachable through the synced traits of ``root`` (layouts, styles, scales, children), root first.

    Widgets of a class in ``keep`` belong to somebody else: they are neither listed nor entered. A widget that is closed
    already (``Widget.close_all()``, a child that the user closed) is listed too: what hangs below it may be open.
    """
    found: dict[int, Widget] = {}
    waiting = [root]
    while waiting:
        widget = waiting.pop()
        if id(widget) in found or isinstance(widget, keep):
            continue
        found[id(widget)] = widget  # not by model_id: a closed widget raises when it is asked for it
        for name in widget.keys:
            waiting.extend(widgets_in(getattr(widget, name, None)))
    return list(found.values())


def close_all(widgets: list[Widget]) -> None:
    """Close widgets, the ones found last first, and drop their observers."""
    for widget in reversed(widgets):
        widget.unobserve_all()
        widget.close()


def widgets_in(value: Any) -> Iterator[Widget]:
    """The widgets among the values of a trait, in containers too, without what is below them."""
    if isinstance(value, Widget):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from widgets_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from widgets_in(item)
