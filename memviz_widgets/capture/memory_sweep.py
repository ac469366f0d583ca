"""The sweep: every tensor that a model could carry from one call to the next, as it is after each call.

In: modules that start and end while a model runs. Out: a Series per tensor: a few copies, how often it changed, whether
it was given back. Looked at are results, plain attributes and buffers; those of a module that is never called (a memory
that others read and write) at the end of the calls around it, those of a module with a loop in its forward at the end
of each call that it makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .fingerprint import fingerprint
from .outputs import leaves, tensors_of
from .tensors import tensor_kind
from .trace import Site

MOST_SAMPLES = 6
"""Copies of one tensor, of its second call and the ones after it: most tensors of a model are seen once."""
OUTPUT = "output"
_OWN_NAMES = frozenset(nn.Module().__dict__)
_STATEFUL = ("cache", "state", "memory")
"""In the name of a class: objects of it are opened, as containers are. Opening every configuration would take long."""
_KEYS_AND_VALUES = re.compile(r"layers\.\d+\.(keys|values)$")
"""Place of a KV cache's contents, which have an adapter."""


@dataclass(slots=True, eq=False)
class Series:
    """One tensor after several calls.

    Attributes:
        owner: The module that holds or returned it.
        path: Path of the owner.
        name: "output", "output.1.memory" for a result, else the attribute: "memory", "state.usage".
        clock: The module at the end of whose calls it was read.
        clock_path: Path of the clock.
        shape: Its shape in the first call.
        count: Calls after which it was there.
        changed: In how many of them it differed from the call before.
        given_back: To how many calls of the clock the tensor of the call before was an argument.
        same_shape: Whether its shape stayed the same.
        samples: Copies after the second call and the ones after it, at most MOST_SAMPLES.
        mark: Sampled elements of the latest.
    """

    owner: nn.Module
    path: str
    name: str
    clock: nn.Module
    clock_path: str
    shape: tuple[int, ...]
    count: int = 0
    changed: int = 0
    given_back: int = 0
    same_shape: bool = True
    samples: list[Tensor] = field(default_factory=list)
    mark: bytes = b""

    @property
    def is_output(self) -> bool:
        """Whether it is a result, not an attribute."""
        return self.name == OUTPUT or self.name.startswith(OUTPUT + ".")

    def add(self, tensor: Tensor) -> None:
        """The tensor after one more call."""
        self.count += 1
        self.same_shape &= tuple(tensor.shape) == self.shape
        mark = fingerprint(tensor)
        self.changed += self.count > 1 and mark != self.mark
        self.mark = mark
        if self.count > 1 and self.same_shape and len(self.samples) < MOST_SAMPLES:
            self.samples.append(tensor.detach().clone())


@dataclass(slots=True)
class _Call:
    """A call that has begun: its module and the marks of its arguments, which it may write to."""

    module: nn.Module
    given: frozenset[bytes]


class Sweep:
    """Follows the calls of a model.

    Args:
        sites: Its modules with their paths.
        known: Ids of modules whose memory an adapter knows; their own tensors are left out.
    """

    def __init__(self, sites: list[Site], known: frozenset[int]) -> None:
        self._sites = sites
        self._paths = {id(site.module): site.path for site in sites}
        self._known = known
        self._open: list[_Call] = []
        self._series: dict[tuple[int, str, int], Series] = {}
        self._results: dict[int, list[Series]] = {}
        self._given: dict[int, frozenset[bytes]] = {}
        self.calls: dict[int, int] = {}
        """Id of a module -> number of its calls."""
        self.news: dict[int, int] = {}
        """Id of a module -> calls that were given back a result and, besides, what the call before had not."""

    @property
    def series(self) -> list[Series]:
        """Every tensor that was seen, in the order in which it was."""
        return list(self._series.values())

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks on every module while the block runs."""
        handles = []
        try:
            for module, _ in self._sites:
                handles.append(module.register_forward_pre_hook(self._entered, with_kwargs=True))
                handles.append(module.register_forward_hook(self._left, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            given = frozenset(fingerprint(each) for each in tensors_of((args, kwargs)) if tensor_kind(each) == "dense")
            self._open.append(_Call(module, given))

    def _left(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            call = self._open.pop()
            while call.module is not module:  # that one raised, and its error was caught
                call = self._open.pop()
            self._note_call(module, call.given)
            for leaf in () if id(module) in self._known else leaves(result):
                if leaf.tensor is not None:
                    self._see(module, f"{OUTPUT}.{leaf.item}" if leaf.item else OUTPUT, leaf.tensor, module)
            self._see_attributes(module, module)
            if self._open:
                self._see_attributes(self._open[-1].module, module)

    def _note_call(self, module: nn.Module, given: frozenset[bytes]) -> None:
        """Compare what a call was given with what the call before was given and returned."""
        before = self._given.get(id(module))
        results = self._results.get(id(module), [])
        self.calls[id(module)] = self.calls.get(id(module), 0) + 1
        if before is not None:
            back = [each for each in results if each.mark in given]
            for each in back:
                each.given_back += 1
            new = given - before - {each.mark for each in results}
            self.news[id(module)] = self.news.get(id(module), 0) + bool(back and new)
        self._given[id(module)] = given

    def _see_attributes(self, module: nn.Module, clock: nn.Module) -> None:
        """Attributes and buffers of a module, and of those in it that nobody has called."""
        if not type(module).__module__.startswith("torch.nn") and id(module) not in self._known:
            for name, tensor in held_by(module):
                self._see(module, name, tensor, clock)
        for child in module._modules.values():
            if child is not None and id(child) not in self.calls and id(child) in self._paths:
                self._see_attributes(child, clock)

    def _see(self, owner: nn.Module, name: str, tensor: Tensor, clock: nn.Module) -> None:
        """One tensor. Whole numbers and single ones are counters, and what holds no values cannot be compared."""
        if not tensor.is_floating_point() or isinstance(tensor, nn.Parameter) or tensor_kind(tensor) != "dense":
            return
        if tensor.numel() < 2 or _KEYS_AND_VALUES.search(name):
            return
        key = (id(owner), name, id(clock))
        if key not in self._series:
            paths = self._paths[id(owner)], self._paths[id(clock)]
            self._series[key] = series = Series(owner, paths[0], name, clock, paths[1], tuple(tensor.shape))
            if series.is_output:
                self._results.setdefault(id(owner), []).append(series)
        self._series[key].add(tensor)


def held_by(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of buffers and of plain attributes, also inside containers: "state.usage", "memories.0"."""
    values = {**module._buffers, **{name: value for name, value in module.__dict__.items() if name not in _OWN_NAMES}}
    for name, value in values.items():
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, (Mapping, tuple, list)) or _is_stateful(value):
            for leaf in leaves(value):
                if leaf.tensor is not None:
                    yield f"{name}.{leaf.item}", leaf.tensor


def _is_stateful(value: object) -> bool:
    return not isinstance(value, nn.Module) and any(word in type(value).__name__.lower() for word in _STATEFUL)
