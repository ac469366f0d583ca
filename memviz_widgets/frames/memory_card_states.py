"""The memory card on what the states carry: their directions, past input read from them, and gradients to it.

In: a Subject. Out: rows, or why there are none.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from ..analysis import memory as measures
from ..capture import LayerRun
from ..errors import MeasureError
from ..records import TensorRecord
from .memory_card_rows import (
    Absent,
    Found,
    Offer,
    Subject,
    count_text,
    number_text,
    row,
    runs_at_most,
    steps_text,
)
from .memory_maps import read_part, with_data
from .memory_plan import elements_per_step, size_of

SPECTRUM_CELLS = 2**21
"""Most numbers of states whose directions are counted, some 0.2 s."""
SPECTRUM_STEPS = 1024
"""Most steps of them."""
CAPACITY_CELLS = 2**23
"""Most numbers of states of a linear capacity, some 0.5 s: the last steps."""
SHOWN_DELAYS = 6
"""Delays whose capacities are told one by one."""

QUICK_S = 0.5
"""A measure that takes longer waits to be asked for, since the kernel does nothing else meanwhile."""
TRIAL_STEPS = 16
"""Steps whose gradients are taken to know the price of all."""
PROBES = 8
"""Random directions of a gradient horizon: as many backward passes."""


def spread_rows(subject: Subject) -> Found:
    """Effective rank and participation ratio of the states of a run."""
    states = [record for record in _states(subject) if size_of(record, "time") > 1]
    if not states:
        yield Absent("no effective rank over time: there are no states of two steps or more")
    for record in states:
        numbers, steps = _numbers(subject, record)
        if len(numbers) < 2:
            continue
        name = f" of {record.kind}" + (f" {record.item}" if len(states) > 2 and record.item else "")
        samples, units = numbers.shape
        n = f"{steps_text(samples, steps)}, {count_text(units, 'number')} each"
        rank = float(measures.effective_rank(numbers))
        if not math.isnan(rank):
            yield row(
                "effective rank",
                number_text(rank),
                name=f"effective rank{name}",
                number=rank,
                compare=f"at most {min(samples, units)}",
                n=n,
            )
        ratio = measures.participation_ratio(numbers)
        if not math.isnan(float(ratio.ratio)):
            yield row(
                "participation ratio",
                number_text(float(ratio.ratio)),
                name=f"participation ratio{name}",
                number=float(ratio.ratio),
                compare=f"noise: {number_text(ratio.isotropic)}",
                n=n,
            )
        if math.isnan(rank):
            yield Absent(f"no effective rank{name}: it stays 0")


def _states(subject: Subject) -> list[TensorRecord]:
    """The content over time, and beside a cell the hidden state; of slots the memory as one vector."""
    if subject.content is None or subject.content.kind in ("key", "association") or "query" in subject.content.dims:
        return []
    kinds = ("cell", "hidden") if subject.content.kind == "cell" else (subject.content.kind,)
    return [record for kind in kinds for record in subject.part(kind)]


def _numbers(subject: Subject, record: TensorRecord) -> tuple[Tensor, int]:
    """Steps with data (t, N), float64, and how many there are in all; complex numbers are two."""
    width = elements_per_step(record)
    most = min(SPECTRUM_CELLS, SPECTRUM_STEPS * width)
    found = []
    for run in runs_at_most(record, most, width):
        part = read_part([record], subject.read, subject.sample, run)
        part = torch.view_as_real(part) if part.is_complex() else part
        found.append(part[with_data(part)].to("cpu", torch.float64).flatten(1))
    numbers = torch.cat(found)
    steps = size_of(record, "time")
    return numbers, steps if len(found) > 1 else len(numbers)


def capacity_rows(subject: Subject) -> Found:
    """How many steps of the input a linear readout of the states knows."""
    run = subject.run
    if isinstance(run, str):
        yield Absent(f"no linear memory capacity: {run}")
        return
    if run.source.shape[1] != 1:
        yield Absent(
            f"no linear memory capacity: the input of this layer has {run.source.shape[1]} numbers per step; it takes "
            "one. Drive the model with random numbers, one per step"
        )
        return
    states = _states(subject)[0]
    last = max(64, CAPACITY_CELLS // elements_per_step(states))
    numbers = subject.values([states], slice(0, size_of(states, "time"))).flatten(1)
    numbers = numbers[with_data(numbers)]
    numbers = numbers.flip(0) if states.item.endswith("_reverse") else numbers
    try:
        found = measures.linear_capacity(numbers[-last:], run.source[-last:, 0].double().cpu())
    except MeasureError as error:
        yield Absent(f"no linear memory capacity: {str(error).rstrip('.')}")
        return
    first = ", ".join(f"{delay}: {share:.2f}" for delay, share in enumerate(found.capacity[:SHOWN_DELAYS].tolist()))
    yield row(
        "linear memory capacity",
        f"{number_text(found.total_above_floor)} steps",
        number=found.total_above_floor,
        compare=f"at most {found.rank}; chance {number_text(found.floor)} per delay, taken off",
        n=f"{found.train:,} steps to fit, {found.test:,} to measure",
        detail=f"by delay {first} ...; delays up to {len(found.capacity) - 1}; with chance {number_text(found.total)}",
    )


def gradient_rows(subject: Subject) -> Found:
    """How far back the last hidden state depends on the input of the layer."""
    run = subject.run
    if isinstance(run, str):
        yield Absent(f"no gradient horizon: {run}")
        return
    if len(run.inputs) < 2:
        yield Absent("no gradient horizon: fewer than two steps were recorded")
        return
    price = 0.0 if subject.patient else price_s(run)
    if price > QUICK_S:
        yield Offer(f"gradient horizon (about {price:.2g} s)")
        return
    found = measures.gradient_horizon(run.hidden, run.inputs, probes=PROBES)
    lags, largest = len(found.norms) - 1, float(found.norms.max())
    n = f"{found.probes} directions, {count_text(lags + 1, 'lag')}"
    if not largest:
        yield Absent("no gradient horizon: the last state does not depend on any input")
        return
    peak = int(found.norms.argmax())
    detail = f"largest at lag {peak}: {number_text(largest)}; at lag {lags}: {number_text(float(found.norms[-1]))}"
    for name, horizon in (("1/e", found.horizon), ("1 %", found.far_horizon)):
        known = not math.isnan(horizon)
        yield row(
            "gradient horizon",
            count_text(round(horizon), "step") if known else f"above {name} up to lag {lags}",
            name=f"gradient horizon ({name})",
            number=horizon if known else None,
            compare=f"recorded up to lag {lags}",
            n=n,
            detail=detail,
        )


def price_s(run: LayerRun) -> float:
    """About how long the gradient horizon of a run takes, in seconds: from that of its first steps; 0 for few steps."""
    if len(run.inputs) <= TRIAL_STEPS:
        return 0.0
    taken = []
    for _ in range(2):  # the first gradient of a process takes longer than all that follow
        begun = time.perf_counter()
        measures.gradient_horizon(run.hidden, run.inputs[:TRIAL_STEPS], probes=1)
        taken.append(time.perf_counter() - begun)
    # A backward pass takes about two forward passes: 1 + 2 of them were timed, 1 + 2 PROBES are to come.
    return min(taken) * len(run.inputs) / TRIAL_STEPS * (1 + 2 * PROBES) / 3
