"""A cache made of given tensors, so that frames are tested without a model."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from memviz_widgets.errors import NotKeptError
from memviz_widgets.records import TensorRecord, TensorStats

IMAGE = ("batch", "channel", "height", "width")


def stats_of(values: Tensor) -> TensorStats:
    """The statistics that the messages need: range and counts of what is no number."""
    numbers = values.abs() if values.is_complex() else values.to(torch.float64)
    finite = numbers[numbers.isfinite()]
    return TensorStats(
        min=finite.min().item() if finite.numel() else None,
        max=finite.max().item() if finite.numel() else None,
        mean=finite.mean().item() if finite.numel() else None,
        std=0.0 if finite.numel() else None,
        zeros=0.0,
        nan=int(numbers.isnan().sum()),
        posinf=int(numbers.isposinf().sum()),
        neginf=int(numbers.isneginf().sum()),
        count=numbers.numel(),
    )


def record_of(values: Tensor, dims: tuple[str, ...], index: int = 0) -> TensorRecord:
    """A kept record of the output of module ``conv``."""
    return TensorRecord(
        index=index,
        path="conv",
        module_type="Conv2d",
        call=0,
        kind="output",
        item="",
        dims=dims,
        shape=tuple(values.shape),
        dtype=str(values.dtype).removeprefix("torch."),
        device="cpu",
        nbytes=values.nbytes,
        stats=stats_of(values),
        kept=True,
        note="",
    )


class FakeCache:
    """Holds one tensor per record."""

    def __init__(self, *items: tuple[Tensor, tuple[str, ...]]) -> None:
        self.values = [values for values, _ in items]
        self.records = tuple(record_of(values, dims, index) for index, (values, dims) in enumerate(items))
        self.closed = False

    def value(self, record: TensorRecord) -> Tensor:
        if not self.values:
            raise NotKeptError("the value was dropped")
        return self.values[record.index]

    def change(self, index: int, **fields: object) -> None:
        """Replace fields of one record."""
        changed = list(self.records)
        changed[index] = replace(changed[index], **fields)  # type: ignore[arg-type]
        self.records = tuple(changed)
