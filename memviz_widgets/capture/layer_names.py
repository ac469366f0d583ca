"""Patterns that name layers: what they match, and what to say when they match nothing.

In: ``layers=`` and ``dims=`` as the user wrote them, the paths of the model. Out: chosen paths, parsed overrides, or
an error with the nearest path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from ..errors import DimsError, LayersError, nearest_hint

_WITH_ITEM = re.compile(r"(.*)\[([^\[\]]*)\]")


def matches(pattern: str, path: str, item: str | None = None) -> bool:
    """Whether a pattern speaks of a module (item None) or of one item of its result (``"lstm[1.0]"``, ``"enc.*[0]"``).

    ``*`` and ``?`` are wildcards; ``[`` is an item when it ends the pattern, else a set of characters (fnmatch).
    """
    if item is None:
        return pattern == path or fnmatchcase(path, pattern)
    parts = _WITH_ITEM.fullmatch(pattern)
    return parts is not None and matches(parts[1], path) and fnmatchcase(item, parts[2])


def choose_layers(layers: object, names: Mapping[str, str]) -> frozenset[str] | None:
    """Paths that ``layers=`` chooses, or None when it chooses all.

    Args:
        layers: None, a pattern, or a sequence of patterns.
        names: Every name of every module -> its path (a shared module has several names).

    Raises:
        LayersError: for a pattern that matches no module; it names the nearest path.
    """
    if layers is None:
        return None
    patterns = [layers] if isinstance(layers, str) else list(layers) if isinstance(layers, Iterable) else [layers]
    chosen: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise LayersError(f"layers= holds {pattern!r}; expected module paths or patterns such as 'layer1.*'.")
        found = {path for name, path in names.items() if matches(pattern, name)}
        if not found:
            raise LayersError(
                f"layers: no module matches {pattern!r} ({len(names)} modules){nearest_hint(pattern, names)}. "
                "Paths are those of model.named_modules(); * is a wildcard."
            )
        chosen |= found
    return frozenset(chosen)


def check_patterns(patterns: Iterable[object], names: Mapping[str, str]) -> None:
    """Refuse ``dims=`` patterns that name no module, before the model runs.

    Raises:
        DimsError: with the nearest path.
    """
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise DimsError(f"dims= has the key {pattern!r}; expected a module path or pattern such as 'encoder.*'.")
        parts = _WITH_ITEM.fullmatch(pattern)
        module = parts[1] if parts else pattern
        if not any(matches(pattern, name) or matches(module, name) for name in names):
            raise DimsError(
                f"dims: no module matches {pattern!r} ({len(names)} modules){nearest_hint(module, names)}. "
                "Paths are those of model.named_modules(); * is a wildcard."
            )
