"""The memory card on matrices from keys to values, stored patterns of Hopfield layers, and the size of the state.

In: a Subject. Out: rows, or why there are none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..analysis import memory as measures
from ..capture.lazy import Index
from ..capture.memory_hopfield import HopfieldRecovery
from ..records import TensorRecord
from .memory_card_cache import MOST_OF, entries_for
from .memory_card_rows import Absent, Found, Subject, count_text, mean_text, number_text, row, spread_text
from .memory_maps import with_data
from .memory_plan import elements_per_step, size_of

CARRIED = (
    *("memory", "cell", "hidden", "state", "key", "value"),
    *("usage", "precedence", "link", "read_weights", "write_weights"),
)
"""Parts that one step hands to the next."""
PATTERNS = ("batch", "head", "slot", "width")


def matrix_rows(subject: Subject) -> Found:
    """Rank of the matrix that each head holds at the end, and crosstalk where keys and values are known."""
    content = subject.content
    beside = [] if content is None else [dim for dim in content.dims if dim not in ("batch", "time", "head")]
    if (
        content is None
        or content.kind not in ("state", "memory")
        or len(beside) != 2
        or {"slot", "query"} & set(beside)
    ):
        yield Absent("no rank and crosstalk of a matrix: this memory holds none")
        return
    if "time" not in content.dims:
        return
    steps = size_of(content, "time")
    held = subject.values([content], slice(steps - 1, steps))[0]  # (N, K, V) or (K, V)
    if "head" in content.dims:
        order = [dim for dim in content.dims if dim not in ("batch", "time")]
        held = held.movedim(order.index("head"), 0)
    matrices = held.reshape(-1, *held.shape[-2:])
    ranks = measures.effective_rank(matrices)
    if bool(ranks.isnan().all()):
        yield Absent("no rank of the matrix: it holds zeros after the last step")
        return
    mean, text = mean_text(ranks)
    size = f"{matrices.shape[-2]} x {matrices.shape[-1]}"
    n = f"{count_text(len(matrices), 'head')} of {size}, after the last step"
    yield row("rank of the matrix", text, number=mean, compare=f"at most {min(matrices.shape[-2:])}", n=n)
    yield from _crosstalk_rows(subject, matrices)


def _crosstalk_rows(subject: Subject, matrices: Tensor) -> Found:
    """``matrices`` (N, K, V) are read with keys."""
    parts = [records[0] for kind in ("key", "value") if (records := subject.part(kind))]
    if len(parts) < 2:
        yield Absent("no crosstalk: keys and values that were written are not recorded")
        return
    keys, values = (_by_head(subject, record) for record in parts)  # (N, T, K), (N, T, V)
    if keys.shape[-1] != matrices.shape[-2] or values.shape[-1] != matrices.shape[-1]:
        yield Absent("no crosstalk: the keys and values do not fit the matrix")
        return
    found = measures.matrix_crosstalk(matrices.mT, keys, values)
    mean, text = mean_text(torch.atleast_1d(found.mean))
    compare = f"random unit keys, each written once: {number_text(found.random_keys)}"
    yield row("crosstalk", text, number=mean, compare=compare, n=count_text(found.pairs, "pair"))


def _by_head(subject: Subject, record: TensorRecord) -> Tensor:
    """(N, T, D) of keys or values of one sample."""
    part = subject.values([record], slice(0, size_of(record, "time")))  # (T, N, D) or (T, D)
    return part.transpose(0, 1) if part.dim() == 3 else part.unsqueeze(0)


def pattern_rows(subject: Subject) -> Found:
    """Stored patterns of a Hopfield layer, and what its queries retrieve."""
    association = subject.beside("association")
    if not association:
        yield Absent("no retrieval: no stored patterns here")
        return
    shares = _last(subject, association[0])  # (N, Q, S)
    n = f"{count_text(shares.shape[0], 'head')}, {count_text(shares.shape[1], 'query')}"
    slots = shares.shape[-1]
    if slots > 1:
        mean, text = mean_text(measures.read_sharpness(shares.clamp(0, 1)))
        compare = "all patterns alike: 0; one pattern: 1"
        yield row("sharpness", text, name="sharpness of association", number=mean, compare=compare, n=n)
    mean, text = mean_text(entries_for(shares))
    compare = f"all alike: {math.ceil(MOST_OF * slots)} of {slots}"
    yield row("patterns in an answer", text, number=mean, compare=compare, n=n)
    stored = next((record for record in subject.beside("memory") if record.dims == PATTERNS), None)
    if stored is not None and stored.shape[2] > 1:
        patterns = _whole(subject, stored)
        yield from _stored_rows(patterns)
        yield from _energy_rows(subject, association[0], patterns)


def _energy_rows(subject: Subject, association: TensorRecord, patterns: Tensor) -> Found:
    """Energy of the state patterns where the inverse temperature is known; ``patterns`` (N, S, D)."""
    beta = _beta_of(subject, association)
    state = next((record for record in subject.beside("state") if "query" in record.dims), None)
    if beta is None or state is None or "time" not in state.dims:
        yield Absent("no energy: it takes an inverse temperature that is one number, and updates")
        return
    states = subject.values([state], slice(0, size_of(state, "time")))  # (T, N, Q, D)
    found = [measures.hopfield_energy(patterns[head], states[:, head], beta) for head in range(len(patterns))]
    before, after = (float(torch.stack(found)[:, step].mean()) for step in (0, -1))
    yield row(
        "energy",
        f"{number_text(before)} to {number_text(after)}",
        number=after,
        compare="updates never raise it",
        n=f"{count_text(len(patterns), 'head')}, {count_text(len(states) - 1, 'update')}, β = {number_text(beta)}",
    )


def _beta_of(subject: Subject, association: TensorRecord) -> float | None:
    recoveries = [value.recovery for value in subject.calls(association)]
    known = [each.scaling for each in recoveries if isinstance(each, HopfieldRecovery)]
    return known[0] if len(known) == 1 and known[0] else None


def _stored_rows(patterns: Tensor) -> Found:
    """Of stored patterns (N, S, D)."""
    apart = torch.cat([measures.hopfield_separation(each) for each in patterns])
    n = f"{count_text(len(patterns), 'head')}, {patterns.shape[1]} patterns of width {patterns.shape[2]}"
    told = int((apart > 0).sum())
    yield row(
        "separation",
        spread_text(apart, "").replace("  ", " ").strip(),
        number=float(apart.median()),
        compare="told apart: above 0",
        n=n,
        detail=f"{told} of {len(apart)} are above 0",
    )
    found = measures.coherence(patterns)
    if not bool(found.coherence.isnan().all()):
        mean, text = mean_text(found.coherence)
        bound = number_text(float(found.bound.max()))
        yield row("coherence", text, name="coherence of patterns", number=mean, compare=f"Welch bound: {bound}", n=n)


def size_rows(subject: Subject) -> Found:
    """Numbers and bytes that one sequence carries from step to step."""
    kept = {record.index: record for kind in CARRIED for record in subject.beside(kind)}
    if subject.beside("association") or not kept:
        kept = {record.index: record for record in subject.beside("memory")}
    if not kept:
        yield Absent("no state size: what is carried from step to step was not recorded")
        return
    elements, held_bytes = carried_size(list(kept.values()))
    yield row(
        "state size",
        f"{count_text(elements, 'number')}, {held_bytes:,} bytes",
        number=float(elements),
        n="one sequence",
        detail=", ".join(f"{record.kind} {_carried(record):,}" for record in kept.values()),
    )


def carried_size(records: Sequence[TensorRecord]) -> tuple[int, int]:
    """Numbers and bytes per sequence of parts that are carried from step to step: keys and values of all steps."""
    sizes = [(_carried(record), record.nbytes / max(1, math.prod(record.shape))) for record in records]
    return sum(count for count, _ in sizes), round(sum(count * each for count, each in sizes))


def _carried(record: TensorRecord) -> int:
    return elements_per_step(record) * (size_of(record, "time") if record.kind in ("key", "value") else 1)


def _whole(subject: Subject, record: TensorRecord) -> Tensor:
    """All of a record without a time axis at the sample, float64."""
    index: Index = tuple(
        subject.sample if dim == "batch" else slice(0, size)
        for dim, size in zip(record.dims, record.shape, strict=True)
    )
    values = subject.read(record)
    part = values.detach()[index] if isinstance(values, Tensor) else values.read(index)
    return part.to("cpu", torch.float64)


def _last(subject: Subject, record: TensorRecord) -> Tensor:
    """A part after its last step, without the time axis."""
    if "time" not in record.dims:
        return _whole(subject, record)
    steps = size_of(record, "time")
    part = subject.values([record], slice(0, steps))
    part = part[with_data(part)]
    return part[-1]
