"""The memory card on memories of slots: which are used, how sharply, and what a write destroys.

In: a Subject. Out: rows, or why there are none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..analysis import memory as measures
from ..analysis.memory_law import kept_part
from ..records import TensorRecord
from .memory_card_rows import Absent, Found, Subject, count_text, mean_text, number_text, row, runs_at_most, steps_text
from .memory_maps import with_data
from .memory_plan import elements_per_step, size_of

SLOT_CELLS = 2**22
"""Most numbers of a part that a measure looks at, some 0.1 s."""
VERBS = {"read_weights": "read", "write_weights": "written"}
SLOTS = {"slot", "width"}


def addressing_rows(subject: Subject) -> Found:
    """How many slots are read and written, and how sharply."""
    parts = {kind: found for kind in VERBS if (found := subject.part(kind)) and "time" in found[0].dims}
    if not parts:
        yield Absent("no slots here: no usage, sharpness, overwriting or likeness of slots")
    for kind, records in parts.items():
        weights, looked_at = _over_time(subject, records)  # (t, N, S)
        heads, slots = weights.shape[-2:]
        n = f"{steps_text(looked_at, size_of(records[0], 'time'))}, {count_text(heads, 'head')}"
        usage = measures.slot_usage(weights)
        if math.isnan(usage.kl):
            yield Absent(f"no usage and sharpness of slots {VERBS[kind]}: all weights are 0")
            continue
        effective = slots * math.exp(-usage.kl)
        strongest = int(usage.mass.argmax())
        yield row(
            "slots in use",
            f"{number_text(effective)} of {slots}",
            name=f"slots {VERBS[kind]}",
            number=effective,
            compare=f"all alike: {slots}; one slot: 1",
            n=n,
            detail=f"{usage.used} with any weight; slot {strongest} has {number_text(float(usage.mass[strongest]))} of "
            f"{number_text(float(usage.mass.sum()))}",
        )
        if slots > 1:
            mean, text = mean_text(measures.read_sharpness(weights))
            name = f"{'read' if kind == 'read_weights' else 'write'} sharpness"
            yield row("sharpness", text, name=name, number=mean, compare="all slots alike: 0; one slot: 1", n=n)


def overwriting_rows(subject: Subject) -> Found:
    """What part of the memory each step erases, and how much of a write goes to slots in use."""
    law = subject.memories.law(subject.record)
    if law is not None and set(law[0].dims) - {"batch", "time"} == SLOTS and size_of(law[0], "time") > 1:
        content = law[0]
        found, first = [], []
        for run in runs_at_most(content, SLOT_CELLS, elements_per_step(content)):
            parts = {kind: subject.values(subject.memories.parts(content, kind), run) for kind in law[1].keep}
            held = subject.values([content], run)
            found.append(_erased(held, kept_part(parts).expand(held.shape)))
            first.append(run.start + 1)
        erased = torch.cat(found)
        worst = int(erased.argmax())
        mean, text = mean_text(erased)
        step = worst + 1 if len(found) == 1 else _place(worst, found, first)
        yield row(
            "erased mass",
            text,
            number=mean,
            compare="nothing: 0; a full overwrite: 1",
            n=steps_text(len(erased), size_of(content, "time") - 1),
            detail=f"most of it at step {step}: {number_text(float(erased[worst]))}",
        )
    usage, weights = subject.part("usage"), subject.part("write_weights")
    if usage and weights and size_of(usage[0], "time") > 1:
        in_use, looked_at = _over_time(subject, usage)  # (t, S)
        written, _ = _over_time(subject, weights)  # (t, N, S)
        overlap = measures.write_overlap(written[1:], in_use[:-1].unsqueeze(1).expand(written[1:].shape))
        mean, text = mean_text(overlap)
        n = steps_text(looked_at - 1, size_of(usage[0], "time") - 1)
        yield row("write overlap", text, number=mean, compare="only free slots: 0; only slots in use: 1", n=n)


def _erased(held: Tensor, keep: Tensor) -> Tensor:
    """Erased mass of the steps but the first, (t - 1,): every number of the memory counts as a slot of its own."""
    before, gone = held[:-1].flatten(1), (1 - keep[1:].flatten(1)).clamp(0, 1)
    return measures.erased_mass(before.unsqueeze(-1), gone, torch.ones_like(before[:, :1]))


def _place(worst: int, found: list[Tensor], first: list[int]) -> int:
    """The step of a position in several runs put together."""
    for part, start in zip(found, first, strict=True):
        if worst < len(part):
            return start + worst
        worst -= len(part)
    return first[-1]


def likeness_rows(subject: Subject) -> Found:
    """How alike the two most alike slots are after the last step."""
    content = subject.content
    if content is None or set(content.dims) - {"batch", "time"} != SLOTS:
        return
    steps = size_of(content, "time")
    held = subject.values([content], slice(0, steps))
    held = held[with_data(held)]
    if not len(held):
        return
    found = measures.coherence(held[-1])
    occupied, width = int(found.occupied), content.shape[-1]
    if occupied < 2:
        yield Absent(f"no coherence: {count_text(occupied, 'slot')} of {content.shape[-2]} hold anything at the end")
        return
    yield row(
        "coherence",
        number_text(float(found.coherence)),
        name="coherence of slots",
        number=float(found.coherence),
        compare=f"Welch bound: {number_text(float(found.bound))}",
        n=f"{occupied} slots of width {width}, after the last step",
    )


def _over_time(subject: Subject, records: list[TensorRecord]) -> tuple[Tensor, int]:
    """Steps with data of a part (t, ...), and their number, in as many as may be looked at."""
    per_step = sum(elements_per_step(record) for record in records)
    runs = runs_at_most(records[0], SLOT_CELLS, per_step)
    found = []
    for run in runs:
        part = subject.values(records, run)
        found.append(part[with_data(part)])
    values = torch.cat(found)
    steps = size_of(records[0], "time")
    return values, len(values) if len(runs) > 1 else steps
