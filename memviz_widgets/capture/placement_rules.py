"""How a plain tensor lies over the ranks, given how the tensors lie that it was computed from.

In: a torch function, the Lies of its tensors, the result's local shape. Out: the Lie of the result, or None: not known.
Only what follows for certain: where a rule does not hold, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..records import Placement

REPLICATE = "replicate"
SHARD = "shard "


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh of ranks, as :class:`~memviz_widgets.records.Placement` says it.

    Attributes:
        sizes: Per axis.
        names: Per axis, "" where it has none.
        ranks: Global ranks, last axis fastest.
    """

    sizes: tuple[int, ...]
    names: tuple[str, ...]
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lie:
    """How one tensor lies over the ranks of a mesh.

    Attributes:
        mesh: None of a constant, which is the same on every rank.
        placements: Per axis of the mesh: "replicate", "shard 2", "partial sum".
        shape: Of the whole.
        certain: False where it rests on plain weights, of which only the user knows that all ranks have the same.
    """

    mesh: Mesh | None
    placements: tuple[str, ...]
    shape: tuple[int, ...]
    certain: bool = True

    @property
    def replicated(self) -> bool:
        """Whether every rank has the whole."""
        return all(text == REPLICATE for text in self.placements)

    @property
    def sharded(self) -> frozenset[int]:
        """Axes of the tensor that are cut."""
        return frozenset(int(text.removeprefix(SHARD)) for text in self.placements if text.startswith(SHARD))

    @property
    def summed(self) -> bool:
        """Whether the whole is a sum over ranks."""
        return any(text != REPLICATE and not text.startswith(SHARD) for text in self.placements)

    def parts(self, axis: int) -> int:
        """In how many parts an axis is cut."""
        sizes = self.mesh.sizes if self.mesh else ()
        return math.prod(size for size, text in zip(sizes, self.placements, strict=True) if text == f"{SHARD}{axis}")

    def moved(self, axes: Mapping[int, int], sizes: Mapping[int, int], shape: Sequence[int]) -> Lie | None:
        """The lie of a tensor whose cut axes went elsewhere.

        Args:
            axes: Old axis -> new axis, of every axis that is cut.
            sizes: New axis -> its size in the whole.
            shape: The new local shape.
        """
        if not self.sharded <= set(axes) or self.summed:
            return None
        texts = tuple(
            f"{SHARD}{axes[int(text.removeprefix(SHARD))]}" if text.startswith(SHARD) else text
            for text in self.placements
        )
        cut = {axes[axis] for axis in self.sharded}
        whole = tuple(sizes[axis] if axis in cut else size for axis, size in enumerate(shape))
        return replace(self, placements=texts, shape=whole)

    def placement(self) -> Placement | None:
        """For a record; None of a constant."""
        if self.mesh is None:
            return None
        return Placement(self.mesh.sizes, self.mesh.names, self.mesh.ranks, self.placements, self.shape)


Known = Sequence[tuple[Tensor, Lie]]
"""The tensors of a call's arguments, in their order, each with its lie."""
Rule = Callable[[Known, tuple[Any, ...], Mapping[str, Any], Tensor], "Lie | None"]


def lie_of_result(name: str, known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """How the result of a function lies.

    Args:
        name: Of the function, such as "add" or "transpose".
        known: Every tensor among the arguments.
        args, kwargs: As it was called.
        out: One tensor of what it returned.
    """
    if _is_random(name, args, kwargs) or any(lie.summed for _, lie in known):
        return None
    meshes = {lie.mesh for _, lie in known} - {None}
    certain = all(lie.certain for _, lie in known)
    if not meshes:
        return Lie(None, (), tuple(out.shape), certain)
    cut = {lie.placements for _, lie in known if lie.sharded}
    if len(meshes) > 1 or len(cut) > 1:
        return None
    if not cut:
        first = next(lie for _, lie in known if lie.mesh is not None)
        return Lie(first.mesh, first.placements, tuple(out.shape), certain)
    rule = _RULES.get(name.strip("_"))
    found = rule(known, args, kwargs, out) if rule else None
    return None if found is None else replace(found, certain=certain)


_RANDOM = frozenset(
    (
        *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "normal"),
        *("multinomial", "poisson", "uniform", "random", "exponential", "cauchy", "geometric", "log_normal"),
        *("rrelu", "gumbel_softmax", "empty", "empty_like", "empty_strided", "new_empty"),
    )
)
"""Not the same on every rank though their arguments are: drawn, or never written."""
_DROPOUTS = frozenset(["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"])


def _is_random(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    name = name.strip("_")
    if name in _DROPOUTS:
        return bool(kwargs.get("training", args[2] if len(args) > 2 else True))
    if name == "scaled_dot_product_attention":
        return float(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0)) > 0
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
    return _kept_outside({tensor.dim() - 1}, known, out) if lie.sharded and out.dim() == tensor.dim() else None


def _normed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Layer norm and RMS norm: the last axes are mixed."""
    given = kwargs.get("normalized_shape", args[1] if len(args) > 1 else ())
    count, rank = len(given), known[0][0].dim()
    return _kept_outside(set(range(rank - count, rank)), known, out) if count else None


def _softmax(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    return _divided(known, kwargs.get("dim", args[1] if len(args) > 1 else None), out)


def _split(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    return _divided(known, kwargs.get("dim", args[2] if len(args) > 2 else 0), out)


def _divided(known: Known, dim: object, out: Tensor) -> Lie | None:
    """One axis is mixed or divided, the others stay."""
    if not isinstance(dim, int) or len(known) != 1:
        return None
    return _kept_outside({dim % known[0][0].dim()}, known, out)


def _joined(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """cat: all of the same lie, along an axis that is not cut."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    if not isinstance(dim, int) or not all(lie.sharded for _, lie in known):
        return None
    return _kept_outside({dim % out.dim()}, known[:1], out)


def _kept_outside(mixed: set[int], known: Known, out: Tensor) -> Lie | None:
    """Axes stay where they are; none of those that are mixed may be cut. Other arguments are whole."""
    tensor, lie = known[0]
    if not lie.sharded or lie.sharded & mixed or any(other.sharded for _, other in known[1:]):
        return None
    if any(tensor.shape[axis] != out.shape[axis] for axis in lie.sharded):
        return None
    return lie.moved({axis: axis for axis in lie.sharded}, dict(enumerate(lie.shape)), out.shape)


def _transposed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    rank = out.dim()
    one, other = (kwargs.get(f"dim{place}", args[place + 1] if len(args) > place + 1 else None) for place in (0, 1))
    if not isinstance(one, int) or not isinstance(other, int):
        return None
    order = list(range(rank))
    order[one], order[other] = order[other], order[one]
    return _permuted_to(known[0][1], order, out)


def _permuted(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    given = kwargs.get("dims", args[1] if len(args) == 2 and not isinstance(args[1], int) else args[1:])
    return _permuted_to(known[0][1], [axis % out.dim() for axis in given], out)


def _permuted_to(lie: Lie, order: Sequence[int], out: Tensor) -> Lie | None:
    """``order``: old axis of each new one."""
    axes = {old: new for new, old in enumerate(order)}
    return lie.moved(axes, {new: lie.shape[old] for new, old in enumerate(order)}, out.shape)


def _reshaped(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """view, reshape, flatten: an axis that is cut stays, is split into it and others, or takes in those behind it."""
    tensor, lie = known[0]
    if len(known) != 1 or out.numel() != tensor.numel():
        return None
    axes, sizes = {}, {}
    for axis in lie.sharded:
        found = _place_after(axis, tuple(tensor.shape), tuple(out.shape))
        ratio = lie.shape[axis] // max(tensor.shape[axis], 1)
        even = tensor.shape[axis] * lie.parts(axis) == lie.shape[axis] and ratio == lie.parts(axis)
        if found is None or not even:
            return None
        axes[axis], sizes[found] = found, out.shape[found] * ratio
    return lie.moved(axes, sizes, out.shape)


def _place_after(axis: int, old: tuple[int, ...], new: tuple[int, ...]) -> int | None:
    """Where the outermost part of an axis is in another shape of the same numbers; None where that is ambiguous."""
    before = math.prod(old[:axis])
    found = [place for place in range(len(new)) if math.prod(new[:place]) == before]
    # Axes of size 1 have no place of their own: the same place is right where something of the axis is left there.
    if len(found) > 1 and new[:axis] == old[:axis] and axis in found and (new[axis] > 1 or len(new) == len(old)):
        found = [axis]
    if len(found) != 1:
        return None
    size = new[found[0]]
    return found[0] if old[axis] % max(size, 1) == 0 or size % max(old[axis], 1) == 0 else None


def _indexed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Slices, numbers, None and ``...``; the axis that is cut must be taken whole."""
    tensor, lie = known[0]
    if len(known) != 1 or len(args) != 2:
        return None
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    taken = sum(isinstance(each, (int, slice)) for each in index)
    if any(not isinstance(each, (int, slice, type(None), type(Ellipsis))) for each in index):
        return None
    entries: list[Any] = []
    for each in index if Ellipsis in index else (*index, Ellipsis):
        entries += [slice(None)] * (tensor.dim() - taken) if each is Ellipsis else [each]
    axes, old, new = {}, 0, 0
    for each in entries:
        if each is None:
            new += 1
            continue
        if isinstance(each, slice):
            if each == slice(None) or range(tensor.shape[old])[each] == range(tensor.shape[old]):
                axes[old] = new
            new += 1
        old += 1
    return lie.moved(axes, {place: lie.shape[axis] for axis, place in axes.items()}, out.shape)


def _unsqueezed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(dim, int):
        return None
    order = [axis for axis in range(out.dim()) if axis != dim % out.dim()]
    lie = known[0][1]
    return lie.moved(dict(enumerate(order)), dict(zip(order, lie.shape, strict=True)), out.shape)


def _expanded(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    tensor, lie = known[0]
    ahead = out.dim() - tensor.dim()
    if any(tensor.shape[axis] != out.shape[axis + ahead] for axis in lie.sharded):
        return None
    axes = {axis: axis + ahead for axis in lie.sharded}
    return lie.moved(axes, {axis + ahead: lie.shape[axis] for axis in lie.sharded}, out.shape)


def _attended(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Attention: heads or samples by themselves; query, key and value are cut alike, the mask is whole."""
    if len(known) < 3 or len({lie.placements for _, lie in known[:3]}) != 1:
        return None
    (query, lie), rest = known[0], known[3:]
    if lie.sharded & {query.dim() - 1, query.dim() - 2} or any(other.sharded for _, other in rest):
        return None
    return lie.moved({axis: axis for axis in lie.sharded}, dict(enumerate(lie.shape)), out.shape)


def weights_lie(query: tuple[Tensor, Lie], key: tuple[Tensor, Lie], shape: Sequence[int]) -> Lie | None:
    """How attention weights (B, N, Q, K) lie that are computed of q and k (B, N, Q, D)."""
    lie, other = query[1], key[1]
    if lie.mesh is None or other.mesh not in (None, lie.mesh) or lie.summed or other.summed or query[0].dim() != 4:
        return None
    certain = lie.certain and other.certain
    if lie.replicated and other.replicated:
        return replace(lie, shape=tuple(shape), certain=certain)
    if lie.placements != other.placements or lie.sharded - {0, 1}:
        return None
    whole = tuple(lie.shape[axis] if axis in lie.sharded else size for axis, size in enumerate(shape))
    return replace(lie, shape=whole, certain=certain)


_ELEMENTWISE = (
    "add sub mul div true_divide truediv floordiv rsub radd rmul rtruediv rdiv pow rpow neg abs exp log sqrt rsqrt "
    "square sin cos tanh sigmoid erf relu relu6 gelu silu elu leaky_relu softplus mish hardtanh hardswish hardsigmoid "
    "clamp clamp_min clamp_max minimum maximum where masked_fill clone contiguous detach to type type_as float double "
    "half bfloat16 reciprocal sign logical_not lerp addcmul dropout alpha_dropout feature_alpha_dropout requires_grad"
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    "linear": _along_last,
    **dict.fromkeys(("layer_norm", "rms_norm"), _normed),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("chunk", "split"), _split),
    "cat": _joined,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transposed),
    "permute": _permuted,
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten"), _reshaped),
    "getitem": _indexed,
    "unsqueeze": _unsqueezed,
    "expand": _expanded,
    "scaled_dot_product_attention": _attended,
}
