"""Weights under fully_shard: in pieces on all ranks before a forward, and in pieces again after it.

In: the modules of a model. Out: which of them fully_shard manages; the pieces put back, without a collective.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from .trace import Modules, walk


class ShardedWeights:
    """The modules under fully_shard and what state their weights were in."""

    def __init__(self, modules: Modules) -> None:
        managing: list[Any] = [module for _, module in modules if hasattr(type(module), "_get_fsdp_state")]
        self._managed = {id(part) for module in managing for _, part in walk(module)}
        self._in_pieces = [module for module in managing if all(_is_sharded(group) for group in groups_of(module))]

    def has(self, module: nn.Module) -> bool:
        """Whether fully_shard may exchange the weights of a module in a forward."""
        return id(module) in self._managed

    def restore(self) -> None:
        """Let go of the whole weights that a forward left in its outermost module; each rank keeps its own piece."""
        for module in self._in_pieces:
            if not all(_is_sharded(group) for group in groups_of(module)):
                module.reshard()


def groups_of(module: Any) -> list[Any]:
    """What fully_shard keeps about the weights of a module, as far as this torch tells."""
    state = module._get_fsdp_state()
    found = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
    return [group for group in found if group is not None]


def _is_sharded(group: Any) -> bool:
    return bool(getattr(group, "is_sharded", True))
