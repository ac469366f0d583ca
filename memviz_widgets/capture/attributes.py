"""The attributes of all modules as they were: bindings, contents of builtin containers, flags.

In: the modules of a model. Out: all of that put back, and the tensors that attributes hold. A model has hundreds of
modules with some 30 attributes each, of which a forward changes few or none: so all are looked at together, by their
identities, and one by one only where something is no longer what it was.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .sharded_weights import ShardedWeights
from .trace import Modules

_CONTAINERS = (dict, OrderedDict, list, set, deque)
"""Exact types whose contents are put back; a subclass may have rules of its own."""
_BUILTIN = frozenset((*_CONTAINERS, tuple))
_MAPPINGS = frozenset((dict, OrderedDict))
_INERT = frozenset((type(None), bool, int, float, str, torch.dtype, torch.device))
"""Exact types of most attributes, which hold nothing that could change."""
_STRUCTURE = ("_parameters", "_modules")
"""Where a module keeps what makes it the one that it is."""
MAX_DEPTH = 4
"""Levels of containers inside containers that are put back."""


class AttributeKeeper:
    """Attributes of modules, without TorchScript's, which have none in Python.

    Args:
        modules: All modules of the model.
        sharded: Which of them have weights that fully_shard exchanges. It keeps books about them and puts them back.

    Attributes:
        tensors: Those that attributes or containers in them hold; parameters and buffers among them.
    """

    def __init__(self, modules: Modules, sharded: ShardedWeights) -> None:
        own = [(path, module) for path, module in modules if not isinstance(module, torch.jit.ScriptModule)]
        self._paths = [path for path, _ in own]
        self._modules = [module for _, module in own]
        self._types = list(map(type, self._modules))
        self._sharded = sharded
        self._attributes = [module.__dict__ for module in self._modules]
        self.tensors: list[Tensor] = []
        self._empty: list[Any] = []
        self._contents = [_Contents(self._attributes, [])]
        inside = self._contents[0].inside()
        # The names of parameters and parts count in any mapping, also in one that is not put back.
        owned = [each[name] for each in self._attributes for name in _STRUCTURE if type(each[name]) not in _MAPPINGS]
        for _ in range(MAX_DEPTH + 1):
            mappings, others = self._sort(inside)
            mappings += owned
            if not mappings and not others:
                inside = []
                break
            self._contents.append(_Contents(mappings, others))
            inside, owned = self._contents[-1].inside(), []
        self.tensors += [each for each in inside if isinstance(each, Tensor)]
        self._training = [each.get("training", True) for each in self._attributes]
        self._weights = list(_weights_of(self._modules))
        self._requires_grad = [value.requires_grad for value in self._weights]
        lazy = any(map(is_lazy, self._weights))
        self._lazy = {id(each) for each in self._modules if any(map(is_lazy, _weights_of([each])))} if lazy else set()

    def _sort(self, values: Iterable[Any]) -> tuple[list[Any], list[Any]]:
        """Containers among some values that hold something: mappings, others. Empty ones and tensors are noted."""
        mappings: list[Any] = []
        others: list[Any] = []
        empty, tensors = self._empty, self.tensors
        for value in values:
            kind = type(value)
            if kind in _BUILTIN:
                if not value:
                    empty.append(value)
                elif kind in _MAPPINGS:
                    mappings.append(value)
                else:
                    others.append(value)
            elif kind not in _INERT and isinstance(value, Tensor):
                tensors.append(value)
        return mappings, others

    def name_of(self, tensor: Tensor) -> str:
        """Path of the first attribute that held a tensor, or held it in a container."""
        saved = dict(self._contents[0].by_id())
        for path, attributes in zip(self._paths, self._attributes, strict=True):
            items = saved[id(attributes)]
            for name, value in zip(items[::2], items[1::2], strict=True):
                if _holds(value, tensor):
                    return f"{path}.{name}" if path else name
        return ""

    def restore_flags(self) -> None:
        """Put back requires_grad and the training flag, which are the user's in every case."""
        for value, flag in zip(self._weights, self._requires_grad, strict=True):
            if value.requires_grad != flag and value.is_leaf:
                value.requires_grad_(flag)
        for module, flag in zip(self._modules, self._training, strict=True):
            if module.__dict__.get("training", flag) is not flag:
                module.training = flag

    def restore(self) -> None:
        """Put back what changed. A module that got its parameters or parts in this forward stays as it made itself."""
        if self._unchanged():
            return
        saved = dict(chain.from_iterable(each.by_id() for each in self._contents))
        for module, kind, before in zip(self._modules, self._types, self._attributes, strict=True):
            items = saved[id(before)]
            attributes = dict(zip(items[::2], items[1::2], strict=True))
            grown = id(module) in self._lazy or type(module) is not kind or _grown(module, attributes, saved)
            # FSDP swaps parameters in forward and keeps books about it; undoing the swap would break its books.
            if grown or hasattr(kind, "_get_fsdp_state"):
                continue
            _rebind(module.__dict__, attributes)
            if self._sharded.has(module):
                del attributes["_parameters"]
            for value in attributes.values():
                _refill(value, saved)

    def _unchanged(self) -> bool:
        """Whether every attribute and container is what it was."""
        return (
            list(map(type, self._modules)) == self._types
            and all(map(is_, [module.__dict__ for module in self._modules], self._attributes))
            and not any(self._empty)
            and all(each.unchanged() for each in self._contents)
        )


class _Contents:
    """What containers hold, in one long list: keys of mappings, their values, entries of other containers."""

    def __init__(self, mappings: list[Any], others: list[Any]) -> None:
        self._mappings = mappings
        self._others = others
        self._sizes = self._sizes_now()
        self._before = list(self._now())

    def _sizes_now(self) -> list[int]:
        return [*map(len, self._mappings), *map(len, self._others)]

    def _now(self) -> Iterator[Any]:
        keys, others = chain.from_iterable(self._mappings), chain.from_iterable(self._others)
        return chain(keys, chain.from_iterable([each.values() for each in self._mappings]), others)

    def unchanged(self) -> bool:
        """Whether each holds the same objects in the same order."""
        return self._sizes_now() == self._sizes and all(map(is_, self._now(), self._before))

    def inside(self) -> list[Any]:
        """What they held, without keys."""
        return self._before[sum(self._sizes[: len(self._mappings)]) :]

    def by_id(self) -> Iterator[tuple[int, list[Any]]]:
        """(id, contents as :func:`_items` gives them) of each."""
        sizes, keys, entries = iter(self._sizes), iter(self._before), iter(self.inside())
        for mapping in self._mappings:
            size = next(sizes)
            pairs = zip(list(islice(keys, size)), list(islice(entries, size)), strict=True)
            yield id(mapping), list(chain.from_iterable(pairs))
        for container in self._others:
            yield id(container), list(islice(entries, next(sizes)))


def _grown(module: nn.Module, attributes: dict[str, Any], saved: dict[int, list[Any]]) -> bool:
    """Whether a module has other parameters or parts now: by their names, parts also by identity."""
    parameters, parts = (saved.get(id(attributes[name]), []) for name in _STRUCTURE)
    return (
        list(module._parameters) != parameters[::2]
        or list(module._modules) != parts[::2]
        or not _same(list(module._modules.values()), parts[1::2])
    )


def _weights_of(modules: list[nn.Module]) -> Iterator[Tensor]:
    """Parameters and buffers."""
    for module in modules:
        for table in (module._parameters, module._buffers):
            if table:
                yield from (value for value in table.values() if value is not None)


def _holds(value: Any, tensor: Tensor, depth: int = 0) -> bool:
    """Whether a value is a tensor, or a builtin container of it."""
    if value is tensor:
        return True
    if type(value) not in _BUILTIN or depth > MAX_DEPTH:
        return False
    return any(_holds(entry, tensor, depth + 1) for entry in _entries(value))


def _rebind(current: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Give a module its earlier attributes."""
    for name in [name for name in current if name not in attributes]:
        del current[name]
    for name, value in attributes.items():
        if current.get(name, attributes) is not value:
            current[name] = value


def _refill(value: Any, saved: dict[int, list[Any]], depth: int = 0) -> None:
    """Give a builtin container, and those that it held, their earlier contents."""
    kind = type(value)
    if kind not in _BUILTIN or depth > MAX_DEPTH:
        return
    items = saved.get(id(value), [])
    if kind is not tuple and not _same(_items(value), items):
        value.clear()
        if kind in _MAPPINGS:
            value.update(zip(items[::2], items[1::2], strict=True))
        elif kind is set:
            value.update(items)
        else:
            value.extend(items)
    for entry in _entries(value) if items else ():
        _refill(entry, saved, depth + 1)


def _entries(container: Any) -> Iterable[Any]:
    found: Iterable[Any] = container.values() if type(container) in _MAPPINGS else container
    return found


def _items(container: Any) -> list[Any]:
    """Contents of a builtin container as a flat list, keys before their values."""
    if isinstance(container, dict):
        return [entry for pair in container.items() for entry in pair]
    return list(container)


def _same(now: list[Any], before: list[Any]) -> bool:
    return len(now) == len(before) and all(map(is_, now, before))
