"""Parts of several ranks, made in one process: slices of one capture, as each rank would have recorded them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.records import Placement, TensorRecord


class Reader(nn.Module):
    """Attention, a recurrent memory, a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.block = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, ids: Tensor) -> Tensor:
        states = self.lstm(self.block(self.embed(ids)))[0]
        return self.conv(states[:, None]).relu()


Place = Callable[[TensorRecord], Placement | None]


def placed(cache: ActivationCache, rank: int, place: Place) -> ActivationCache:
    """The cache with what a rank knows of where its values lie."""
    cache._records = tuple(
        replace(record, rank=rank, placement=None if record.parts else place(record)) for record in cache.records
    )
    return cache


def batch_of(world_size: int) -> Place:
    """Every rank has samples of its own, as under DistributedDataParallel."""
    mesh = Placement((world_size,), ("dp",), tuple(range(world_size)), ("batch",), ())
    return lambda record: mesh if "batch" in record.dims else None


def save_batches(
    model: nn.Module, batches: Sequence[Tensor], path: Path, *, lost: Sequence[int] = (), **options: object
) -> None:
    """A part per batch, but of the lost ranks."""
    for rank, batch in enumerate(batches):
        if rank not in lost:
            cache = placed(ActivationCache.capture(model, batch, **options), rank, batch_of(len(batches)))  # type: ignore[arg-type]
            cache.save(path, rank=rank, world_size=len(batches))


def loop_without_rank_1(path: Path) -> ActivationCache:
    """Four calls of a cell in a loop, on three ranks of two samples each, of which the second saved nothing."""
    cell = nn.GRUCell(3, 5)
    for rank in (0, 2):
        state = torch.zeros(2, 5)
        with mv.record(cell) as cache:
            for _ in range(4):
                state = cell(torch.ones(2, 3), state)
        placed(cache, rank, batch_of(3)).save(path, rank=rank, world_size=3)
    return ActivationCache.open(path)


def save_tensors(parts: Sequence[dict[str, Tensor] | None], dims: str, path: Path, place: Place) -> None:
    """A part per entry, of tensors; None = a rank that saved nothing."""
    for rank, tensors in enumerate(parts):
        if tensors is not None:
            cache = placed(ActivationCache.from_tensors(tensors, dims=dims), rank, place)
            cache.save(path, rank=rank, world_size=len(parts))


def over(*placements: str, mesh: tuple[int, ...], names: tuple[str, ...], shape: tuple[int, ...] = ()) -> Place:
    """The same placement for every record, over ranks counted from 0."""
    count = int(torch.tensor(mesh).prod())
    placement = Placement(mesh, names, tuple(range(count)), placements, shape)
    return lambda record: placement


def whole_of(cache: ActivationCache, record: TensorRecord) -> Tensor:
    value = cache.value(record)
    return value if isinstance(value, Tensor) else value.load()
