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
        kinds = {kind for kind in {type(module) for _, module in modules} if hasattr(kind, "_get_fsdp_state")}
        managing: list[Any] = [module for _, module in modules if type(module) in kinds] if kinds else []
        self._managed = {id(part) for module in managing for _, part in walk(module)}
        self._in_pieces = [module for module in managing if all(_is_sharded(group) for group in groups_of(module))]
        self._idle = [module for module in managing if not _in_forward(module)]

    def has(self, module: nn.Module) -> bool:
        """Whether fully_shard may exchange the weights of a module in a forward."""
        return id(module) in self._managed

    def restore(self) -> None:
        """Let go of the whole weights that a forward left in its outermost module; each rank keeps its own piece."""
        if any(_in_forward(module) for module in self._idle):
            self._forget_forward()
        for module in self._in_pieces:
            if not all(_is_sharded(group) for group in groups_of(module)):
                module.reshard()

    def _forget_forward(self) -> None:
        """fully_shard is not told that a forward ended early: it would take the next one for a part of it."""
        for module in self._idle:
            if module._get_fsdp_state()._is_root and hasattr(module, "reset_iter_state"):
                try:
                    module.reset_iter_state()
                except RuntimeError:  # waiting for ranks that are gone
                    continue


def groups_of(module: Any) -> list[Any]:
    """What fully_shard keeps about the weights of a module, as far as this torch tells."""
    state = module._get_fsdp_state()
    found = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
    return [group for group in found if group is not None]


def _is_sharded(group: Any) -> bool:
    return bool(getattr(group, "is_sharded", True))


def _in_forward(module: Any) -> bool:
    """Whether fully_shard believes that a forward of a module runs."""
    state = getattr(module._get_fsdp_state(), "_training_state", None)
    return getattr(state, "name", "") == "FORWARD"
