"""Growth: who wants to know that a cache has more steps than before, as ``record_step`` adds them.

In: methods of living objects. Out: calls of them, after each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakMethod

_WATCHERS: WeakKeyDictionary[Any, list[WeakMethod[Callable[[], None]]]] = WeakKeyDictionary()


def watch(cache: object, grown: Callable[[], None]) -> None:
    """Call this bound method after each step that is added, as long as its object lives; it may not raise."""
    _WATCHERS.setdefault(cache, []).append(WeakMethod(grown))


def unwatch(cache: object, grown: Callable[[], None]) -> None:
    """No more."""
    if cache in _WATCHERS:
        _WATCHERS[cache] = [each for each in _WATCHERS[cache] if each() not in (None, grown)]


def tell_grown(cache: object) -> None:
    """A step was added."""
    for each in list(_WATCHERS.get(cache, ())):
        if (method := each()) is not None:
            method()
