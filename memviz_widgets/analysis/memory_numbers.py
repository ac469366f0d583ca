"""What every measure of memory reads and gives back: checked float64 numbers in, results in the dtype of the input out.

In: a tensor as it was given, the name of the argument and the axes that it should have. Out: its numbers, or
MeasureError.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import MeasureError
from .numbers import real_numbers


def checked(
    values: Tensor, name: str, *axes: str, low: float = -math.inf, high: float = math.inf, advice: str = ""
) -> Tensor:
    """The numbers of an argument, float64, without gradient. May be the argument itself: never write into it.

    Args:
        values: what was given.
        name: the argument's name, for the text of an error.
        axes: names of its axes, such as ``"T", "N"``; ``"..."`` at one end stands for any number of them.
        low: smallest value that is right, itself included; NaN and Inf never are.
        high: largest value that is right.
        advice: what to do about a value out of range, a sentence.

    Raises:
        MeasureError: for what is no tensor, is complex, has other axes, no cells, NaN, Inf or a value out of range.
    """
    wanted = [axis for axis in axes if axis != "..."]
    expected = f"expected {name} as a real tensor with the axes ({', '.join(axes)}{',' * (len(axes) == 1)})"
    if not isinstance(values, Tensor):
        raise MeasureError(f"{expected}; got {type(values).__name__}. Make it a tensor with torch.as_tensor.")
    fits = values.dim() >= len(wanted) if len(wanted) < len(axes) else values.dim() == len(wanted)
    if not fits or values.is_complex() or not values.numel():
        raise MeasureError(f"{expected}, none of them empty; got {described(values)}. Bring its axes into this order.")
    numbers = real_numbers(values.detach())
    if not bool(numbers.isfinite().all()):
        place = _first(~numbers.isfinite())
        raise MeasureError(
            f"{name} holds {numbers[place].item()} at {place}; expected finite numbers. "
            "Look for the layer or step where it begins."
        )
    outside = (numbers < low) | (numbers > high)
    if bool(outside.any()):
        place = _first(outside)
        raise MeasureError(f"{name} is {numbers[place].item():.4g} at {place}; expected {low:g} to {high:g}. {advice}")
    return numbers


def in_result_dtype(values: Tensor, *given: Tensor) -> Tensor:
    """What leaves a measure: float32, float64 where an input is float64."""
    dtype = torch.float32
    for tensor in given:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return values.to(dtype)


def needs_same(axis: str, **sizes: int) -> None:
    """Refuses two arguments whose sizes along an axis that they share are not the same."""
    if len(set(sizes.values())) > 1:
        found = " and ".join(f"{size} in {name}" for name, size in sizes.items())
        raise MeasureError(f"the axis {axis} has {found}; expected the same number. Give what belongs to one run.")


def needs_whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """``value``, if it is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        bound = f"{low} to {high}" if high is not None else f"{low} or more"
        raise MeasureError(f"{name}={value!r}; expected a whole number, {bound}.")
    return value


def needs_share(name: str, value: float) -> float:
    """``value``, if it is between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise MeasureError(f"{name}={value!r}; expected a number between 0 and 1, such as 0.5.")
    return value


def needs_positive(name: str, value: float) -> float:
    """``value``, if it is finite and above 0."""
    if not 0 < value < math.inf:
        raise MeasureError(f"{name}={value!r}; expected a finite number above 0.")
    return value


def described(tensor: Tensor) -> str:
    """Dtype and shape, for the text of an error."""
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def _first(wrong: Tensor) -> tuple[int, ...]:
    """Place of the first True."""
    return tuple(wrong.nonzero()[0].tolist())
