"""The exact value of one element, as text and as a number.

In: a tensor of one element, of the dtype it was recorded in. Out: what a hover shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_COMPLEX_PARTS = {torch.complex32: np.complex64, torch.complex64: np.complex64, torch.complex128: np.complex128}

NOT_RECORDED = "not recorded"
"""The text of an element that lies on a rank of which nothing is there."""


@dataclass(frozen=True, slots=True)
class CellValue:
    """What one cell stands for.

    ``text``: shortest text that reads back as the same value of the tensor's dtype. ``number``: the value, ``|z|`` for
    a complex one, None when it is not finite. ``index``: the element's index in the record, in the order of its dims;
    -1 where the number is over all positions of a dim (a mean over heads).
    """

    text: str
    number: float | None
    index: tuple[int, ...]


def cell_value(element: Tensor, index: tuple[int, ...]) -> CellValue:
    """Text and number of a tensor of one element."""
    value = element.item()
    if isinstance(value, complex):
        size = math.hypot(value.real, value.imag)
        text = str(_COMPLEX_PARTS[element.dtype](value))
        return CellValue(text, size if math.isfinite(size) else None, index)
    if isinstance(value, float):
        return CellValue(float_text(value, str(element.dtype)), value if math.isfinite(value) else None, index)
    return CellValue(str(value), float(value), index)


def float_text(value: float, dtype: str) -> str:
    """Shortest text that reads back as ``value`` in ``dtype``: ``0.1`` for the float32 next to 0.1.

    Args:
        value: a value that ``dtype`` holds, or any number when only its look matters.
        dtype: ``"float32"`` or ``"torch.float32"``. bfloat16 and float8 are written as the float32 they equal.
    """
    name = dtype.removeprefix("torch.")
    if name == "float64":
        return str(value)
    with np.errstate(over="ignore"):
        return str(np.float16(value) if name == "float16" else np.float32(value))
