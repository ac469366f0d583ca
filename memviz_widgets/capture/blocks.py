"""The blocks of a network: modules of which one is a small part of a forward, so that it can be run again by itself.

In: the modules of a model, itself first. Out: a level for each block, 1 for the coarsest.
"""

from __future__ import annotations

from collections import Counter

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .trace import Modules

LEVELS = 2
"""Nested levels of repeated blocks that count."""


def block_levels(found: Modules) -> dict[int, int]:
    """Id of a module -> level.

    Blocks are: modules that stand more than once in a Sequential or ModuleList, LEVELS levels of them (one without
    parts of its own on the first level only, and only when it has weights: the layers of a plain Sequential network);
    direct parts of the model in which no such block stands (its embedding, its last norm); and, one level below its
    block, a part with at least half of the block's weights, unless it is the first.
    """
    levels: dict[int, int] = {}
    modules = [module for _, module in found]
    model = modules[0]
    _mark(model, 1, levels)
    repeated = [module for module in modules if id(module) in levels]
    weights = _weights_below(modules)
    with_blocks = _around(modules, levels)
    for part in model._modules.values():
        if part is not None and weights[id(part)] and id(part) not in with_blocks:
            levels[id(part)] = 1
    for block in repeated:
        _mark_heavy_part(block, levels, weights)
    return levels


def _weights_below(modules: list[nn.Module]) -> dict[int, int]:
    """Id of a module -> number of weights in it and its parts. ``modules``: each before its parts."""
    counts: dict[int, int] = {}
    for module in reversed(modules):
        count = 0
        if module._parameters:
            own: list[Tensor] = [value for value in module._parameters.values() if value is not None]
            count = sum([0 if is_lazy(value) else value.numel() for value in own])
        if module._modules:
            count += sum([counts.get(id(part), 0) for part in module._modules.values()])
        counts[id(module)] = count
    return counts


def _around(modules: list[nn.Module], levels: dict[int, int]) -> set[int]:
    """Ids of the blocks and of the modules in which one stands."""
    found = set(levels)
    for module in reversed(modules):
        if module._modules and not found.isdisjoint(map(id, module._modules.values())):
            found.add(id(module))
    return found


def _mark(parent: nn.Module, level: int, levels: dict[int, int]) -> None:
    if level > LEVELS:
        return
    parts = [part for part in parent._modules.values() if part is not None]
    repeated = isinstance(parent, (nn.Sequential, nn.ModuleList))
    types = Counter(map(type, parts)) if repeated else None
    for part in parts:
        within = level
        if types is not None and types[type(part)] > 1 and id(part) not in levels:
            whole = bool(part._modules) or (level == 1 and bool(part._parameters))
            if whole:
                levels[id(part)] = level
                within = level + 1
        if part._modules:
            _mark(part, within, levels)


def _mark_heavy_part(block: nn.Module, levels: dict[int, int], weights: dict[int, int]) -> None:
    """Mark the part that takes most of the block's time, as far as weights tell: the MLP of a transformer block."""
    parts = [part for part in block._modules.values() if part is not None]
    for part in parts[1:]:
        composed = bool(part._modules) and not isinstance(part, (nn.Sequential, nn.ModuleList))
        if composed and id(part) not in levels and 2 * weights[id(part)] >= weights[id(block)]:
            levels[id(part)] = levels[id(block)] + 1
