"""How a plain tensor lies over the ranks, given how the tensors lie that it was computed from.

In: a torch function, the Lies of its tensors, the result's local shape. Out: the Lie of the result, or None: not known.
Only what follows for certain: where a rule does not hold, nothing is said.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from .placement_lies import Lie, several
from .placement_shapes import SHAPE_RULES, Known, Rule, kept_outside

MOST_COMBINATIONS = 64
"""Of readings of the tensors of one call; with more of them nothing is known."""


def lie_of_result(name: str, known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """How the result of a function lies, in all readings in which the call makes a part of the whole.

    Args:
        name: Of the function, such as "add" or "transpose".
        known: Every tensor among the arguments.
        args, kwargs: As it was called.
        out: One tensor of what it returned.
    """
    if _is_random(name, args, kwargs):
        return None
    return several(_of_reading(name.strip("_"), one, args, kwargs, out) for one in _combinations(known))


def _combinations(known: Known) -> list[Known]:
    """The tensors in every combination of their readings."""
    readings = [lie.readings for _, lie in known]
    if math.prod(map(len, readings)) > MOST_COMBINATIONS:
        return []
    tensors = [tensor for tensor, _ in known]
    return [list(zip(tensors, lies, strict=True)) for lies in itertools.product(*readings)]


def _of_reading(name: str, known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    if any(lie.summed for _, lie in known):
        return None
    meshes = {lie.mesh for _, lie in known} - {None}
    certain = all(lie.certain for _, lie in known)
    claims = frozenset().union(*(lie.claims for _, lie in known))
    if not meshes:
        return Lie(None, (), tuple(out.shape), certain)
    cut = {lie.placements for _, lie in known if lie.sharded}
    if len(meshes) > 1 or len(cut) > 1:
        return None
    if not cut:
        first = next(lie for _, lie in known if lie.mesh is not None)
        return Lie(first.mesh, first.placements, tuple(out.shape), certain, claims)
    rule = _RULES.get(name)
    found = rule(known, args, kwargs, out) if rule else None
    return several(
        replace(each, certain=certain, claims=each.claims | claims) for each in (found.readings if found else ())
    )


_RANDOM = frozenset(
    (
        *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "normal"),
        *("multinomial", "poisson", "uniform", "random", "exponential", "cauchy", "geometric", "log_normal"),
        *("rrelu", "gumbel_softmax", "empty", "empty_like", "empty_strided", "new_empty"),
    )
)
"""Not the same on every rank though their arguments are: drawn, or never written."""
_DROPOUTS = frozenset(["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"])

_RECURRENT = frozenset(["lstm", "gru", "rnn_tanh", "rnn_relu"])
"""Kernels that draw the dropout between their layers."""


def _is_random(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    name = name.strip("_")
    if name in _DROPOUTS:
        return bool(kwargs.get("training", args[2] if len(args) > 2 else True))
    if name == "scaled_dot_product_attention":
        return float(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0)) > 0
    if name in _RECURRENT:  # (..., whether there are biases, layers, dropout, training, ...)
        at = next(place for place, value in enumerate(args) if isinstance(value, bool))
        return bool(args[at + 3]) and float(args[at + 2]) > 0
    return name in _RANDOM or name == "multi_head_attention_forward"


def _elementwise(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """One number of the result per number of each argument, which are broadcast against each other."""
    cut = [(tensor, lie) for tensor, lie in known if lie.sharded]
    lie, rank = cut[0][1], out.dim()
    for tensor, each in known:
        ahead = rank - tensor.dim()
        if each.sharded:
            if ahead or each.shape != lie.shape or any(tensor.shape[axis] != out.shape[axis] for axis in each.sharded):
                return None
        elif any(axis >= ahead and tensor.shape[axis - ahead] != 1 for axis in lie.sharded):
            return None  # a whole axis beside a cut one: it would only fit by chance
    return lie.moved({axis: axis for axis in lie.sharded}, dict(enumerate(lie.shape)), out.shape)


def _along_last(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Rows by themselves: the last axis is mixed (linear)."""
    tensor, lie = known[0]
    return kept_outside({tensor.dim() - 1}, known, out) if lie.sharded and out.dim() == tensor.dim() else None


def _normed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Layer norm and RMS norm: the last axes are mixed."""
    given = kwargs.get("normalized_shape", args[1] if len(args) > 1 else ())
    count, rank = len(given), known[0][0].dim()
    return kept_outside(set(range(rank - count, rank)), known, out) if count else None


def _softmax(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    return _divided(known, kwargs.get("dim", args[1] if len(args) > 1 else None), out)


def _divided(known: Known, dim: object, out: Tensor) -> Lie | None:
    """One axis is mixed or divided, the others stay."""
    if not isinstance(dim, int) or len(known) != 1:
        return None
    return kept_outside({dim % known[0][0].dim()}, known, out)


def _joined(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """cat: all of the same lie, along an axis that is not cut. An empty KV cache adds nothing."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    filled = [(tensor, lie) for tensor, lie in known if tensor.numel()]
    if not isinstance(dim, int) or not filled or not all(lie.sharded for _, lie in filled):
        return None
    return kept_outside({dim % out.dim()}, filled[:1], out)


def _attended(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Attention: heads or samples by themselves; query, key and value are cut alike, the mask is whole."""
    if len(known) < 3 or len({lie.placements for _, lie in known[:3]}) != 1:
        return None
    (query, lie), rest = known[0], known[3:]
    if lie.sharded & {query.dim() - 1, query.dim() - 2} or any(other.sharded for _, other in rest):
        return None
    return lie.moved({axis: axis for axis in lie.sharded}, dict(enumerate(lie.shape)), out.shape)


def _multiplied(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """matmul of (..., M, K) and (..., K, N): axes before the last two, M or N may be cut, K may not."""
    if len(known) != 2 or out.dim() < 2:
        return None
    (one, other), rank = known, out.dim()
    axes: dict[int, int] = {}
    lie = one[1] if one[1].sharded else other[1]
    for (tensor, each), mixed, beside in ((one, 1, other), (other, 2, one)):
        if tensor.dim() < 2 or (each.sharded and tensor.dim() < rank):
            return None
        for axis in each.sharded:
            if axis == tensor.dim() - mixed:
                return None  # sums over ranks
            whole = axis < rank - 2 and not beside[1].sharded
            ahead = rank - beside[0].dim()
            if whole and axis >= ahead and beside[0].shape[axis - ahead] != 1:
                return None  # a whole axis beside a cut one: it would only fit by chance
            axes[axis] = axis
    if one[1].sharded and other[1].sharded and any(axis >= rank - 2 for axis in axes):
        return None
    return lie.moved(axes, dict(enumerate(lie.shape)), out.shape)


def weights_lie(query: tuple[Tensor, Lie], key: tuple[Tensor, Lie], shape: Sequence[int]) -> Lie | None:
    """How attention weights (B, N, Q, K) lie that are computed of q and k (B, N, Q, D)."""
    if query[0].dim() != 4:
        return None
    readings = _combinations((query, key))
    return several(_weights_of_reading(one[0][1], one[1][1], tuple(shape)) for one in readings)


def _weights_of_reading(lie: Lie, other: Lie, shape: tuple[int, ...]) -> Lie | None:
    if lie.mesh is None or other.mesh not in (None, lie.mesh) or lie.summed or other.summed:
        return None
    certain, claims = lie.certain and other.certain, lie.claims | other.claims
    if not (lie.replicated and other.replicated):
        if lie.placements != other.placements or lie.sharded - {0, 1}:
            return None
        shape = tuple(lie.shape[axis] if axis in lie.sharded else size for axis, size in enumerate(shape))
    return replace(lie, shape=shape, certain=certain, claims=claims)


_ELEMENTWISE = (
    "add sub mul div true_divide truediv floordiv rsub radd rmul rtruediv rdiv pow rpow neg abs exp log sqrt rsqrt "
    "square sin cos tanh sigmoid erf relu relu6 gelu silu elu leaky_relu softplus mish hardtanh hardswish hardsigmoid "
    "clamp clamp_min clamp_max minimum maximum where masked_fill clone contiguous detach to type type_as float double "
    "half bfloat16 reciprocal sign logical_not lerp addcmul dropout alpha_dropout feature_alpha_dropout requires_grad"
)
_RULES: dict[str, Rule] = {
    **SHAPE_RULES,
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    "linear": _along_last,
    **dict.fromkeys(("matmul", "bmm"), _multiplied),
    **dict.fromkeys(("layer_norm", "rms_norm"), _normed),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    "cat": _joined,
    "scaled_dot_product_attention": _attended,
}
