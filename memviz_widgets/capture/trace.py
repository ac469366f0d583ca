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
        prefix = f"{name}." if name else ""
        parts = [(prefix + part, child) for part, child in module._modules.items() if child is not None]
        waiting += reversed(parts)
    return found


def survey(model: nn.Module, trace: Trace) -> list[Site]:
    """Fill the trace with the model's names and return the modules to hook, each once.

    A wrapper (torch.compile, DataParallel) is left out: its module stands for it, under its name.
    """
    sites: list[Site] = []
    paths: dict[int, str] = {}
    prefixes: dict[str, str] = {}
    for raw_name, module in model.named_modules(remove_duplicate=False):
        name = _own_name(raw_name, prefixes)
        if is_wrapper(module):
            inner = WRAPPERS[type(module).__name__]
            prefixes[f"{raw_name}.{inner}".lstrip(".")] = name
            continue
        if id(module) in paths:
            trace.names.setdefault(name, paths[id(module)])
            trace.names.setdefault(raw_name, paths[id(module)])
            continue
        paths[id(module)] = trace.names[name] = trace.names[raw_name] = name
        trace.types[name] = type_name(module)
        if isinstance(module, torch.jit.ScriptModule) and not is_traced_root(module):
            trace.opaque[name] = f"{name!r} is a {type_name(module)} compiled by TorchScript; it takes no hooks"
            continue
        sites.append(Site(module, name))
        if is_traced_root(module) or type(module).forward is not nn.Module.forward:
            trace.callable_paths.append(name)
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
        for value in site.module._parameters.values():
            if value is not None:
                shared.update((id(value),) if id(value) in owners else ())
                owners[id(value)] = site.path
    return {key: path for key, path in owners.items() if key not in shared}
