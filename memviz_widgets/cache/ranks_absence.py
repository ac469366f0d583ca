"""Which elements of a value no rank recorded, as a value of its own.

In: a value of several ranks, or what joins such values over time. Out: a LazyValue of its shape that reads NaN where
nobody recorded, else 0; nothing of the recording is read for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..capture import LazyValue
from ..capture.lazy import Index
from .dataset_spans import SamplesValue
from .joined import JoinedValue
from .joined_attention import JoinedAttention
from .ranks_values import RanksValue


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A part that was recorded: zeros of the size of what is asked for."""

    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32

    def read(self, index: Index) -> Tensor:
        """Zeros; of slices with both ends, as those who put parts together ask."""
        return torch.zeros([each.stop - each.start for each in index if isinstance(each, slice)])

    def load(self) -> Tensor:
        """Of no use here, and of no size."""
        return torch.zeros(self.shape)


def absence(value: Tensor | LazyValue) -> LazyValue | None:
    """NaN for each element of a value that no rank recorded, else 0; None for a value that misses none."""
    if isinstance(value, RanksValue):
        if all(box.ranks for box in value.boxes):
            return None
        return replace(value, dtype=torch.float32, of=lambda rank: _Recorded())
    if isinstance(value, SamplesValue):
        return replace(value, dtype=torch.float32, parts={rank: _Recorded() for rank in value.parts})
    if isinstance(value, (JoinedValue, JoinedAttention)):
        return _joined(value)
    return None


def _joined(value: JoinedValue | JoinedAttention) -> LazyValue | None:
    parts = {index: value.of(index) for index in value.indices}
    found = {index: absence(part) for index, part in parts.items()}
    if not any(found.values()):
        return None
    # A tensor of one number takes no memory at any size.
    whole = {index: torch.zeros(()).expand(tuple(part.shape)) for index, part in parts.items()}
    return replace(value, dtype=torch.float32, of=lambda index: found[index] or whole[index])
