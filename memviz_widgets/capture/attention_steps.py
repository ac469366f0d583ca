"""What a step of a model does to attention weights: what a function leaves in its place, moves, or mixes.

In: a call that was given weights, and what it returned. Out: where the keys are afterwards; whether it is still one
number per query and key; the same step made with other weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .einsum_terms import parse


def named(names: Iterable[str], *owners: Any) -> dict[object, str]:
    """Each function of these names that the owners have -> its name without underscores."""
    return {getattr(owner, name): name.strip("_") for owner in owners for name in names if hasattr(owner, name)}


_SHAPES = ("view", "reshape", "view_as", "reshape_as", "unflatten", "flatten", "squeeze", "unsqueeze")
COMBINES = ("mul", "div", "true_divide", "add", "sub", "where")
"""Steps that may be given the weights in another place than the first; elsewhere a tensor there is an example."""
_SAME_PLACES = [
    *("to", "type", "type_as", "float", "half", "bfloat16", "double", "contiguous", "clone", "detach"),
    *(*_SHAPES, "__getitem__", "expand"),
    *(*COMBINES, "masked_fill", "nan_to_num", "clamp"),
]
_MOVES = ("transpose", "swapaxes", "swapdims", "permute")
_TURNS = (*_MOVES, "mT")
_TRANSPOSED = [vars(Tensor.__base__)[name].__get__ for name in ("mT", "T")]
STEPS = {
    **named(_SAME_PLACES, torch, Tensor),
    **named(_MOVES, torch, Tensor),
    **dict.fromkeys([*_TRANSPOSED, torch.t, Tensor.t], "mT"),
    **named(["dropout"], torch, functional),
}
"""Functions that give the weights in another form."""

MIXES = {
    **named(["linear", "layer_norm"], functional),
    **named(["conv2d", "layer_norm", "matmul", "einsum"], torch),
    **named(["matmul", "__matmul__"], Tensor),
}
"""Functions that may make each head's weights a mixture of those of all heads, for all queries and keys alike."""


def moved_key_axis(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], rank: int, key_axis: int) -> int | None:
    """Where the axis of the keys is after a step: -1 or -2; None when it is elsewhere."""
    if name == "unsqueeze" or (name == "getitem" and None in _entries(args[1])):
        return _key_axis_among_new(name, args, kwargs, rank, key_axis)
    if name not in _TURNS:
        return key_axis
    order = list(range(rank))
    if name == "permute":
        dims = args[1] if len(args) == 2 and not isinstance(args[1], int) else args[1:] or kwargs["dims"]
        order = [int(dim) % rank for dim in dims]
    else:
        keywords = [value for key, value in kwargs.items() if key != "input"]
        one, other = (-1, -2) if name == "mT" else [*args[1:], *keywords]
        order[one], order[other] = order[other], order[one]
    place = order.index(rank + key_axis) - rank
    return place if place in (-1, -2) else None


def _entries(index: Any) -> list[Any]:
    """The entries of an index; Ellipsis and None by identity, since a tensor has an equality of its own."""
    entries = index if isinstance(index, tuple) else (index,)
    return [each if each is None or each is ... or isinstance(each, slice) else 0 for each in entries]


def _key_axis_among_new(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], rank: int, key_axis: int
) -> int | None:
    """Where the axis of the keys is when new axes of size 1 have come in: -1 or -2; None when it is elsewhere."""
    order: list[int | None] = list(range(rank))
    if name == "unsqueeze":
        order.insert(int(args[1] if len(args) > 1 else kwargs["dim"]) % (rank + 1), None)
    else:
        entries = _entries(args[1])
        if any(each == 0 or (isinstance(each, slice) and each != slice(None)) for each in entries):
            return None
        taken = sum(isinstance(each, slice) for each in entries)
        order, axis = [], 0
        for each in entries:
            count = rank - taken if each is ... else int(each is not None)
            order += [None] if each is None else list(range(axis, axis + count))
            axis += count
        order += range(axis, rank)
    place = order.index(rank + key_axis) - len(order)
    return place if place in (-1, -2) else None


def still_weights(name: str, before: Tensor, after: Tensor, key_axis: int, new_key_axis: int) -> bool:
    """Whether a step left one number per query and key. Indexing may cut keys off (an attention sink, padding)."""
    if after.dim() < 2:
        return False
    if name == "getitem" and after.dim() <= before.dim():
        return after.dim() == before.dim() and after.shape[:-1] == before.shape[:-1] and key_axis == -1
    return after.numel() == before.numel() and after.shape[new_key_axis] == before.shape[key_axis]


def made_with(
    weights: Tensor, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
) -> Tensor:
    """What a step that only rearranges would make of other weights of the shape of those that it was given.

    Of any other step these weights themselves: what it computes is not theirs.
    """
    if name in _SHAPES:
        return weights.reshape(result.shape)
    if name == "expand":
        return weights.expand(result.shape)
    if name in ("getitem", *_TURNS):
        keywords = {key: value for key, value in kwargs.items() if key != "input"}
        moved: Tensor = func(weights, *args[1:], **keywords)
        return moved
    return weights


def mixes_heads(name: str, place: int, args: tuple[Any, ...], key_axis: int, result: Tensor) -> bool:
    """Whether a call of MIXES gave a mixture of weights: of axis 1 of (B, N, Q, K), or of the last of (B, Q, K, N).

    Args:
        name: Of the function, from MIXES.
        place: Which of ``args`` has the weights.
        args: The tensors that the call was given, an einsum's equation before them.
        key_axis: Where the keys are, -1 or -2.
        result: What it returned.
    """
    weights = args[place]
    if result.dim() != 4 or result.shape != weights.shape:
        return False
    if name == "einsum":
        others = [each for each in args[1:] if each is not weights]
        ranks = (args[1].dim(), args[2].dim())
        return len(others) == 1 and parse(args[0], ranks).mixes(place - 1, weights.dim() + key_axis)
    if name == "conv2d":
        return key_axis == -1 and place == 0 and args[1].shape[2:].numel() == 1
    table = name != "matmul" or args[1].dim() == 2
    return key_axis == -2 and place == 0 and table
