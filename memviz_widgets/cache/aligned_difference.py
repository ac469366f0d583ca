"""The difference of two recorded values, as a value that is read piece by piece.

In: two tensors or LazyValues of one shape. Out: a LazyValue of a minus b, in a dtype that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..capture import LazyValue

NO_NUMBERS = ("torch.quint", "torch.qint", "torch.float4", "torch.bits")
"""Dtypes that torch does not subtract, nor converts."""


@dataclass(frozen=True, slots=True, eq=False)
class DifferenceValue:
    """``a - b``, element by element; NaN where a side is NaN, and for Inf - Inf. A LazyValue.

    Attributes:
        a, b: What is subtracted, of one shape.
        dtype: Of the difference, see :func:`difference_dtype`.
    """

    a: Tensor | LazyValue
    b: Tensor | LazyValue
    dtype: torch.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis."""
        return tuple(self.a.shape)

    def read(self, index: tuple[int | slice, ...]) -> Tensor:
        """A part; only that part of both sides is read."""
        one, other = (
            each.detach()[index] if isinstance(each, Tensor) else each.read(index) for each in (self.a, self.b)
        )
        if one.device != other.device:
            one, other = one.cpu(), other.cpu()
        return _as(one, self.dtype) - _as(other, self.dtype)

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * len(self.shape))


def difference_dtype(one: str, other: str) -> torch.dtype | None:
    """The dtype that holds the difference of two, given by their names; None when there is none.

    Whole numbers and bool: int64 (uint64: float64). Floats: at least float32, in which the difference of two float16 or
    bfloat16 is not rounded to theirs. Complex: at least complex64.
    """
    found = [getattr(torch, name, None) for name in (one, other)]
    wide = [_wide(each) for each in found if isinstance(each, torch.dtype) and not str(each).startswith(NO_NUMBERS)]
    return torch.promote_types(*wide) if len(wide) == 2 else None


def _wide(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_complex:
        return torch.promote_types(dtype, torch.complex64)
    if dtype.is_floating_point:
        return torch.float64 if dtype is torch.float64 else torch.float32
    return torch.float64 if dtype is torch.uint64 else torch.int64


def _as(values: Tensor, dtype: torch.dtype) -> Tensor:
    if values.dtype.is_floating_point and values.dtype.itemsize == 1:
        values = values.to(torch.float32)  # float8 converts to float32 only
    return values.to(dtype)
