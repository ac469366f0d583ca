"""Weights of memories that fully_shard manages one by one: they are in pieces again when a call is recorded.

In: the modules of a model, and the adapters of their memories. Out: adapters that read the weights as a call had them.
fully_shard brings the whole weights before a forward and lets go of them right after it, in hooks that are older than
ours. A hook in front of those copies the weights, which starts no collective. The copies cost the weights of these
modules once more while a recording runs; they stay the same tensors as long as the weights do, so they are kept once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .attached import Hook
from .memory import MemoryAdapter, MemoryTensor
from .memory_adapters import STATES
from .memory_recurrent import CellAdapter, RecurrentAdapter
from .tensors import same_bits, snapshot, tensor_kind
from .trace import Modules, walk

Whole = dict[tuple[int, str], Tensor]
"""(id of a module, name of its weight) -> a copy of the weight."""
_READ_WEIGHTS = (RecurrentAdapter, CellAdapter, *STATES)
"""Adapters whose values are computed of weights."""


class GatheredWeights:
    """The memories of a model that are units of fully_shard, and the whole weights of their last call.

    Args:
        modules: All modules of the model.
        memories: Id of a module -> the adapter of its memory.
    """

    def __init__(self, modules: Modules, memories: Mapping[int, MemoryAdapter]) -> None:
        self._memories = memories
        self._units = [
            module
            for _, module in modules
            if isinstance(memories.get(id(module)), _READ_WEIGHTS) and hasattr(type(module), "_get_fsdp_state")
        ]
        self._whole: dict[int, Whole] = {}

    @property
    def adapters(self) -> dict[int, MemoryAdapter]:
        """The adapters by id of their module, those of the units with the weights that a call had."""
        mine = {id(module) for module in self._units}
        return {key: _OfWholeWeights(each, self) if key in mine else each for key, each in self._memories.items()}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Copy the weights whenever a call of a unit ends, while the block runs."""
        take = Hook(self._take)
        handles = [module.register_forward_hook(take, prepend=True) for module in self._units]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._whole.clear()

    def _take(self, module: nn.Module, args: object, result: object) -> None:
        """Hook: before fully_shard's own, the weights are there."""
        try:
            with torch._C.DisableTorchFunction():
                before = self._whole.get(id(module), {})
                self._whole[id(module)] = {
                    (id(part), name): _copy(weight, before.get((id(part), name)))
                    for _, part in walk(module)
                    for name, weight in part._parameters.items()
                    if weight is not None and tensor_kind(weight) == "dense"
                }
        except Exception:  # no memory, say: the states then tell that their weights are not there
            self._whole.pop(id(module), None)

    @contextmanager
    def whole(self, module: nn.Module) -> Iterator[None]:
        """A module with the weights of its last call, while the block runs."""
        whole = self._whole.get(id(module), {})
        parts = [part for _, part in walk(module)]
        before = [(part, dict(part._parameters), part.__dict__.get("_flat_weights")) for part in parts]
        try:
            for part in parts:
                _give(part, {name: whole[id(part), name] for name in part._parameters if (id(part), name) in whole})
            yield
        finally:
            for part, own, flat in before:
                part._parameters.update(own)
                if flat is not None:
                    part.__dict__["_flat_weights"] = flat


def _give(part: nn.Module, weights: dict[str, Tensor]) -> None:
    """Other weights for a module, past what it does when it is given some; also in torch's list of a recurrent one."""
    parameters: dict[str, Any] = part._parameters
    parameters.update(weights)
    attributes = part.__dict__
    if weights and "_flat_weights" in attributes:
        pairs = zip(attributes["_flat_weights_names"], attributes["_flat_weights"], strict=True)
        attributes["_flat_weights"] = [weights.get(name, weight) for name, weight in pairs]


class _OfWholeWeights:
    """An adapter that finds the whole weights in its module."""

    def __init__(self, adapter: MemoryAdapter, weights: GatheredWeights) -> None:
        self._adapter = adapter
        self._weights = weights

    def match(self, module: nn.Module) -> bool:
        """As that adapter."""
        return self._adapter.match(module)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """As that adapter."""
        with self._weights.whole(module):
            return list(self._adapter.read(module, args, kwargs, result))


def _copy(weight: Tensor, before: Tensor | None) -> Tensor:
    """The copy of the call before where the weights are the same, else a new one."""
    return before if before is not None and same_bits(weight, before) else snapshot(weight)
