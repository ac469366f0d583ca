"""The tensors inside whatever a module returned, each with its place in the result.

In: any object. Out: leaves (item, tensor or None, note). What cannot be opened becomes a leaf that says so.
Nothing is consumed (no iterator is advanced) and no property of a user's object is evaluated.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

MAX_DEPTH = 8
"""Levels of nesting that are opened."""
MAX_LEAVES = 512
"""Tensors of one result that are recorded; a list of 2,700 states stays a short list of layers."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size, slice, range)
_PACKED_NOTE = "data of a PackedSequence: the valid steps of all samples, time by time"


class Leaf(NamedTuple):
    """One place in a result: its item text, the tensor (None when there is none) and a note."""

    item: str
    tensor: Tensor | None
    note: str = ""


def leaves(result: object) -> Iterator[Leaf]:
    """Every tensor in ``result`` in its own order, at most MAX_LEAVES, and a leaf for what cannot be held.

    None, numbers, strings and the like are passed over.
    """
    for count, leaf in enumerate(_walk(result, (), frozenset())):
        if count == MAX_LEAVES:
            yield Leaf(
                "...", None, f"the result holds more than {MAX_LEAVES} tensors; the first {MAX_LEAVES} are recorded"
            )
            return
        yield leaf


def tensors_of(value: object) -> list[Tensor]:
    """Every tensor in a value, also those of arguments."""
    return [leaf.tensor for leaf in leaves(value) if leaf.tensor is not None]


def _walk(value: object, place: tuple[str, ...], parents: frozenset[int]) -> Iterator[Leaf]:
    """Leaves of one value; ``parents`` are the ids of the containers around it, so that a cycle ends."""
    item = ".".join(place)
    if isinstance(value, Tensor):
        yield Leaf(item, value)
    elif isinstance(value, PackedSequence):
        yield Leaf(".".join((*place, "data")), value.data, _PACKED_NOTE)
    elif isinstance(value, _PLAIN) or id(value) in parents:
        return
    elif len(place) >= MAX_DEPTH:
        yield Leaf(item, None, f"nested deeper than {MAX_DEPTH} levels: not opened")
    else:
        yield from _open(value, place, parents | {id(value)})


def _open(value: object, place: tuple[str, ...], parents: frozenset[int]) -> Iterator[Leaf]:
    """Leaves of what is inside a container or an object."""
    item = ".".join(place)
    try:
        inside = list(_children(value))
    except Exception as error:
        yield Leaf(item, None, f"{type(value).__name__}: could not be opened ({type(error).__name__}: {error})")
        return
    found = False
    for name, child in inside:
        for leaf in _walk(child, (*place, name), parents):
            found = True
            yield leaf
    if not found and not isinstance(value, (Mapping, tuple, list, AbstractSet)):
        yield Leaf(item, None, f"{type(value).__name__}: not a tensor, and no tensor in it")


def _children(value: Any) -> Iterable[tuple[str, object]]:
    """(name, child) of a container or object; nothing for what must not be opened."""
    if isinstance(value, Mapping):
        return [(str(key), child) for key, child in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list, AbstractSet, collections.deque)):
        return [(str(position), child) for position, child in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    # Modules, classes, functions and iterators: opening them finds weights or consumes what the user needs.
    if isinstance(value, (nn.Module, type)) or callable(value) or hasattr(value, "__next__"):
        return []
    return _attributes(value)


def _attributes(value: object) -> list[tuple[str, object]]:
    """Attributes that may lead to tensors, from ``__dict__`` and ``__slots__``. Functions and modules are left out."""
    names = list(getattr(value, "__dict__", {}))
    for owner in type(value).__mro__:
        slots = owner.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    found = [(name, getattr(value, name, None)) for name in names if not name.startswith("__")]
    return [pair for pair in found if isinstance(pair[1], Tensor) or _leads_on(pair[1])]


def _leads_on(value: object) -> bool:
    """Whether an object's attribute is worth opening: containers and plain objects, no callables, no iterators."""
    if isinstance(value, _PLAIN) or callable(value) or hasattr(value, "__next__"):
        return False
    return isinstance(value, (Mapping, tuple, list, AbstractSet)) or hasattr(value, "__dict__")
