"""Attention that a model writes out itself: a softmax whose result, or what became of it, multiplies the values.

In: calls of softmax, of what may follow it (dropout, casts, views, masks), and of matrix products. Out: the weights,
(B, N, Q, K), at the moment of the product. A softmax that multiplies nothing that way (a router, class probabilities)
is forgotten as soon as its result is; nothing is held for it but the weights before a dropout.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention_steps import COMBINES, MIXES, STEPS, made_with, mixes_heads, moved_key_axis, named, still_weights
from .dims_rules import HEAD_COUNTS
from .einsum_terms import parse

BEFORE_DROPOUT = "before dropout"
_ATTENTION = re.compile(r"atten|attn", re.IGNORECASE)
_CHOOSES_EXPERTS = re.compile(r"router|gate|gating|moe|expert|mixture", re.IGNORECASE)

_aten = torch.ops.aten


SOFTMAXES = {
    **named(["softmax", "_softmax"], torch, functional, Tensor, _aten),
    **named(["softmax"], torch.special),
    **named(["int"], _aten.softmax),
    **named(["default"], _aten._softmax),
}
"""Functions whose second argument is ``dim``."""

PRODUCTS = {
    **named(["matmul", "bmm", "mm", "__matmul__", "einsum", "baddbmm", "addmm"], torch, Tensor),
    **named(["matmul"], torch.linalg),
}
"""Functions that may multiply weights with values."""
SUMS = named(["sum"], torch, Tensor)
"""Functions that may add up values that were multiplied by weights one by one."""


class Caller(NamedTuple):
    """The innermost module call in which a torch call is made; without a module outside of all."""

    module: nn.Module | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}

    @property
    def speaks_of_attention(self) -> bool:
        """Whether the class is named after attention."""
        return bool(_ATTENTION.search(type(self.module).__name__))

    @property
    def chooses_experts(self) -> bool:
        """Whether the class is named after what chooses among experts."""
        return bool(_CHOOSES_EXPERTS.search(type(self.module).__name__)) and not self.speaks_of_attention

    def heads_in(self, rows: int) -> int:
        """Number of heads in an axis of batch times heads; 1 when it is not certain that heads are in it."""
        heads = next((getattr(self.module, name) for name in HEAD_COUNTS if hasattr(self.module, name)), 1)
        if not isinstance(heads, int) or heads < 2:
            return 1
        inputs = (value for value in (*self.args, *self.kwargs.values()) if isinstance(value, Tensor))
        for size in next((value.shape[:2] for value in inputs if value.dim() == 3), ()):  # the batch, mostly, is first
            if rows in (size, size * heads):
                return 1 if rows == size else heads
        return 1


class Found(NamedTuple):
    """Weights (B, N, Q, K) and a note."""

    weights: Tensor
    note: str


@dataclass(slots=True)
class Followed:
    """A tensor that came out of a softmax and is still alive.

    Attributes:
        reference: The tensor.
        key_axis: -1, or -2 when it was transposed.
        shape_4: The last shape of rank 4 that the weights had, () if none.
        undropped: The weights before a dropout, or before their heads were mixed, in the axes of the tensor; None if
            there was neither.
        mixed: Whether their heads were mixed.
        weights: The weights, keys last, where the tensor is their elementwise product with the values; else None.
        note: A sentence about the weights.
    """

    reference: weakref.ref[Tensor]
    key_axis: int = -1
    shape_4: tuple[int, ...] = ()
    undropped: Tensor | None = None
    mixed: bool = False
    weights: Tensor | None = None
    note: str = ""


class SoftmaxWatch:
    """Follows results of softmaxes until they multiply something or are gone.

    Args:
        changed: Told whether there is anything to follow now.
    """

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._followed: dict[int, Followed] = {}

    def clear(self) -> None:
        """Forget all."""
        self._followed.clear()
        self._changed(False)

    def look(
        self, func: object, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any, caller: Caller
    ) -> Found | None:
        """Look at a call that has returned; the weights, if it was a product of weights and values.

        Args:
            func: A function of SOFTMAXES, STEPS, MIXES, PRODUCTS or SUMS.
            args, kwargs, result: Of the call.
            caller: The module call that made it.
        """
        if func in PRODUCTS and (found := self._product(PRODUCTS[func], args, kwargs, caller)) is not None:
            return found
        if func in SUMS:
            return self._sum(args, kwargs, caller)
        if isinstance(result, Tensor) and result.is_floating_point() and not result.is_nested:
            if func in SOFTMAXES:
                self._softmax(args, kwargs, result, caller)
            elif func in STEPS:
                self._step(func, STEPS[func], args, kwargs, result)
            elif func in MIXES:
                self._mix(MIXES[func], args, kwargs, result)
        return None

    def _softmax(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor, caller: Caller) -> None:
        rank = result.dim()
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if dim is None and rank == 2:
            dim = 1  # what torch takes when none is said
        if rank >= 2 and isinstance(dim, int) and dim in (-1, rank - 1) and not caller.chooses_experts:
            self._follow(result, Followed(weakref.ref(result)))

    def _follow(self, tensor: Tensor, followed: Followed) -> None:
        """Follow this tensor until it is gone."""
        address = id(tensor)

        def forget(reference: weakref.ref[Tensor]) -> None:
            if address in self._followed and self._followed[address].reference is reference:
                del self._followed[address]
                self._changed(bool(self._followed))

        followed.reference = weakref.ref(tensor, forget)
        if tensor.dim() == 4 and followed.key_axis == -1 and followed.weights is None:
            followed.shape_4 = tuple(tensor.shape)
        self._followed[address] = followed
        self._changed(True)

    def _of(self, value: object) -> Followed | None:
        followed = self._followed.get(id(value))
        return followed if followed is not None and followed.reference() is value else None

    def _step(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor) -> None:
        """The weights, if they are among the arguments, go on as ``result``."""
        source = args[0] if args else kwargs.get("input")
        before = self._of(source)
        if before is None:
            candidates = (*args[1:], *kwargs.values()) if name in COMBINES else ()
            others = [value for value in candidates if self._of(value) is not None]
            if not others:
                return
            source, before = others[0], self._of(others[0])
        assert before is not None and isinstance(source, Tensor)
        if result is source:
            if name == "dropout" and kwargs.get("inplace") and kwargs.get("p") and kwargs.get("training"):
                before.note = "after dropout, which overwrote the weights"
            return
        if before.weights is not None:
            return  # a product that goes elsewhere before it is added up
        weighed = next((value for value in (*args, *kwargs.values()) if value is not source), None)
        if name == "mul" and isinstance(weighed, Tensor) and _weighs_values(source, before.key_axis, result):
            self._follow(result, replace(before, weights=_as_rows(source, weighed, before.key_axis)))
            return
        axis = moved_key_axis(name, args, kwargs, source.dim(), before.key_axis)
        if axis is None or not still_weights(name, source, result, before.key_axis, axis):
            return
        after = replace(before, key_axis=axis)
        if after.undropped is not None:
            after.undropped = made_with(after.undropped, func, name, args, kwargs, result)
        elif name == "dropout":
            after.undropped, after.note = source, BEFORE_DROPOUT
        self._follow(result, after)

    def _mix(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor) -> None:
        """Follow a mixture of the heads of weights. What is shown is the softmax: rows of a mixture have any sum."""
        args = _one_by_one(args) if name == "einsum" else args
        args = (*args, *(value for value in kwargs.values() if isinstance(value, Tensor)))
        for place, source in enumerate(args):
            before = self._of(source)
            if before is None or before.weights is not None:
                continue
            if mixes_heads(name, place, args, before.key_axis, result):
                after = replace(before, mixed=True)
                if after.undropped is None:
                    after.undropped = source
                said = f"before {name} mixes the heads"
                after.note = after.note if before.mixed else "; ".join(filter(None, (before.note, said)))
                self._follow(result, after)
            return

    def _product(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], caller: Caller) -> Found | None:
        if name == "einsum":
            return self._einsum(args, caller)
        operands = [*args, *kwargs.values()][1 if name in ("baddbmm", "addmm") else 0 :][:2]
        if len(operands) < 2 or not all(isinstance(operand, Tensor) for operand in operands):
            return None
        for place, key_axis in ((0, -1), (1, -2)):
            weights, values = operands[place], operands[1 - place]
            followed = self._of(weights)
            if followed is None or followed.key_axis != key_axis or values.dim() < 2:
                continue
            if values.shape[-2 if place == 0 else -1] != weights.shape[key_axis]:
                continue
            if _is_table(weights, values) and not caller.speaks_of_attention:
                continue
            return self._found(weights, followed, caller)
        return None

    def _sum(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], caller: Caller) -> Found | None:
        """The weights, if their product with the values is added up over the keys."""
        product = args[0] if args else kwargs.get("input")
        followed = self._of(product)
        if followed is None or followed.weights is None or not isinstance(product, Tensor):
            return None
        dims = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
        [dim] = dims if isinstance(dims, (tuple, list)) and len(dims) == 1 else [dims]
        if not isinstance(dim, int) or dim % product.dim() - product.dim() != followed.key_axis:
            return None
        del self._followed[id(product)]
        return self._found(followed.weights, replace(followed, key_axis=-1), caller)

    def operand(self, args: tuple[Any, ...]) -> tuple[int, bool] | None:
        """Which argument of a product may be weights, and whether it has the keys before the queries. Before ``look``.

        None for a product that says its axes by letters, and for weights that multiplied the values one by one.
        """
        for place, value in enumerate(args):
            followed = self._of(value)
            if followed is None or followed.mixed:
                continue
            if followed.weights is None and not isinstance(args[0], str):
                return place, followed.key_axis != -1
        return None

    def _einsum(self, args: tuple[Any, ...], caller: Caller) -> Found | None:
        operands = _one_by_one(args)[1:]
        if not isinstance(args[0], str) or len(operands) != 2:
            return None
        for place in (0, 1):
            followed = self._of(operands[place])
            if followed is None:
                continue
            ranks = (operands[0].dim(), operands[1].dim())
            order = parse(args[0], ranks).weights_order(place, followed.key_axis)
            if order is not None:
                return self._found(operands[place], followed, caller, order)
        return None

    def _found(self, used: Tensor, followed: Followed, caller: Caller, order: list[int | None] | None = None) -> Found:
        """The weights as (B, N, Q, K). ``order``: the axes of ``used`` as batch..., query, key; None = a new axis."""
        self._followed.pop(id(used), None)  # values and positions may both be multiplied: once is enough
        value = used if followed.undropped is None else followed.undropped
        if order is not None:
            value = value.reshape(used.shape).permute([axis for axis in order if axis is not None])
            value = value.unsqueeze(-2) if None in order else value
        elif followed.key_axis == -2:
            value = value.reshape(used.shape).transpose(-1, -2)
        elif followed.shape_4 and followed.shape_4[-1] == used.shape[-1]:
            value = value.reshape(followed.shape_4)
        else:
            value = value.reshape(used.shape)
        return _rank_4(value, followed.note, caller)


def _one_by_one(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of an einsum, whose operands may be given as one list."""
    return (args[0], *args[1]) if len(args) == 2 and isinstance(args[1], (list, tuple)) else args


def _weighs_values(weights: Tensor, key_axis: int, product: Tensor) -> bool:
    """Whether weights with an axis of size 1 beside their keys became as wide as the values that they multiply."""
    width_axis = -3 - key_axis  # the other one of the last two
    if weights.dim() < 2 or weights.dim() != product.dim() or weights.shape[width_axis] != 1:
        return False
    return product.shape[width_axis] > 1 and product.shape[key_axis] == weights.shape[key_axis]


def _as_rows(weights: Tensor, values: Tensor, key_axis: int) -> Tensor:
    """Weights (..., K, 1) or (..., 1, K) as (..., query, key). The axis before is queries if these share the values."""
    width_axis = -3 - key_axis
    shared = values.dim() < 3 or values.shape[-3] == 1
    if weights.dim() >= 3 and weights.shape[-3] > 1 and shared:
        return weights.squeeze(width_axis)
    return weights if key_axis == -1 else weights.transpose(-1, -2)


def _is_table(weights: Tensor, values: Tensor) -> bool:
    """Whether the values are a table that all share (a linear layer, a codebook): looking up is not attention."""
    return isinstance(values, nn.Parameter) or (values.dim() == 2 and weights.dim() > 2)


def _rank_4(weights: Tensor, note: str, caller: Caller) -> Found:
    rank = weights.dim()
    if rank == 2:
        return Found(weights[None, None], note)
    heads = caller.heads_in(weights.shape[0]) if rank == 3 else 1
    if heads > 1:
        return Found(weights.unflatten(0, (-1, heads)), note)
    if rank == 3:
        return Found(weights.unsqueeze(1), "; ".join(filter(None, (note, "batch and heads may share the first axis"))))
    if rank > 4:
        lead = " x ".join(str(size) for size in weights.shape[: rank - 3])
        note = "; ".join(filter(None, (note, f"the first axis is {lead}")))
        return Found(weights.flatten(0, rank - 4), note)
    return Found(weights, note)
