"""Edits: what a what-if changes in one tensor, and where in it. Public as ``mv.edit``.

In: places by the names of axes, a number, tensor or function. Out: an Edit, which gives the changed copy of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as _with
from typing import Any

import torch
from torch import Tensor

from ..errors import EditError
from ..records import DIMS

Pick = int | slice | range | Sequence[int]
"""Positions on one axis, counted from 0, negative ones from the end."""
Index = tuple[slice | list[int] | Tensor, ...]

__all__ = ["Edit", "replace", "scale", "set", "zero"]


def zero(**places: Pick) -> Edit:
    """Set a part to 0: ``zero(channel=3)``. Places: axis -> position, list or slice of positions; none = everywhere.

    Axes are called as in the record's ``dims``; ``call=`` picks calls of a module that is called several times.
    """
    return Edit("set", _checked(places), 0)


def scale(factor: float, **places: Pick) -> Edit:
    """Multiply a part: ``scale(0.5, head=2)``. Places as in :func:`zero`."""
    return Edit("scale", _checked(places), _number(factor, "scale"))


def set(value: float, **places: Pick) -> Edit:  # noqa: A001  # mv.edit.set reads as what it does
    """Set a part to a number: ``set(1.0, time=7, channel=[1, 2])``. Places as in :func:`zero`."""
    return Edit("set", _checked(places), _number(value, "set"))


def replace(tensor: Tensor, **places: Pick) -> Edit:
    """Put a tensor in the place of a part, to whose shape it must broadcast. Places as in :func:`zero`.

    An axis picked by one position stays as an axis of size 1 in the part.
    """
    if not isinstance(tensor, Tensor):
        raise EditError(f"replace() was given a {type(tensor).__name__}; expected a tensor. For a number, use set().")
    return Edit("set", _checked(places), tensor)


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of one tensor.

    Attributes:
        action: "set", "scale" or "call".
        places: Axis -> positions; an axis that is not named is taken whole.
        amount: Number or tensor that is set, or the factor; None for a function.
        function: Of "call": takes the tensor and gives one of the same shape and dtype.
    """

    action: str
    places: Mapping[str, Pick] = field(default_factory=dict)
    amount: Any = None
    function: Callable[[Tensor], Tensor] | None = None

    @property
    def scales_rows(self) -> bool:
        """Whether it multiplies whole rows of weights (all keys), which is to multiply what is made with them."""
        nothing = self.action == "set" and isinstance(self.amount, (int, float)) and self.amount == 0
        factor = self.action == "scale" or nothing
        return factor and "key" not in self.places

    def check(self, dims: Sequence[str], shape: Sequence[int], label: str) -> None:
        """Raise EditError when it names an axis or a position that a tensor of these dims lacks."""
        where = _slices(self.places, dims, shape, label)
        if isinstance(self.amount, Tensor):
            _broadcast(self.amount, _sizes(where, shape), label)

    def without(self, axis: str) -> Edit:
        """The same at all positions of an axis."""
        return _with(self, places={name: pick for name, pick in self.places.items() if name != axis})

    def apply(self, tensor: Tensor, dims: Sequence[str], label: str) -> Tensor:
        """The changed copy, of the strides, dtype and device of the tensor, which stays as it is.

        Raises:
            EditError: when it does not fit, or the function gave something else than such a tensor.
        """
        if self.function is not None:
            return _like(self.function(tensor.clone()), tensor, label)
        index = _index(_slices(self.places, dims, tuple(tensor.shape), label))
        made = tensor.clone()
        if self.action == "scale":
            _check_number(self.amount, tensor, label)
            made[index] = made[index] * self.amount
        elif isinstance(self.amount, Tensor):
            value = self.amount.to(device=tensor.device, dtype=tensor.dtype)
            made[index] = _broadcast(value, tuple(made[index].shape), label)
        else:
            _check_number(self.amount, tensor, label)
            made[index] = self.amount
        return made

    def by_step(self, dims: Sequence[str], shape: Sequence[int], label: str) -> dict[int, Edit]:
        """Timestep -> what it changes there, for values that are computed step by step. A function: at each step."""
        axis = list(dims).index("time")
        if self.function is not None:
            return dict.fromkeys(range(shape[axis]), self)
        where = _slices(self.places, dims, shape, label)
        steps, rest = _positions(where[axis], shape[axis]), self.without("time")
        if not isinstance(self.amount, Tensor):
            return dict.fromkeys(steps, rest)
        value = _broadcast(self.amount, _sizes(where, shape), label)
        return {step: _with(rest, amount=value.select(axis, place)) for place, step in enumerate(steps)}

    def __str__(self) -> str:
        if self.function is not None:
            return getattr(self.function, "__name__", type(self.function).__name__)
        amount = f"tensor of {tuple(self.amount.shape)}" if isinstance(self.amount, Tensor) else f"{self.amount:g}"
        places = "".join(f", {name}={_pick_text(pick)}" for name, pick in self.places.items())
        return f"{self.action}({amount}{places})"


def as_edits(given: object, label: str) -> list[Edit]:
    """The edits that a user wrote for one place: an Edit, a function of a tensor, or a list of those.

    Raises:
        EditError: when it is something else.
    """
    if isinstance(given, Edit):
        return [given]
    if isinstance(given, (list, tuple)) and given:
        return [edit for each in given for edit in as_edits(each, label)]
    if callable(given) and not isinstance(given, type):
        return [Edit("call", function=given)]
    hint = "Write mv.edit.replace(tensor)." if isinstance(given, Tensor) else "Write mv.edit.zero(channel=3)."
    raise EditError(
        f"the edit of {label!r} is a {type(given).__name__}; expected one of mv.edit, a function of the tensor, "
        f"or a list of these. {hint}"
    )


def positions(pick: Pick, size: int, axis: str, label: str) -> list[int]:
    """Positions on an axis of this size, 0 .. size - 1.

    Raises:
        EditError: when one is outside, or none is inside.
    """
    if isinstance(pick, slice):
        found = list(range(size)[pick])
    else:
        given = [pick] if isinstance(pick, int) else list(pick)
        outside = [each for each in given if not -size <= each < size]
        if outside:
            raise EditError(f"{axis}={outside[0]} is outside of {label!r}, which has {size}; expected 0 to {size - 1}.")
        found = [each % size for each in given]
    if not found:
        raise EditError(f"{axis}={_pick_text(pick)} picks nothing of {label!r}, which has {size} on that axis.")
    return found


def _checked(places: Mapping[str, Any]) -> dict[str, Pick]:
    """The places, if they are positions. Their axes are known when the tensor is."""
    found: dict[str, Pick] = {}
    for axis, pick in places.items():
        given = pick.tolist() if hasattr(pick, "tolist") else pick
        several = isinstance(given, (list, tuple, range)) and all(type(each) is int for each in given)
        if type(given) is not int and not isinstance(given, slice) and not several:
            raise EditError(
                f"{axis}={given!r} is a {type(given).__name__}; expected a position, a list of positions or a slice. "
                f"Axes are called as in the record's dims, such as {', '.join(DIMS[:3])}."
            )
        found[axis] = given
    return found


def _number(value: object, what: str) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, (int, float, complex)):
        raise EditError(
            f"{what}() was given a {type(value).__name__}; expected a number. For a tensor, use mv.edit.replace()."
        )
    return value


def _slices(
    places: Mapping[str, Pick], dims: Sequence[str], shape: Sequence[int], label: str
) -> list[slice | list[int]]:
    """Per axis, the slice or the positions that are changed."""
    unknown = [axis for axis in places if axis not in dims]
    if unknown:
        raise EditError(
            f"{label!r} has no axis {unknown[0]!r}; it has {', '.join(dims) or 'none'} of sizes {tuple(shape)}. "
            "Name one of these; dims= of capture() gives axes other names."
        )
    return [
        _short(positions(places[axis], size, axis, label)) if axis in places else slice(0, size)
        for axis, size in zip(dims, shape, strict=True)
    ]


def _short(found: list[int]) -> slice | list[int]:
    """A slice where the positions follow one another."""
    return slice(found[0], found[0] + len(found)) if found == list(range(found[0], found[0] + len(found))) else found


def _positions(where: slice | list[int], size: int) -> list[int]:
    return list(range(size)[where]) if isinstance(where, slice) else where


def _sizes(where: Sequence[slice | list[int]], shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(len(_positions(each, size)) for each, size in zip(where, shape, strict=True))


def _index(where: list[slice | list[int]]) -> Index:
    """An index that keeps all axes. Lists on several axes mean their grid, which torch writes with one axis each."""
    if sum(isinstance(each, list) for each in where) < 2:
        return tuple(where)
    whole = [range(each.start, each.stop) if isinstance(each, slice) else each for each in where]
    rank = len(whole)
    return tuple(
        torch.tensor(list(each)).view([-1 if other == axis else 1 for other in range(rank)])
        for axis, each in enumerate(whole)
    )


def _broadcast(value: Tensor, sizes: tuple[int, ...], label: str) -> Tensor:
    try:
        return value.expand(sizes)
    except RuntimeError:
        raise EditError(
            f"replace() was given a tensor of {tuple(value.shape)} for a part of {sizes} of {label!r}; expected a "
            "shape that broadcasts to it. An axis picked by one position has size 1."
        ) from None


def _check_number(number: Any, tensor: Tensor, label: str) -> None:
    if not tensor.is_floating_point() and not tensor.is_complex() and int(number.real) != number:
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise EditError(f"{number!r} does not fit {label!r}, which is {dtype}; expected a whole number.")


def _like(made: object, tensor: Tensor, label: str) -> Tensor:
    if not isinstance(made, Tensor):
        raise EditError(
            f"the edit of {label!r} gave a {type(made).__name__}; expected a tensor. Return the changed tensor."
        )
    if made.shape != tensor.shape or made.dtype != tensor.dtype:
        raise EditError(
            f"the edit of {label!r} gave a tensor of {tuple(made.shape)}, {made.dtype}; "
            f"expected {tuple(tensor.shape)}, {tensor.dtype}. An edit keeps shape and dtype."
        )
    return made


def _pick_text(pick: Pick) -> str:
    if isinstance(pick, slice):
        return f"{'' if pick.start is None else pick.start}:{'' if pick.stop is None else pick.stop}"
    return str(pick if isinstance(pick, int) else list(pick))
