"""Pictures of the parts of a memory: units over time in any order, and the maps of who wrote what.

In: values of the parts, tensors or LazyValues that are read in blocks of timesteps. Out: frames of cells, and square
maps of shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..analysis.memory_law import MemoryLaw, kept_part, read_amounts, shares_of, surviving, written_part
from ..capture.lazy import Index, LazyValue
from ..errors import PageRefusedError
from ..records import TensorRecord
from .memory_plan import (
    MOST_STEPS,
    OF_HEADS,
    MemoryRecords,
    elements_per_step,
    read_phase,
    runs_backwards,
    size_of,
    unit_dim,
)
from .plan import Picture
from .quantise import Quantised, quantise
from .reading import pooled_frames, pooled_part

Read = Callable[[TensorRecord], "Tensor | LazyValue"]
"""The value of a record, or a MemvizError."""

MAP_CELLS = 2**28
"""Most steps * steps * numbers of a memory for a map of who wrote what: about a second, in which the kernel waits."""

HELD_CELLS = 2**22
"""Most numbers of a memory over all steps for such a map: 32 MiB in float64."""


class Reordered:
    """A value with the positions of one dim in another order. A LazyValue."""

    def __init__(self, values: Tensor | LazyValue, dim: int, order: Tensor) -> None:
        self._values, self._dim, self._order = values, dim, order

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis."""
        return tuple(self._values.shape)

    @property
    def dtype(self) -> torch.dtype:
        """That of the value."""
        return self._values.dtype

    def read(self, index: Index) -> Tensor:
        """A part; all positions of the dim are read, or the one asked for."""
        entry = index[self._dim]
        chosen = self._order[entry]
        inside: int | slice = int(chosen) if isinstance(entry, int) else slice(None)
        whole = (*index[: self._dim], inside, *index[self._dim + 1 :])
        part = self._values[whole] if isinstance(self._values, Tensor) else self._values.read(whole)
        if isinstance(entry, int):
            return part
        axis = sum(isinstance(each, slice) for each in index[: self._dim])
        return part.index_select(axis, chosen.to(part.device))

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * len(self.shape))


def time_frames(values: Tensor | LazyValue, picture: Picture, start: int, stop: int) -> Tensor:
    """Frames ``start .. stop - 1`` of units over time, (n, rows, cols).

    Read on their side, all units of some timesteps at once: a recovered value is computed by timesteps.
    """
    return pooled_frames(values, _turned(picture), start, stop).mT


def time_part(values: Tensor | LazyValue, picture: Picture, frame: int, rows: slice, cols: slice) -> Tensor:
    """Cells ``rows`` x ``cols`` of one frame of units over time, (1, rows, cols); read as `time_frames` does."""
    return pooled_part(values, _turned(picture), frame, cols, rows).mT


def _turned(picture: Picture) -> Picture:
    """Timesteps as rows, units as columns."""
    return replace(picture, row=picture.col, col=picture.row, pool_rows=picture.pool_cols, pool_cols=picture.pool_rows)


def share_codes(cells: Tensor) -> Quantised:
    """Codes of shares (n, rows, cols) over 0 .. largest; exactly 0 has the code of -Inf."""
    apart = cells.masked_fill(cells == 0, -torch.inf)
    # A column of zeros, taken off again, makes 0 the lower end of the range.
    coded = quantise(torch.cat([apart, torch.zeros_like(cells[..., :1])], dim=-1))
    return replace(coded, codes=coded.codes[..., :-1].copy())


@dataclass(frozen=True, slots=True, eq=False)
class WhoWrote:
    """A map of one sample, float32 (maps, T, T), and the largest ``|sum of parts - content|``."""

    shares: Tensor
    residual: float


def who_wrote(
    content: TensorRecord, law: MemoryLaw, memories: MemoryRecords, read: Read, sample: int, unit: int | None = None
) -> WhoWrote:
    """Which step wrote what the memory of a sample holds at each step, (1, T, T): of all, or of one unit.

    Timesteps without data (all NaN: beyond the end of a sample) are NaN.

    Raises:
        PageRefusedError: when it takes too long.
    """
    check_map(content, content.label, of_unit=unit is not None)
    run = run_of(content, law, memories, read, sample, unit)
    amounts = run.write.new_zeros(1, len(run.write), len(run.write) + 1)
    for done, held in enumerate(surviving(run.keep, run.write, run.initial)):
        if done:
            amounts[0, done - 1, : len(held)] = held.flatten(1).norm(dim=-1)
    return run.placed(shares_of(amounts)[..., 1:])


def who_wrote_reads(
    weights: TensorRecord, content: TensorRecord, law: MemoryLaw, memories: MemoryRecords, read: Read, sample: int
) -> WhoWrote:
    """Which step wrote what each head reads, (N, T, T).

    Raises:
        PageRefusedError: when it takes too long.
    """
    check_map(content, weights.label, heads=size_of(weights, "head"))
    run = run_of(content, law, memories, read, sample, None)
    reads = read_part([weights], read, sample, slice(0, size_of(weights, "time"))).to(run.write)[run.valid]
    amounts = read_amounts(reads, run.keep, run.write, run.initial, read_phase(weights))
    return run.placed(shares_of(amounts)[..., 1:])


def check_map(content: TensorRecord, label: str, *, of_unit: bool = False, heads: int = 1) -> None:
    """Refuse a map that takes too long. Raises PageRefusedError."""
    steps, numbers = size_of(content, "time"), elements_per_step(content)
    if of_unit:
        numbers //= size_of(content, unit_dim(content.dims))
    too_much = steps * steps * max(numbers, heads) > MAP_CELLS or steps * numbers > HELD_CELLS
    if steps > MOST_STEPS or too_much:
        one = "" if of_unit or steps > MOST_STEPS else "Look at a single unit, or use "
        use = "mv.analysis.memory.provenance(keep, write) on a part, with those of mv.analysis.memory.keep_and_write."
        raise PageRefusedError(
            f"who wrote what of {label!r} is of {steps:,} x {steps:,} steps and {numbers:,} numbers each: more than is "
            f"computed while you wait. {one or 'Use '}{use}"
        )


def read_part(
    records: list[TensorRecord], read: Read, sample: int, steps: slice, unit: tuple[str, int] | None = None
) -> Tensor:
    """Timesteps of a part for one sample, time first and the other dims in their order; of several heads, all.

    ``unit``: a dim and the position in it that is wanted, for parts that have more than one.
    """
    found = []
    for record in records:
        index: list[int | slice] = [slice(0, size) for size in record.shape]
        index[record.dims.index("time")] = steps
        if unit is not None and size_of(record, unit[0]) > 1:
            index[record.dims.index(unit[0])] = slice(unit[1], unit[1] + 1)
        if "batch" in record.dims:
            index[record.dims.index("batch")] = sample
        values = read(record)
        part = values.detach()[tuple(index)] if isinstance(values, Tensor) else values.read(tuple(index))
        beside = [dim for dim in record.dims if dim != "batch"]
        part = part.movedim(beside.index("time"), 0)
        if record.kind in OF_HEADS and "head" not in beside:
            part = part.unsqueeze(1)
        found.append(part)
    # Heads are modules of their own in some models: their items in order. Other parts have one record.
    several = len(found) > 1 and records[0].kind in OF_HEADS
    return torch.cat(found, dim=1) if several else found[0]


@dataclass(frozen=True, slots=True, eq=False)
class MemoryRun:
    """One sample of a memory, float64: keep, write (t, ...), what it was before, which of T timesteps those t are."""

    keep: Tensor
    write: Tensor
    initial: Tensor
    valid: Tensor
    steps: int
    residual: float

    def placed(self, shares: Tensor) -> WhoWrote:
        """Shares (N, t, t) at their places among all timesteps, NaN elsewhere."""
        maps = torch.full((len(shares), self.steps, self.steps), torch.nan)
        if len(self.valid):
            maps[:, self.valid.unsqueeze(1), self.valid] = shares.float()
        return WhoWrote(maps, self.residual)


def run_of(
    content: TensorRecord, law: MemoryLaw, memories: MemoryRecords, read: Read, sample: int, unit: int | None
) -> MemoryRun:
    """What a sample kept and wrote, in the order in which it happened."""
    steps = size_of(content, "time")
    place = None if unit is None else (unit_dim(content.dims), unit)

    def part(kind: str) -> Tensor:
        records = [content] if kind == content.kind else memories.parts(content, kind)
        return read_part(records, read, sample, slice(0, steps), place).to("cpu", torch.float64)

    held = part(content.kind)
    valid = with_data(held)
    if runs_backwards(content):
        valid = valid.flip(0)
    parts = {kind: part(kind)[valid] for kind in law.kinds}
    held, keep, write = held[valid], kept_part(parts), written_part(parts)
    if keep.dim() != held.dim() or write.dim() != held.dim():
        raise PageRefusedError(
            f"keep {tuple(keep.shape)} and write {tuple(write.shape)} of {content.label!r} do not fit its content "
            f"{tuple(held.shape)}."
        )
    initial = (held[:1] - write[:1]).sum(0)  # what is left of the initial memory after the first step: (...)
    keep = keep.clone()
    keep[:1] = 1
    return MemoryRun(keep, write, initial, valid, steps, _law_residual(keep, write, held, initial))


def with_data(part: Tensor) -> Tensor:
    """Which timesteps of a part (T, ...) hold any number: positions (t,)."""
    missing = part.isnan().flatten(1).all(1) if part.dim() > 1 else part.isnan()
    return (~missing).nonzero().squeeze(1)


def _law_residual(keep: Tensor, write: Tensor, held: Tensor, initial: Tensor) -> float:
    """Largest difference between the sum of all parts and the content: the sum runs as the memory itself."""
    total, worst = initial, 0.0
    for step in range(len(held)):
        total = total * keep[step] + write[step]
        worst = max(worst, float((total - held[step]).abs().max()))
    return worst
