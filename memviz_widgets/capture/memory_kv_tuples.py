"""KV caches that are returned: modules that give back their keys and values as tuples, to be given at the next call.

In: what a call was given as its past, and its result. Out: "key" and "value" of the new entries, as of other caches.
A pair (key, value) counts when it grew by the call along one axis, or is as long as the call's own sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from .memory import MemoryTensor
from .memory_kv_entries import Entries, Known

MAX_DEPTH = 3
"""Levels of a result that are searched for pairs."""
Pair = tuple[Tensor, Tensor]


class ReturnedCaches:
    """Finds pairs of keys and values in results, each once: a block returns again what its attention returned.

    Args:
        known: Remembers which entries were handed over.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._seen: Any = WeakIdKeyDictionary()

    def read(self, module: nn.Module, past: Any, result: Any, queries: int | None) -> Iterator[MemoryTensor]:
        """The new entries of every pair in the result.

        Args:
            module: The module that was called.
            past: What it was given as its past: a pair, a sequence of pairs, or None.
            result: What it returned.
            queries: Timesteps that it was given; None where that is not known.
        """
        found = list(pairs(result, top=True))
        before = list(pairs(past))
        aligned = before if len(before) == len(found) else [None] * len(found)
        for place, (pair, old) in enumerate(zip(found, aligned, strict=True)):
            axis = None if pair[0] in self._seen else time_axis(pair, old, queries)
            self._seen[pair[0]] = True
            if axis is not None:
                keys, values = (tensor if axis == 2 else tensor.transpose(1, 2) for tensor in pair)
                count = keys.shape[2] - (old[0].shape[axis] if old else 0)
                memory = f"layer {place}" if len(found) > 1 else ""
                yield from self._known.parts(module, memory, Entries(keys, values), count)


def pairs(value: Any, depth: int = 0, *, top: bool = False) -> Iterator[Pair]:
    """Pairs of keys and values in a past or a result, in order. ``top``: a result that is a pair itself is none."""
    if isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, (tuple, list)):
        inside = list(value)
    else:
        return
    if not top and _is_pair(inside):
        yield inside[0], inside[1]
    elif depth < MAX_DEPTH:
        for entry in inside:
            yield from pairs(entry, depth + 1)


def time_axis(pair: Pair, old: Pair | None, queries: int | None) -> int | None:
    """The axis along which the entries stand, 1 or 2; None when this is no cache."""
    shape = tuple(pair[0].shape)
    if old is None:
        return next((axis for axis in (2, 1) if shape[axis] == queries), None)
    before = tuple(old[0].shape)
    grown = [axis for axis in range(4) if shape[axis] != before[axis]]
    return grown[0] if len(grown) == 1 and grown[0] in (1, 2) and shape[grown[0]] > before[grown[0]] else None


def _is_pair(inside: list[Any]) -> bool:
    """Key and value of self-attention, maybe with those of cross-attention after them."""
    return (
        len(inside) in (2, 4)
        and all(isinstance(each, Tensor) and each.dim() == 4 for each in inside)
        and inside[0].shape[:3] == inside[1].shape[:3]
    )
