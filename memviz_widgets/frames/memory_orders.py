"""The order of the units of a memory: by how long they keep, or so that neighbours are alike.

In: a part of a memory, read in runs of timesteps. Out: permutations; time constants.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..analysis.memory import time_constants
from ..analysis.memory_law import MemoryLaw, kept_part
from ..records import TensorRecord
from .memory_maps import Read, read_part, with_data
from .memory_plan import MemoryRecords, elements_per_step, size_of, unit_dim

MEASURED_CELLS = 2**22
"""Most numbers of a sample that a measure looks at; of more, runs of timesteps at even distances."""

ORDERED_STEPS = 512
"""Most timesteps by which units are compared."""

_ALIKE_CELLS = 2**21
"""Most numbers by which they are: 512 of each of 4,096 units, some 0.2 s."""

_RUNS = 32
_ROUNDING = 1e-5


def runs_of(steps: int, most: int) -> list[slice]:
    """All timesteps, or ``most`` of them in runs at even distances."""
    if steps <= most:
        return [slice(0, steps)]
    count = min(_RUNS, max(1, most // 2))
    length = max(1, most // count)
    starts = [number * (steps - length) // max(1, count - 1) for number in range(count)]
    return [slice(start, start + length) for start in starts]


def steps_at_most(record: TensorRecord) -> int:
    """Timesteps of one sample that a measure looks at, 64 at least."""
    return max(64, MEASURED_CELLS // max(1, elements_per_step(record)))


def units_last(part: Tensor, record: TensorRecord) -> Tensor:
    """(t, ..., C) of what `read_part` read of a record: its units last, expanded to their number."""
    beside = [dim for dim in record.dims if dim not in ("batch", "time")]
    unit = unit_dim(record.dims)
    return part.movedim(1 + beside.index(unit), -1) if unit in beside else part.unsqueeze(-1)


def kept(content: TensorRecord, law: MemoryLaw, memories: MemoryRecords, read: Read, sample: int, run: slice) -> Tensor:
    """``keep`` of some timesteps, float64, units last: (t, ..., C). Timesteps without data are left out."""
    parts = {kind: read_part(memories.parts(content, kind), read, sample, run) for kind in law.keep}
    keep = kept_part({kind: part.to("cpu", torch.float64) for kind, part in parts.items()})
    keep = units_last(keep[with_data(keep)], content)
    units = size_of(content, unit_dim(content.dims))
    return keep.expand(*keep.shape[:-1], units)


def unit_constants(
    content: TensorRecord, law: MemoryLaw, memories: MemoryRecords, read: Read, sample: int
) -> tuple[Tensor, bool]:
    """Time constant of each unit in steps, float64 (C,), and whether timesteps were left out.

    Over all numbers of a unit together. NaN for all where something is kept less than not at all, or more than fully.
    """
    steps = size_of(content, "time")
    runs = runs_of(steps, steps_at_most(content))
    keep = torch.cat([kept(content, law, memories, read, sample, run) for run in runs])
    sampled = len(runs) > 1
    if not keep.numel() or not bool(((keep >= -_ROUNDING) & (keep <= 1 + _ROUNDING)).all()):
        return torch.full((keep.shape[-1],), torch.nan, dtype=torch.float64), sampled
    return time_constants(keep.clamp(0, 1)), sampled


def unit_series(record: TensorRecord, read: Read, sample: int) -> list[Tensor]:
    """Runs of at most 512 timesteps in all, float64 (t, F, C): F numbers of each of C units."""
    found = []
    for run in runs_of(size_of(record, "time"), ORDERED_STEPS):
        part = read_part([record], read, sample, run)
        part = part.abs() if part.is_complex() else part
        part = units_last(part.to("cpu", torch.float64), record)
        part = part[with_data(part)].reshape(-1, part[0].numel() // part.shape[-1], part.shape[-1])
        thin = -(-part.shape[1] * part.shape[2] * ORDERED_STEPS // _ALIKE_CELLS)
        found.append(part[:, ::thin].nan_to_num(0.0, 0.0, 0.0))
    return found


def lag_one(series: list[Tensor]) -> Tensor:
    """Correlation of each unit with itself one step before, (C,), -1..1; NaN for one that never changes."""
    mean = torch.cat(series).mean(0)
    beside = [run - mean for run in series]
    together = torch.stack([(run[1:] * run[:-1]).sum((0, 1)) for run in beside]).sum(0)
    alone = torch.stack([run.square().sum((0, 1)) for run in beside]).sum(0)
    return together / alone.masked_fill(alone == 0, torch.nan)


def descending(values: Tensor) -> Tensor:
    """Units with the largest value first, equals by index, NaN last: (C,)."""
    return values.nan_to_num(-torch.inf, torch.inf).argsort(descending=True, stable=True)


def alike_order(series: list[Tensor]) -> Tensor:
    """Units ordered so that neighbours are alike, (C,): each is followed by the one it correlates with most.

    Nearest neighbours in a chain (Rosenkrantz et al. 1977, as for tours), from the unit that is least like all others;
    units that never change come last. ``C^2`` correlations and comparisons.
    """
    rows = torch.cat(series).flatten(0, 1).T.to(torch.float32)  # (C, n)
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    moving = norms.squeeze(1) > 0
    rows = torch.nn.functional.normalize(rows, dim=1)
    alike = rows @ rows.T
    left = torch.where(moving, 0.0, -torch.inf)  # added to a row of likenesses, it takes units out
    order: list[int] = []
    unit = int((alike.sum(1) - left).argmin()) if bool(moving.any()) else -1
    for _ in range(int(moving.sum())):
        order.append(unit)
        left[unit] = -torch.inf
        unit = int((alike[unit] + left).argmax())
    still = (~moving).nonzero().squeeze(1).tolist()
    return torch.tensor(order + still, dtype=torch.int64)
