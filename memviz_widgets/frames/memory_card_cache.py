"""The memory card on KV caches: how few entries get most of the attention, beside uniform attention.

In: a Subject. Out: rows, or why there are none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..analysis import memory as measures
from ..cache.joined_attention import WEIGHTS
from ..errors import WeightsError
from ..records import TensorRecord
from .attention_plan import is_attention
from .entries import CardRow
from .memory_card_rows import Absent, Found, Subject, count_text, mean_text, number_text, row, share_text
from .memory_entries import ATTENDED_CELLS, ENTRY_MEASURES, KEYS, attention_of, entries_table
from .memory_plan import size_of

MOST_OF = 0.9
"""The part of the attention whose entries are counted."""
WINDOW = 64
"""Most of the last queries that SnapKV looks at, as in the paper; of a short text a quarter."""


def cache_rows(subject: Subject) -> Found:
    """Entries that take 90 % of the attention, by H2O and SnapKV, and the share of the first one."""
    key = subject.content
    if key is None or key.kind != "key" or key.dims != KEYS:
        yield Absent("no KV cache here: no H2O, SnapKV and sink share")
        return
    attended = attention_of(key, subject.records)
    if not attended:
        yield Absent("no H2O, SnapKV and sink share: the attention that reads this cache was not recorded")
        return
    table = entries_table(key, subject.records, subject.memories, subject.read, subject.sample)
    received, uniform = (table.numbers[ENTRY_MEASURES.index(name)].double() for name in _RECEIVED)
    if bool(received.isnan().all()):
        yield Absent(f"no H2O, SnapKV and sink share: {_cells(attended):,} weights are too many to be summed")
        return
    heads, entries = received.shape
    queries = sum(size_of(each, "query") for each in attended)
    n = f"{count_text(entries, 'entry')}, {count_text(heads, 'head')}, {count_text(queries, 'query')}"
    yield _counted("H2O", received, uniform, entries, n)
    yield from _snapkv_rows(subject, key, attended)
    mean, text = mean_text(received[:, 0] / received.sum(-1))
    even = float(uniform[0, 0] / uniform[0].sum())
    yield row("sink share", text, number=mean, compare=f"uniform: {share_text(even)}", n=n)


_RECEIVED = ("attention received", "uniform baseline")


def _snapkv_rows(subject: Subject, key: TensorRecord, attended: list[TensorRecord]) -> Found:
    """Of the attention as one map: that of a single call, or joined over the calls."""
    record = _as_one(subject, attended)
    if record is None:
        yield Absent("no SnapKV: the attention of several calls is not one map")
        return
    queries, keys = record.shape[-2:]
    if keys < 4 or queries < 2:
        yield Absent(
            f"no SnapKV: {count_text(queries, 'query').replace('querys', 'queries')} and {keys} keys are too few"
        )
        return
    index = (subject.sample, slice(0, record.shape[1]), slice(0, queries), slice(0, keys))
    values = subject.read(record)
    weights = values.detach()[index] if isinstance(values, Tensor) else values.read(index)
    window = min(WINDOW, max(1, min(queries, keys) // 4))
    found = _importance(weights, size_of(key, "head"), window)
    score, uniform = found.score[:, :-window].double(), found.baseline[:-window].double().unsqueeze(0)
    n = f"{keys - window} entries before the last {window}, {count_text(len(score), 'head')}"
    yield _counted("SnapKV", score, uniform, score.shape[-1], n)


def _importance(weights: Tensor, heads: int, window: int) -> measures.KeyImportance:
    """SnapKV of attention that is causal, or else in both directions."""
    try:
        return measures.snapkv_importance(weights, heads, window=window)
    except WeightsError:
        return measures.snapkv_importance(weights, heads, window=window, causal=False)


def _as_one(subject: Subject, attended: list[TensorRecord]) -> TensorRecord | None:
    if len(attended) == 1:
        return attended[0]
    parts = {record.index for record in attended}
    joined = (each for each in subject.records if each.parts and is_attention(each) and set(each.parts) == parts)
    return next((each for each in joined if each.dims == WEIGHTS and _cells([each]) <= ATTENDED_CELLS), None)


def _counted(measure: str, mass: Tensor, uniform: Tensor, entries: int, n: str) -> CardRow:
    counts = entries_for(mass)
    mean, text = mean_text(counts)
    even = float(entries_for(uniform).mean())
    return row(
        measure,
        f"{text} of {entries} entries",
        name=f"entries with {MOST_OF:.0%} of the attention ({measure})".replace("%", " %"),
        number=mean,
        compare=f"uniform: {number_text(even)}",
        n=n,
    )


def entries_for(mass: Tensor, part: float = MOST_OF) -> Tensor:
    """How many entries, the largest first, have a part of the mass of their row: (..., K) to (...); NaN for no mass."""
    falling = mass.double().sort(-1, descending=True).values
    whole = falling.sum(-1, keepdim=True)
    reached = falling.cumsum(-1) >= part * whole - 1e-9 * whole
    counts: Tensor = reached.to(torch.int64).argmax(-1).double() + 1
    return counts.masked_fill(whole.squeeze(-1) == 0, torch.nan)


def _cells(records: list[TensorRecord]) -> int:
    return sum(size_of(each, "head") * size_of(each, "query") * size_of(each, "key") for each in records)
