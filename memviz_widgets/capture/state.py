"""The model as it was: everything that a forward may change, saved before and put back after.

In: the modules of a model. Out: a context that restores, module by module, attributes, hooks, training flags, buffers,
and besides them grads and the random generators. Not undone: writes to parameters (the Trace says so, and then nothing
is undone, so that weights and flags stay a pair) and changes inside objects of the user's own classes that a module
holds.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .grads import GradKeeper
from .parameters import ParameterWatch
from .sharded_weights import ShardedWeights
from .tensors import NO_VALUES, same_bits, tensor_kind, without_repeats
from .trace import Modules, Trace

_CONTAINERS = (dict, OrderedDict, list, set, deque)
"""Exact types whose contents are put back; a subclass may have rules of its own."""
_BUILTIN = frozenset((*_CONTAINERS, tuple))
_INERT = frozenset((type(None), bool, int, float, str, torch.dtype, torch.device))
"""Exact types of most attributes, which hold nothing that could change."""
MAX_DEPTH = 4
"""Levels of containers inside containers that are put back."""
MOST_GROUPED_BYTES = 1 << 16
"""Bytes up to which tensors are saved together; comparing larger ones so would take as much memory again."""
_OWN_CONTAINERS = ("_parameters", "_buffers", "_modules")
"""Attributes in which nn.Module keeps what is looked at by itself."""


@contextmanager
def kept_state(modules: Modules, trace: Trace) -> Iterator[ParameterWatch]:
    """Save, run the block, put everything back; also after KeyboardInterrupt. The block gets the watch on the weights.

    Args:
        modules: All modules of the model: ``walk(model)``.
        trace: Gets the remarks about what could not be put back.
    """
    named = named_parameters(modules)
    sharded = ShardedWeights(modules)
    parts = [
        ModuleKeeper(module, sharded.has(module))
        for _, module in modules
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    tensors = TensorKeeper(modules, {id(value) for _, value in named})
    parameters = ParameterWatch(named, tensors.kept)
    grads = GradKeeper(named)
    generators = RandomKeeper()
    try:
        yield parameters
    finally:
        generators.restore()
        grads.restore(trace)
        sharded.restore()
        _put_back(parts, tensors, parameters.written(), trace)


def named_parameters(modules: Modules) -> list[tuple[str, nn.Parameter]]:
    """Every parameter once, as ``model.named_parameters()`` gives them."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for path, module in modules:
        for name, value in module._parameters.items():
            if value is not None and id(value) not in found:
                found[id(value)] = (f"{path}.{name}" if path else name, value)
    return list(found.values())


def _put_back(parts: list[ModuleKeeper], tensors: TensorKeeper, written: list[str], trace: Trace) -> None:
    """Restore flags always; attributes and tensors unless the forward wrote to weights that they may belong to."""
    for part in parts:
        part.restore_flags()
    if written:
        trace.remark(
            f"the forward wrote to the parameter {written[0]!r} (one of {len(written)}), which is not undone; "
            "buffers and attributes are left as the forward made them, since they may belong to the new weights"
        )
        return
    for part in parts:
        part.restore()
    tensors.restore(trace)


class ModuleKeeper:
    """One module's attributes: bindings, contents of builtin containers (hooks, buffers among them), flags.

    A model has hundreds of modules with some 30 attributes each, so the first look compares identities in bulk.
    """

    __slots__ = (
        "_attributes",
        "_contents",
        "_empty",
        "_identities",
        "_lazy",
        "_module",
        "_requires_grad",
        "_shape",
        "_type",
    )

    def __init__(self, module: nn.Module, sharded: bool = False) -> None:
        self._module = module
        self._type = type(module)
        self._attributes = dict(module.__dict__)
        self._identities = _identities(self._attributes)
        # Weights that fully_shard exchanges are its own to put back: it keeps books about them.
        builtin = [
            value
            for name, value in self._attributes.items()
            if type(value) in _BUILTIN and not (sharded and name == "_parameters")
        ]
        self._empty = [value for value in builtin if not value and type(value) is not tuple]
        self._contents = [entry for value in builtin if value for entry in _containers(value)]
        self._shape = _structure(module)
        own = [value for value in (*module._parameters.values(), *module._buffers.values()) if value is not None]
        self._lazy = any(is_lazy(value) for value in own)
        self._requires_grad = [(value, value.requires_grad) for value in own]

    def restore_flags(self) -> None:
        """Put back requires_grad and the training flag, which are the user's in every case."""
        for value, flag in self._requires_grad:
            if value.requires_grad != flag and value.is_leaf:
                value.requires_grad_(flag)
        flag = self._attributes.get("training", True)
        if self._module.__dict__.get("training", flag) is not flag:
            self._module.training = flag

    def restore(self) -> None:
        """Put back what changed. A module that got its parameters or parts in this forward stays as it made itself."""
        module = self._module
        grown = self._lazy or type(module) is not self._type or _structure(module) != self._shape
        # FSDP swaps parameters in forward and keeps books about it; undoing the swap would break its books.
        if grown or hasattr(type(module), "_get_fsdp_state"):
            return
        if _identities(module.__dict__) != self._identities:
            self._restore_attributes(module.__dict__)
        if any(self._empty):
            for container in self._empty:
                _refill(container, [])
        for container, items in self._contents:
            if not _same_items(_items(container), items):
                _refill(container, items)

    def _restore_attributes(self, current: dict[str, Any]) -> None:
        for name in [name for name in current if name not in self._attributes]:
            del current[name]
        for name, value in self._attributes.items():
            if current.get(name, self) is not value:
                current[name] = value


def _containers(value: Any, depth: int = 0) -> Iterator[tuple[Any, list[Any]]]:
    """(container, contents) of a builtin container and of those inside it."""
    kind = type(value)
    if kind not in _BUILTIN or depth > MAX_DEPTH:
        return
    if kind is not tuple:
        yield value, _items(value)
    if value and kind is not set:
        inside = value.values() if isinstance(value, dict) else value
        for entry in inside:
            if type(entry) in _BUILTIN:
                yield from _containers(entry, depth + 1)


def _identities(attributes: dict[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(attributes), tuple(map(id, attributes.values()))


def _structure(module: nn.Module) -> tuple[object, ...]:
    """What makes a module another one: names of parameters and buffers' owners, identity of its parts."""
    return (tuple(module._parameters), tuple(module._modules), tuple(map(id, module._modules.values())))


def _items(container: Any) -> list[Any]:
    """Contents of a builtin container as a flat list, keys before their values."""
    if isinstance(container, dict):
        return [entry for pair in container.items() for entry in pair]
    return list(container)


def _same_items(now: list[Any], before: list[Any]) -> bool:
    return len(now) == len(before) and all(map(is_, now, before))


def _refill(container: Any, items: list[Any]) -> None:
    """Give a builtin container its earlier contents."""
    container.clear()
    if isinstance(container, dict):
        container.update(zip(items[::2], items[1::2], strict=True))
    elif isinstance(container, set):
        container.update(items)
    else:
        container.extend(items)


class TensorKeeper:
    """Contents of the tensors that a model may write to: buffers, tensors in attributes, weights with max_norm."""

    def __init__(self, modules: Modules, parameter_ids: set[int]) -> None:
        self.kept: set[int] = set()
        self._saved: list[tuple[str, Tensor, Tensor]] = []
        groups: dict[tuple[torch.dtype, torch.device], list[tuple[str, Tensor]]] = {}
        for path, module in modules:
            for name, value in _writable_tensors(module, parameter_ids):
                if id(value) in self.kept or is_lazy(value) or (kind := tensor_kind(value)) in NO_VALUES:
                    continue
                self.kept.add(id(value))
                full_name = f"{path}.{name}" if path else name
                if kind == "dense" and value.nbytes <= MOST_GROUPED_BYTES and value.is_contiguous():
                    groups.setdefault((value.dtype, value.device), []).append((full_name, value))
                else:
                    self._saved.append((full_name, value, _copy(value)))
        self._groups = [_SmallTensors(entries) for entries in groups.values()]

    def restore(self, trace: Trace) -> None:
        """Write earlier contents back. Compared by value: BatchNorm writes without a version bump."""
        for group in self._groups:
            for name, value, saved in group.changed():
                self._restore_one(name, value, saved, trace)
        for name, value, saved in self._saved:
            self._restore_one(name, value, saved, trace)

    @staticmethod
    def _restore_one(name: str, value: Tensor, saved: Tensor, trace: Trace) -> None:
        try:
            write_back(value, saved)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            trace.remark(f"the tensor {name!r} could not be put back: {error}")


class _SmallTensors:
    """Contiguous tensors of one dtype and device, saved and compared by one call: a ResNet has 160 of them."""

    def __init__(self, entries: list[tuple[str, Tensor]]) -> None:
        self._entries = [(name, value, value.shape, value.numel()) for name, value in entries]
        self._before = self._now()

    def _now(self) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return torch.cat([value.detach().view(-1) for _, value, _, _ in self._entries])

    def changed(self) -> list[tuple[str, Tensor, Tensor]]:
        """(name, tensor, saved contents) of all if one of them changed, else of none."""
        try:
            if same_bits(self._now(), self._before):
                return []
        except (RuntimeError, TypeError):  # one of them got another shape, dtype or device
            pass
        saved = self._before.split([count for _, _, _, count in self._entries])
        return [
            (name, value, before.view(shape))
            for (name, value, shape, _), before in zip(self._entries, saved, strict=True)
        ]


def _writable_tensors(module: nn.Module, parameter_ids: set[int]) -> list[tuple[str, Tensor]]:
    """(name, tensor) of buffers, attributes, tensors inside containers of them, and weights that forward renorms."""
    found = [(name, value) for name, value in module._buffers.items() if value is not None]
    if is_renormed(module):
        found.append(("weight", module.weight))
    if isinstance(module, torch.jit.ScriptModule):
        return found
    for name, value in module.__dict__.items():
        kind = type(value)
        if kind in _INERT or (kind in _BUILTIN and (not value or name in _OWN_CONTAINERS)):
            continue
        found += [(name, each) for each in _tensors_in(value) if id(each) not in parameter_ids]
    return found


def is_renormed(module: nn.Module) -> TypeGuard[nn.Embedding | nn.EmbeddingBag]:
    """Whether a module writes to its weights in each forward: an embedding with max_norm."""
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None


def _tensors_in(value: Any, depth: int = 0) -> list[Tensor]:
    """A tensor, or the tensors inside builtin containers."""
    if isinstance(value, Tensor):
        return [value]
    if type(value) not in _BUILTIN or depth > MAX_DEPTH:
        return []
    inside = value.values() if isinstance(value, dict) else value
    return [each for entry in inside if type(entry) not in _INERT for each in _tensors_in(entry, depth + 1)]


def _copy(value: Tensor) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return value.detach().clone()


def write_back(value: Tensor, saved: Tensor) -> None:
    """Give ``value`` the saved contents, in place and without a version bump, unless it has them already."""
    if same_bits(value, saved):
        return
    with torch.no_grad():
        if value.is_inference():
            with torch.inference_mode():
                value.copy_(saved)
        elif value.shape != saved.shape or value.layout is not torch.strided:
            value.data = saved
        else:
            # Through .data: a version bump would break the backward of a graph that saved this tensor.
            without_repeats(value.data).copy_(without_repeats(saved.expand(value.shape)))


class RandomKeeper:
    """States of the random generators: torch on the CPU and on accelerators in use, Python, numpy."""

    def __init__(self, *, torch_only: bool = False) -> None:
        self._torch = torch.get_rng_state()
        # Asking a device that was never used would initialise it, which takes memory and seconds.
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self._python = None if torch_only else random.getstate()
        numpy = None if torch_only else sys.modules.get("numpy")
        self._numpy: Any = numpy.random.get_state() if numpy else None

    def restore(self) -> None:
        """Put the states back."""
        torch.set_rng_state(self._torch)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)
        if self._python is not None:
            random.setstate(self._python)
        if self._numpy is not None:
            sys.modules["numpy"].random.set_state(self._numpy)
