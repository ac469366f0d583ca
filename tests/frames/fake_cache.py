"""A cache made of given tensors and of values that are read piece by piece, so that frames need no model."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from memviz_widgets.capture.lazy import Index
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


class FakeLazy:
    """A tensor that is read piece by piece and never whole. ``reads``: shape of each piece."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.shape = tuple(values.shape)
        self.dtype = values.dtype
        self.reads: list[tuple[int, ...]] = []

    def read(self, index: Index) -> Tensor:
        assert len(index) == len(self.shape) and all(isinstance(part, int) or part.step is None for part in index)
        part = self.values[index].clone()
        self.reads.append(tuple(part.shape))
        return part

    def load(self) -> Tensor:
        raise AssertionError("a lazy value was loaded whole")

    @property
    def most_read(self) -> int:
        """Elements of the largest piece."""
        return max(torch.Size(shape).numel() for shape in self.reads)


class FakeCache:
    """Holds one value per record."""

    def __init__(self, *items: tuple[Tensor | FakeLazy, tuple[str, ...]]) -> None:
        self.values = [values for values, _ in items]
        tensors = [values.values if isinstance(values, FakeLazy) else values for values in self.values]
        self.records = tuple(record_of(values, items[index][1], index) for index, values in enumerate(tensors))
        self.closed = False
        self.summary = "8 B recorded, all kept"
        self.token_texts: list[list[list[str]]] = []
        self.step_labels: tuple[str, ...] = ()
        self.remarks: tuple[str, ...] = ()
        self.opaque: dict[str, str] = {}

    def value(self, record: TensorRecord) -> Tensor | FakeLazy:
        if not self.values:
            raise NotKeptError("the value was dropped")
        return self.values[record.index]

    def change(self, index: int, **fields: object) -> None:
        """Replace fields of one record."""
        changed = list(self.records)
        changed[index] = replace(changed[index], **fields)  # type: ignore[arg-type]
        self.records = tuple(changed)
