"""Measures of the parts of a memory: time constants and orders of units, saturated gates, what is left by lag.

In: a record that is a part of a memory, and the other parts. Out: tables of float32 numbers, one per page.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..analysis.memory import retention
from ..analysis.memory_law import MemoryLaw
from ..records import TensorRecord
from .memory_maps import Read, read_part, with_data
from .memory_orders import (
    alike_order,
    descending,
    kept,
    lag_one,
    runs_of,
    steps_at_most,
    unit_constants,
    unit_series,
    units_last,
)
from .memory_plan import MAX_LAGS, MemoryRecords, runs_backwards, same_units, size_of, unit_dim

LOW, HIGH = 0.1, 0.9
"""A gate below is left-saturated, above right-saturated: Karpathy, Johnson & Li 2015 (arXiv 1506.02078)."""

RETENTION_CELLS = 2**27
"""Most multiplications of a retention page, some 0.5 s: the kernel waits meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Float32 (rows, 1 or heads, columns), and whether it is of some of the timesteps only."""

    numbers: Tensor
    sampled: bool


def units_table(record: TensorRecord, memories: MemoryRecords, read: Read, sample: int) -> Table:
    """Of each unit, (3, 1, C): its time constant in steps, NaN where there is none; then two orders.

    In column r the second row has the unit that comes r-th by timescale, the third that by similarity. Both are those
    of the memory's content where that has the same units, so that all parts are ordered alike. Without time constants
    the timescale is the correlation of a unit with itself one step before.
    """
    content = memories.content(record)
    owner = content if content is not None and same_units(record, content) else record
    series = unit_series(owner, read, sample)
    law = memories.law(owner) if owner is content else None
    constants, sampled = torch.full((series[0].shape[-1],), torch.nan, dtype=torch.float64), False
    if law is not None:
        constants, sampled = unit_constants(*law, memories, read, sample)
    known = not bool(constants.isnan().all())
    by_timescale = descending(constants if known else lag_one(series))
    rows = torch.stack([constants, by_timescale.double(), alike_order(series).double()])
    return Table(rows.float().unsqueeze(1), sampled or len(series) > 1)


def saturation_table(record: TensorRecord, read: Read, sample: int) -> Table:
    """Of each unit of a gate the share of steps, 0..1, in which it is below 0.1, and above 0.9: (2, 1, C).

    Steps without data do not count; NaN when there are no others.
    """
    runs = runs_of(size_of(record, "time"), steps_at_most(record))
    low, high, steps = [], [], 0
    for run in runs:
        gate = read_part([record], read, sample, run)
        gate = units_last(gate[with_data(gate)].to("cpu", torch.float64), record)  # (t, ..., C)
        beside = tuple(range(1, gate.dim() - 1))
        below, above = (gate < LOW).double().sum(0, keepdim=True), (gate > HIGH).double().sum(0, keepdim=True)
        low.append(below.mean(beside).squeeze(0) if beside else below.squeeze(0))
        high.append(above.mean(beside).squeeze(0) if beside else above.squeeze(0))
        steps += len(gate)
    shares = torch.stack([torch.stack(low).sum(0), torch.stack(high).sum(0)]) / (steps or torch.nan)
    return Table(shares.float().unsqueeze(1), len(runs) > 1)


def retention_table(content: TensorRecord, law: MemoryLaw, memories: MemoryRecords, read: Read, sample: int) -> Table:
    """Mean survival by lag 0, 1 .. L - 1: of all units, then of each, (C + 1, 1, L).

    NaN where a sample is shorter than a lag. Where it would take too long, runs of timesteps and some of the numbers of
    each unit are looked at.
    """
    steps = size_of(content, "time")
    lags = lags_of(content)
    units = size_of(content, unit_dim(content.dims))
    length = min(steps, 2 * MAX_LAGS)
    count = max(1, RETENTION_CELLS // (length * lags * units))
    whole = steps * lags * units <= RETENTION_CELLS
    runs = [slice(0, steps)] if whole else _long_runs(steps, length, min(count, steps // length))
    total, weight = torch.zeros(lags, units, dtype=torch.float64), torch.zeros(lags, 1, dtype=torch.float64)
    thinned = False
    for run in runs:
        keep = kept(content, law, memories, read, sample, run)
        if not len(keep):
            continue
        keep = keep.flip(0) if runs_backwards(content) else keep
        keep = keep.reshape(len(keep), -1, units)  # (t, F, C)
        thin = -(-keep.numel() * lags * len(runs) // RETENTION_CELLS)
        thinned = thinned or thin > 1
        curve = retention(keep[:, ::thin], min(lags, len(keep)) - 1).curve.double()
        starts = len(keep) - torch.arange(len(curve), dtype=torch.float64).unsqueeze(1)
        total[: len(curve)] += curve * starts
        weight[: len(curve)] += starts
    curves = (total / weight.masked_fill(weight == 0, torch.nan)).T  # (C, L)
    return Table(torch.cat([curves.mean(0, keepdim=True), curves]).float().unsqueeze(1), not whole or thinned)


def lags_of(content: TensorRecord) -> int:
    """Columns of a retention page: lags 0, 1 ... within the steps recorded."""
    return min(size_of(content, "time"), MAX_LAGS)


def _long_runs(steps: int, length: int, count: int) -> list[slice]:
    starts = [number * (steps - length) // max(1, count - 1) for number in range(count)]
    return [slice(start, start + length) for start in starts]
