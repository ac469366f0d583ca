"""RanksValue: a value that lies over several ranks, put together from their parts when it is read.

In: boxes and what reads the part of a rank. Out: tensors of what is asked for; only the parts that it touches are read.
What nobody recorded is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..capture import LazyValue
from ..capture.attention import span
from ..capture.lazy import Index
from .ranks_boxes import Box

ReadPart = Callable[[int], Tensor | LazyValue]
"""The value of the part of a rank."""


@dataclass(frozen=True, slots=True, eq=False)
class RanksValue:
    """A LazyValue of which each box is read from the ranks that have it.

    Attributes:
        shape: Of the whole.
        dtype: Of what is read, see :func:`whole_dtype`.
        boxes: What each rank has of it.
        of: Reads the part of a rank.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    boxes: tuple[Box, ...]
    of: ReadPart

    def read(self, index: Index) -> Tensor:
        """A part, on the CPU.

        Raises:
            IndexError: for an index that does not fit the shape.
            ClosedError, FormatError, SpillError: when a part cannot be read.
        """
        if len(index) != len(self.shape):
            raise IndexError(f"{len(index)} indices for {len(self.shape)} axes; give an int or a slice per axis.")
        wanted = [span(entry, size) for entry, size in zip(index, self.shape, strict=True)]
        touched = [(box, cut) for box in self.boxes if (cut := _common(box, wanted)) is not None]
        keep = tuple(slice(None) if isinstance(entry, slice) else 0 for entry in index)
        with torch.inference_mode(False), torch.no_grad():
            if len(touched) == 1 and touched[0][0].ranks:
                box, cut = touched[0]
                return self._part(box, cut)[keep]
            whole = torch.empty([len(each) for each in wanted], dtype=self.dtype)
            for box, cut in touched:
                place = tuple(_moved(at, each.start) for at, each in zip(cut, wanted, strict=True))
                whole[place] = self._part(box, cut) if box.ranks else math.nan
            return whole[keep]

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * len(self.shape))

    def missing(self, index: tuple[int, ...]) -> bool:
        """Whether nobody recorded an element; -1 stands for all positions of an axis, of which one is enough."""
        at = [
            range(size) if place < 0 else range(place, place + 1) for place, size in zip(index, self.shape, strict=True)
        ]
        return any(not box.ranks and _common(box, at) is not None for box in self.boxes)

    def _part(self, box: Box, cut: list[range]) -> Tensor:
        """What the ranks of a box have of a part; added up in the order of the ranks."""
        inside = tuple(_moved(at, start) for at, start in zip(cut, box.start, strict=True))
        total: Tensor | None = None
        for rank in box.ranks:
            value = self.of(rank)
            part = (value[inside].detach() if isinstance(value, Tensor) else value.read(inside)).cpu()
            total = part if total is None else total + part
        assert total is not None
        return total.to(self.dtype)

    def __repr__(self) -> str:
        return f"<RanksValue: {' x '.join(map(str, self.shape)) or 'number'}, {len(self.boxes)} parts>"


@runtime_checkable
class MayMiss(Protocol):
    """A value of which a part may be missing: of several ranks, or what joins such values over time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis."""
        ...

    def missing(self, index: tuple[int, ...]) -> bool:
        """Whether nobody recorded an element; -1 stands for all positions of an axis, of which one is enough."""
        ...


def not_recorded(value: object, index: tuple[int, ...]) -> bool:
    """Whether an element of a value is of a part that no rank recorded, see :meth:`RanksValue.missing`."""
    return isinstance(value, MayMiss) and len(index) == len(value.shape) and value.missing(index)


def whole_dtype(dtype: torch.dtype, *, whole: bool) -> torch.dtype:
    """The dtype in which a value is read. Where a part is missing it has a NaN: float64 for integers."""
    if whole or dtype.is_complex or (dtype.is_floating_point and dtype.itemsize > 1):
        return dtype
    return torch.float32 if dtype.is_floating_point else torch.float64


def _moved(positions: range, start: int) -> slice:
    """The same positions of an axis of which only what begins at ``start`` is there."""
    return slice(positions.start - start, positions.stop - start)


def _common(box: Box, wanted: list[range]) -> list[range] | None:
    """The positions that a box and a part have in common; None where there is none."""
    found = []
    for each, start, size in zip(wanted, box.start, box.shape, strict=True):
        first, stop = max(each.start, start), min(each.stop, start + size)
        if first >= stop:
            return None
        found.append(range(first, stop))
    return found
