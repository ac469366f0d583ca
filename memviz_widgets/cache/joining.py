"""What was recorded step by step, as records over all steps: parts of memories, hops, attention of a generation.

In: drafts and records of one recording. Out: the records with the joined ones behind them, and values of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..capture import LazyValue
from ..records import Draft, TensorRecord
from .joined import Read, hop_records, joined_parts, joined_records, joined_stats
from .joined_attention import joined_attention, joined_attentions


def with_joined(drafts: Sequence[Draft], records: tuple[TensorRecord, ...], first: int = 0) -> tuple[TensorRecord, ...]:
    """The records, and after them those that join several; ``first``: index from which on they are joined."""
    records += tuple(joined_records(drafts, records))
    records += tuple(hop_records(records, first))
    return records + tuple(joined_attentions(records, first))


def joined_value(record: TensorRecord, records: Sequence[TensorRecord], of: Read) -> LazyValue:
    """The value of a joined record; ``of`` reads the value of one that it joins."""
    parts = [records[index] for index in record.parts]
    return joined_attention(record, parts, of) if record.kind == "attention" else joined_parts(record, parts, of)


def rejoined(record: TensorRecord, index: int, parts: Sequence[TensorRecord]) -> TensorRecord:
    """A record that joins others over time, for parts of other sizes than it had: those of several ranks together."""
    first = parts[0]
    over = {"time", "slot"} if first.kind == "attention" else {"time"}
    over = {"query", "key"} if record.kind == "attention" else over
    sizes = {dim: size for dim, size in zip(first.dims, first.shape, strict=True) if dim not in over}
    kept = all(part.kept for part in parts)
    return replace(
        record,
        index=index,
        shape=tuple(sizes.get(dim, size) for dim, size in zip(record.dims, record.shape, strict=True)),
        dtype=first.dtype,
        nbytes=sum(part.nbytes for part in parts),
        stats=None if record.stats is None else joined_stats([part.stats for part in parts]),
        kept=kept,
        on_demand=not kept and all(part.available for part in parts),
        note="; ".join(filter(None, dict.fromkeys(part.note for part in parts))),
        parts=tuple(part.index for part in parts),
        placement=None,
        rank=first.rank,
    )


def memories_of(records: Sequence[TensorRecord]) -> dict[str, tuple[TensorRecord, ...]]:
    """Label of a memory -> records of its parts; of those that were joined, the whole."""
    hidden = {index for record in records for index in record.parts}
    found: dict[str, list[TensorRecord]] = {}
    for record in records:
        if record.memory and record.index not in hidden:
            found.setdefault(record.memory, []).append(record)
    return {label: tuple(parts) for label, parts in found.items()}
