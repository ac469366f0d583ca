"""What a forward tells about the model besides its tensors: names, modules that never ran, modules without hooks.

In: the model, then the hooks as they fire. Out: a Trace that the cache keeps (names only, never a module).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

COMPILED_PREFIX = "_orig_mod"
"""The attribute in which torch.compile's wrapper keeps the user's module; it is no name that the user gave."""
WRAPPERS = {
    "OptimizedModule": COMPILED_PREFIX,
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
}
"""Class of a wrapper -> the attribute in which it keeps the user's module, under a name that the user did not give."""


class Site(NamedTuple):
    """A module that gets hooks, and its path."""

    module: nn.Module
    path: str


@dataclass(slots=True)
class Trace:
    """Names and events of one capture.

    Attributes:
        names: Every name of every module -> its path, the first name. A shared module has several names.
        types: Path -> class name when the capture began.
        callable_paths: Paths of modules that have a forward (a ModuleList has none).
        opaque: Path -> a sentence, for modules that take no hooks.
        fired: Paths whose module was entered.
        weights_used: Path of a module -> the function that was given its weights outside of its own call, and where.
        remarks: Sentences about what could not be recorded or restored.
    """

    names: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    callable_paths: list[str] = field(default_factory=list)
    opaque: dict[str, str] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    weights_used: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def never_called(self) -> tuple[str, ...]:
        """Paths of modules with a forward that was not called, in the order of ``named_modules()``."""
        return tuple(path for path in self.callable_paths if path not in self.fired and path not in self.opaque)

    def remark_weights(self) -> None:
        """Say of modules that were never called where their weights went all the same."""
        for path in self.never_called:
            if path in self.weights_used:
                self.remark(f"{path!r} was never called, but its weights were used by {self.weights_used[path]}")

    def add(self, other: Trace) -> None:
        """Add what another forward of the same model told."""
        self.names.update(other.names)
        self.types.update(other.types)
        self.callable_paths = list(dict.fromkeys((*self.callable_paths, *other.callable_paths)))
        self.opaque.update(other.opaque)
        self.fired |= other.fired
        self.weights_used.update(other.weights_used)
        for sentence in other.remarks:
            self.remark(sentence)

    def remark(self, sentence: str) -> None:
        """Keep a sentence once."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)


Modules = list[tuple[str, nn.Module]]
"""Modules with the names that ``named_modules()`` gives them, each once."""


def walk(model: nn.Module) -> Modules:
    """``named_modules()`` as a list, each module once. Without generators in generators: a tenth of the time."""
    found: Modules = []
    seen: set[int] = set()
    waiting: Modules = [("", model)]
    while waiting:
        name, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        found.append((name, module))
        if module._modules:
            prefix = f"{name}." if name else ""
            parts = [(prefix + part, child) for part, child in module._modules.items() if child is not None]
            parts.reverse()
            waiting += parts
    return found


def walk_all(model: nn.Module, modules: Modules) -> Modules:
    """``named_modules(remove_duplicate=False)`` as a list: a module that is shared comes with each of its names.

    Args:
        model: The model.
        modules: Its ``walk``.
    """
    if 1 + sum([len(module._modules) for _, module in modules]) == len(modules):
        return modules  # none is shared
    found: Modules = []
    _walk_all("", model, found)
    return found


def _walk_all(name: str, module: nn.Module, found: Modules) -> None:
    found.append((name, module))
    if module._modules:
        prefix = f"{name}." if name else ""
        for part, child in module._modules.items():
            if child is not None:
                _walk_all(prefix + part, child, found)


class _Kind(NamedTuple):
    """What a class says of its modules.

    Attributes:
        name: See :func:`class_name`.
        inner: The attribute in which a wrapper keeps the user's module; "" for a class that is none.
        scripted: Whether TorchScript made it.
        traced_root: See :func:`is_traced_root`.
        callable: Whether it has a forward.
    """

    name: str
    inner: str
    scripted: bool
    traced_root: bool
    callable: bool


def _kind_of(module: nn.Module) -> _Kind:
    kind, root = type(module), is_traced_root(module)
    scripted = isinstance(module, torch.jit.ScriptModule)
    # The other classes of TorchScript raise when their forward is looked at.
    has_forward = root or (not scripted and kind.forward is not nn.Module.forward)
    return _Kind(class_name(kind), WRAPPERS.get(kind.__name__, ""), scripted, root, has_forward)


def survey(model: nn.Module, trace: Trace, modules: Modules | None = None) -> list[Site]:
    """Fill the trace with the model's names and return the modules to hook, each once.

    A wrapper (torch.compile, DataParallel) is left out: its module stands for it, under its name.

    Args:
        model: The model.
        trace: Is filled.
        modules: Its ``walk``, where that is known.
    """
    sites: list[Site] = []
    paths: dict[int, str] = {}
    prefixes: dict[str, str] = {}
    kinds: dict[type, _Kind] = {}
    names, types, callable_paths = trace.names, trace.types, trace.callable_paths
    for raw_name, module in walk_all(model, walk(model) if modules is None else modules):
        name = _own_name(raw_name, prefixes) if prefixes else raw_name
        kind = kinds.get(type(module))
        if kind is None:
            kind = kinds[type(module)] = _kind_of(module)
        if kind.inner and kind.inner in module._modules:
            prefixes[f"{raw_name}.{kind.inner}".lstrip(".")] = name
            continue
        if id(module) in paths:
            names.setdefault(name, paths[id(module)])
            names.setdefault(raw_name, paths[id(module)])
            continue
        paths[id(module)] = names[name] = names[raw_name] = name
        types[name] = type_name(module) if kind.scripted else kind.name
        if kind.scripted and not kind.traced_root:
            trace.opaque[name] = f"{name!r} is a {type_name(module)} compiled by TorchScript; it takes no hooks"
            continue
        sites.append(Site(module, name))
        if kind.callable:
            callable_paths.append(name)
    return sites


def _own_name(raw_name: str, prefixes: dict[str, str]) -> str:
    """The name without what wrappers put into it; ``prefixes``: raw name of a wrapped module -> its own name."""
    for raw, own in reversed(prefixes.items()):
        if raw_name == raw:
            return own
        if raw_name.startswith(raw + "."):
            return f"{own}.{raw_name[len(raw) + 1 :]}".lstrip(".")
    return raw_name


def is_traced_root(module: nn.Module) -> bool:
    """Whether a module is what ``torch.jit.trace`` returns: it takes hooks, its parts do not."""
    return type(module).__name__ == "TopLevelTracedModule"


def is_wrapper(module: nn.Module) -> bool:
    """Whether a module only wraps the user's: torch.compile, DataParallel, DistributedDataParallel, FSDP."""
    return WRAPPERS.get(type(module).__name__, "") in module._modules


def is_compiled_wrapper(module: nn.Module) -> bool:
    """Whether a module is the wrapper that ``torch.compile(module)`` returns."""
    return type(module).__name__ == "OptimizedModule" and COMPILED_PREFIX in module._modules


def type_name(module: nn.Module) -> str:
    """Class name; for TorchScript the name of the class that was compiled."""
    return str(getattr(module, "original_name", "") or class_name(type(module)))


def class_name(kind: type) -> str:
    """Name of a module's class; where fully_shard put a class of its own in front of the user's, the user's."""
    if not hasattr(kind, "_get_fsdp_state"):
        return kind.__name__
    return next(base for base in kind.__mro__ if not hasattr(base, "_get_fsdp_state")).__name__


def single_owners(sites: list[Site]) -> dict[int, str]:
    """Id of a parameter -> path of the module that has it; without those that several have."""
    owners: dict[int, str] = {}
    shared: set[int] = set()
    for site in sites:
        if parameters := site.module._parameters:
            for value in parameters.values():
                if value is not None:
                    if id(value) in owners:
                        shared.add(id(value))
                    owners[id(value)] = site.path
    return {key: path for key, path in owners.items() if key not in shared}
