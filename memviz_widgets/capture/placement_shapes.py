"""How a tensor lies that was made of another by moving, splitting or cutting its axes: views, heads, slices.

In: as the rules of placement_rules. Out: a Lie, with other readings where the shapes allow several; None: not known.

An axis that is cut over the ranks and divided on each of them (queries, keys and values of one fused projection) has no
part of the whole any more, but something of each rank. What the ranks have side by side is then a claim: the layer that
reads it later says whether it lies so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .placement_lies import Lie, several

Known = Sequence[tuple[Tensor, Lie]]
"""The tensors of a call's arguments, in their order, each with its lie."""
Rule = Callable[[Known, tuple[Any, ...], Mapping[str, Any], Tensor], "Lie | None"]


def _chunked(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """chunk and split: an axis is divided, the others stay."""
    dim = kwargs.get("dim", args[2] if len(args) > 2 else 0)
    if not isinstance(dim, int) or len(known) != 1:
        return None
    (tensor, lie), dim = known[0], dim % known[0][0].dim()
    return _side_by_side(tensor, lie, dim, out) if dim in lie.sharded else kept_outside({dim}, known, out)


def _side_by_side(tensor: Tensor, lie: Lie, axis: int, out: Tensor) -> Lie | None:
    """What each rank has taken out of its part of a cut axis, in the order of the ranks."""
    parts = lie.parts(axis)
    if tensor.dim() != out.dim() or tensor.shape[axis] * parts != lie.shape[axis]:
        return None
    sizes = {**dict(enumerate(lie.shape)), axis: out.shape[axis] * parts}
    found = lie.moved({each: each for each in lie.sharded}, sizes, out.shape)
    return found and found.claimed()


def kept_outside(mixed: set[int], known: Known, out: Tensor) -> Lie | None:
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


def _reshaped_by(name: str) -> Rule:
    def rule(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
        if len(known) != 1 or out.numel() != known[0][0].numel():
            return None
        return _reshaped(*known[0], out, _whole_after(name, known[0][1].shape, args, kwargs))

    return rule


def _reshaped(tensor: Tensor, lie: Lie, out: Tensor, wanted: tuple[int, ...]) -> Lie | None:
    """view, reshape, flatten: an axis that is cut stays, is split into it and others, or takes in those behind it.

    Args:
        wanted: What the same call makes of the whole; () where it does not say.
    """
    old, new, axes = tuple(tensor.shape), tuple(out.shape), sorted(lie.sharded)
    if any(old[axis] * lie.parts(axis) != lie.shape[axis] for axis in axes):
        return None
    found: list[Lie] = []
    certain: list[Lie] = []
    for places in itertools.product(*(_places_after(axis, old, new) for axis in axes)):
        to = {axis: place for axis, (place, _) in zip(axes, places, strict=True)}
        moved = lie.moved(to, {place: new[place] * lie.parts(axis) for axis, place in to.items()}, new)
        if moved is None or len(set(to.values())) < len(to):
            continue
        kinds = {kind for _, kind in places}
        moved = moved.claimed() if "claim" in kinds else moved
        if moved.shape == wanted:
            certain.append(moved)
        elif "gone" not in kinds:
            found.append(moved)
    return several(certain or found)


def _places_after(axis: int, old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[int, str]]:
    """Where a cut axis may be in another shape of the same numbers.

    Returns:
        New axes, each with how the parts of the ranks lie along it. "part": next to each other, as before. "claim": the
        axis was split, and each rank has some of this one in each of those before it: side by side only if the model
        says so. "gone": the axis had one number on this rank, and nothing but the call itself tells where that is.
    """
    before, size = math.prod(old[:axis]), old[axis]
    firsts = [place for place in range(len(new)) if math.prod(new[:place]) == before]
    # Axes of size 1 have no place of their own: the same place is right where something of the axis is left there.
    if new[:axis] == old[:axis] and axis in firsts and (new[axis] > 1 or len(new) == len(old)):
        firsts = [axis]
    found = [(place, _kind(size, new[place])) for place in firsts]
    ends = [place for place in range(len(new)) if math.prod(new[: place + 1]) == before * size]
    if firsts and ends:
        found += [(place, "claim") for place in range(firsts[-1] + 1, ends[0] + 1)]
    return [(place, kind) for place, kind in found if kind]


def _kind(old: int, new: int) -> str:
    if old == 1 < new:
        return "gone"
    return "part" if old % max(new, 1) == 0 or new % max(old, 1) == 0 else ""


def _whole_after(
    name: str, whole: tuple[int, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[int, ...]:
    """The shape that a call of view, reshape, flatten or unflatten makes of the whole; () where it does not say.

    A call with sizes of this rank says nothing about the whole; one with a -1, or of a kind that names no size, does.
    """
    try:
        if name == "flatten":
            return tuple(torch.empty(whole, device="meta").flatten(*args[1:], **kwargs).shape)
        if name == "unflatten":
            dim, sizes = kwargs.get("dim", args[1] if len(args) > 1 else 0), kwargs.get("sizes", args[-1])
            return tuple(torch.empty(whole, device="meta").unflatten(dim, tuple(sizes)).shape) if -1 in sizes else ()
        sizes = kwargs.get("shape", kwargs.get("size", args[1] if len(args) == 2 else args[1:]))
        sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        return tuple(torch.empty(whole, device="meta").reshape(sizes).shape) if -1 in sizes else ()
    except (RuntimeError, TypeError, ValueError):
        return ()


def _indexed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """Slices, numbers, None and ``...``; of an axis that is cut no number is taken."""
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
    axes, sizes, old, new, divided = {}, {}, 0, 0, False
    for each in entries:
        if each is None:
            new += 1
            continue
        if isinstance(each, slice):
            axes[old], sizes[new] = new, lie.shape[old]
            if old in lie.sharded and range(tensor.shape[old])[each] != range(tensor.shape[old]):
                divided, sizes[new] = True, out.shape[new] * lie.parts(old)
            new += 1
        old += 1
    found = lie.moved(axes, sizes, out.shape)
    return found.claimed() if found and divided else found


def _unbound(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    """unbind and select: one axis goes, which must not be cut."""
    tensor, lie = known[0]
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    if not isinstance(dim, int) or dim % tensor.dim() in lie.sharded:
        return None
    order = [axis for axis in range(tensor.dim()) if axis != dim % tensor.dim()]
    return _permuted_to(lie, order, out)


def _squeezed(known: Known, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> Lie | None:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(dim, int) or known[0][0].dim() == out.dim():
        return known[0][1] if isinstance(dim, int) else None
    return _unbound(known, args, kwargs, out)


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


SHAPE_RULES: dict[str, Rule] = {
    **dict.fromkeys(("chunk", "split", "tensor_split"), _chunked),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transposed),
    "permute": _permuted,
    **{name: _reshaped_by(name) for name in ("view", "reshape", "flatten", "unflatten")},
    "getitem": _indexed,
    **dict.fromkeys(("unbind", "select"), _unbound),
    "squeeze": _squeezed,
    "unsqueeze": _unsqueezed,
    "expand": _expanded,
}
"""Name of a function -> its rule, for tensors of which an axis is cut."""
