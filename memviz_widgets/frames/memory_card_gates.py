"""The memory card on how long a memory keeps: time constants, half-lives, retention, gates at their ends.

In: a Subject. Out: rows, or why there are none.
"""

from __future__ import annotations

import math

import torch

from ..capture.memory import PINNED_KINDS
from .memory_card_rows import (
    Absent,
    Found,
    Subject,
    count_text,
    median,
    number_text,
    row,
    share_text,
    spread_text,
    steps_text,
)
from .memory_measures import lags_of, retention_table, saturation_table
from .memory_orders import runs_of, steps_at_most, unit_constants
from .memory_plan import size_of, unit_dim

EVEN_GATE = 1 / math.log(2)
"""Time constant, in steps, of a gate of 0.5, which an untrained LSTM is near."""


def keeping_rows(subject: Subject) -> Found:
    """Time constant and half-life over the units, and the retention horizon of their mean."""
    law = subject.memories.law(subject.record)
    if law is None or size_of(law[0], "time") < 2:
        yield Absent(_no_law(subject))
        return
    content = law[0]
    constants, sampled = unit_constants(*law, subject.memories, subject.read, subject.sample)
    steps = size_of(content, "time")
    looked_at = sum(run.stop - run.start for run in runs_of(steps, steps_at_most(content))) if sampled else steps
    n = f"{count_text(len(constants), 'unit')}, {steps_text(looked_at, steps)}"
    if bool(constants.isnan().all()):
        yield Absent("no time constants: something is kept less than not at all, or more than fully")
    else:
        half = math.log(2) * constants
        remark = content.note if "keep" in content.note else ""
        yield row(
            "time constant",
            spread_text(constants, "steps"),
            number=median(constants),
            compare=f"a gate of 0.5: {EVEN_GATE:.3g} steps",
            n=n,
            detail=remark,
        )
        yield row(
            "half-life",
            spread_text(half, "steps"),
            number=median(half),
            compare="a gate of 0.5: 1 step",
            n=n,
        )
    yield from _retention_rows(subject)


def _retention_rows(subject: Subject) -> Found:
    law = subject.memories.law(subject.record)
    assert law is not None
    content = law[0]
    table = retention_table(*law, subject.memories, subject.read, subject.sample)
    curves = table.numbers[:, 0].double()  # (C + 1, L), the first row is the mean
    lags = int((~curves[0].isnan()).sum()) - 1
    below = curves < 1 / math.e
    horizons = below.to(torch.int64).argmax(1).double().masked_fill(~below.any(1), math.nan)
    mean = float(horizons[0])
    text = count_text(round(mean), "step") if not math.isnan(mean) else f"above 1/e up to lag {lags}"
    fallen = int((~horizons[1:].isnan()).sum())
    units = f"{fallen} of {len(horizons) - 1} {unit_dim(content.dims) or 'unit'}s fall below 1/e"
    yield row(
        "retention horizon",
        text,
        number=mean,
        compare=f"recorded up to lag {lags}" if lags_of(content) == size_of(content, "time") else f"lags up to {lags}",
        n=f"{count_text(len(horizons) - 1, 'unit')}, {count_text(lags + 1, 'lag')}",
        detail=f"{units}; at lag {lags} {number_text(float(curves[0, lags]))} is left on average"
        + ("; some of the steps were looked at" if table.sampled else ""),
    )


def saturation_rows(subject: Subject) -> Found:
    """How often each gate is shut or open."""
    gates = [gate for kind in PINNED_KINDS for gate in subject.part(kind) if size_of(gate, "time") > 1]
    if not gates:
        yield Absent("no saturation: no gates here")
    for gate in gates:
        table = saturation_table(gate, subject.read, subject.sample)
        shut, opened = (float(share) for share in table.numbers[:, 0].double().nanmean(-1))
        steps = size_of(gate, "time")
        yield row(
            "saturation",
            f"{share_text(shut)} shut, {share_text(opened)} open",
            name=f"saturation of {gate.kind}",
            number=shut + opened,
            compare="0 %: never at an end",
            n=f"{count_text(table.numbers.shape[-1], 'unit')}, "
            + (count_text(steps, "step") if not table.sampled else f"some of {steps:,} steps"),
        )


def _no_law(subject: Subject) -> str:
    if subject.content is None:
        return "no time constants and no retention: what the memory holds was not recorded"
    if size_of(subject.content, "time") < 2:
        return "no time constants and no retention: fewer than two steps were recorded"
    if subject.content.kind == "key":
        return "no time constants and no retention: a KV cache keeps its entries as they are"
    return "no time constants and no retention: no gate says what a step keeps"
