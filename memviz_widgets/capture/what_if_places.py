"""A result with one of its tensors exchanged, whatever holds it.

In: what a module returned, the place of a tensor in it as records call it ("0", "1.0", "logits"), another tensor. Out:
a result of the same form. Containers are made anew, so that who kept the old one keeps the old one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ..errors import EditError


def tensor_at(result: object, item: str, label: str) -> Tensor:
    """The tensor at a place.

    Raises:
        EditError: when there is none.
    """
    found: Any = result
    for name in _names(item):
        found = _child(found, name, label)
    if not isinstance(found, Tensor):
        raise EditError(f"{label!r} is a {type(found).__name__} in this call, not a tensor, so it cannot be edited.")
    return found


def exchanged(result: Any, item: str, value: Tensor, label: str) -> Any:
    """The result with ``value`` at this place.

    Raises:
        EditError: when nothing can be put there.
    """
    names = _names(item)
    return _put(result, names, value, label) if names else value


def _names(item: str) -> list[str]:
    return item.split(".") if item else []


def _key(value: Mapping[Any, Any], name: str) -> Any:
    return next((key for key in value if str(key) == name), name)


def _child(value: Any, name: str, label: str) -> Any:
    try:
        if isinstance(value, PackedSequence):
            return getattr(value, name)
        if isinstance(value, Mapping):
            return value[_key(value, name)]
        if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
            return value[int(name)]
        return getattr(value, name)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise EditError(
            f"{label!r} is not in the result of this call, which has no {name!r}; see cache.records."
        ) from None


def _put(value: Any, names: list[str], new: Tensor, label: str) -> Any:
    """A copy of a container with another tensor below it."""
    name, rest = names[0], names[1:]
    child = _put(_child(value, name, label), rest, new, label) if rest else new
    try:
        if hasattr(value, "_replace"):  # a namedtuple, also a PackedSequence
            return value._replace(**{name: child})
        if isinstance(value, (tuple, list)):
            return type(value)(child if place == int(name) else each for place, each in enumerate(value))
        made = copy.copy(value)
        if isinstance(value, Mapping):
            made[_key(value, name)] = child
        else:
            object.__setattr__(made, name, child)  # also of a frozen dataclass
    except (TypeError, ValueError, AttributeError) as error:
        raise EditError(
            f"{label!r} cannot be edited: a {type(value).__name__} takes no other tensor ({error})."
        ) from None
    return made
