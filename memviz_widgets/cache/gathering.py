"""Gathering: what several ranks recorded, brought to rank 0 at the end of a capture. Every rank takes part.

In: the cache of this rank. Out: on rank 0 the capture of all ranks, in memory; elsewhere nothing. Values travel as they
are saved, in pieces of at most PIECE_BYTES, from one rank after the other; on rank 0 they stay within its budget.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..capture import RecoveredValue, Trace
from ..records import TensorRecord
from .budget import budget_text, format_bytes
from .gathering_parts import Keeper, Line, Sender
from .joined_ranks import JoinedRanks
from .launch import part_of, process_group
from .saving import Saving
from .store_format_ranks import RankPart
from .values import ValueStore

if TYPE_CHECKING:
    from .recorded_cache import RecordedCache

Offer = list[tuple[list[Any], dict[str, int]]]
"""Name of a record, and the bytes of each value that it needs by a name of the value; several records may share one."""


def gathered(cache: RecordedCache, store: ValueStore, trace: Trace) -> JoinedRanks | None:
    """The capture of all ranks, on rank 0; None on the others, and where there is no process group of several.

    Only values that are held travel: nothing is computed again. Attention travels as query and key.

    Raises:
        GatherError: when a rank does not come within the timeout of the process group, or is gone.
    """
    part = part_of() if process_group() is not None else None
    if part is None:
        return None
    line = Line(process_group())
    offer = _offer(cache, store)
    if part.rank:
        line.send(0, json.dumps(offer).encode())
        answer = json.loads(line.receive(0))
        _write(cache, store, trace, Sender(line), part, offer, answer["chosen"], answer["budget"])
        line.receive(0)  # who leaves before rank 0 has read everything takes the rest along
        return None
    offers = {0: offer, **{rank: json.loads(line.receive(rank)) for rank in range(1, part.world_size)}}
    names, wanted = _chosen(offers, store.budget_bytes)
    limit = f"{format_bytes(store.budget_bytes)}; capture with budget={budget_text(wanted)!r} on rank 0 to have it"
    answer = json.dumps({"chosen": names, "budget": limit}).encode()
    for rank in range(1, part.world_size):
        line.send(rank, answer)
    keeper = Keeper()
    _write(cache, store, trace, keeper, part, offer, names, limit)
    parts = {0: keeper}
    for rank in range(1, part.world_size):
        parts[rank] = _received(line, rank)
        line.send(rank, b"")
    return JoinedRanks({rank: each.opened(rank, store.budget_bytes) for rank, each in parts.items()}, part.world_size)


def _write(
    cache: RecordedCache,
    store: ValueStore,
    trace: Trace,
    writer: Sender | Keeper,
    part: RankPart,
    offer: Offer,
    names: Sequence[Sequence[Any]],
    limit: str,
) -> None:
    """Write this rank's part, of the values only those that it offered and that were chosen."""
    offered, chosen = {tuple(name) for name, _ in offer}, {tuple(name) for name in names}
    left_out = {}
    for record in cache.records:
        name = tuple(_name(record))
        if record.parts or not record.available or (name in offered and name in chosen):
            continue
        why = f"over the budget of {limit}" if name in offered else f"rank {part.rank} does not hold its values"
        left_out[record.index] = f"not gathered: {why}"
    index = Saving(cache, store, trace, writer, held_only=True, part=part, left_out=left_out).run()
    writer.finish(index.as_json(), overwrite=False)


def _name(record: TensorRecord) -> list[Any]:
    return [record.path, record.call, record.kind, record.item, record.step, record.memory]


def _offer(cache: RecordedCache, store: ValueStore) -> Offer:
    """What this rank holds."""
    found: Offer = []
    for record in cache.records:
        entry = store.entry(record.index)
        if record.parts or entry is None or not entry.stored:
            continue
        if isinstance(entry.derived, RecoveredValue):
            needed = {f"recovered {record.index}": record.nbytes}
        else:
            needed = {str(id(part)): part.nbytes for part in entry.parts.values()}
        found.append((_name(record), needed))
    return found


def _chosen(offers: Mapping[int, Offer], budget_bytes: int) -> tuple[list[list[Any]], int]:
    """Names of the records of which all ranks' values fit into the budget, the first ones first; bytes of all."""
    needs: dict[tuple[Any, ...], dict[tuple[int, str], int]] = {}
    for rank, offer in offers.items():
        for name, values in offer:
            needs.setdefault(tuple(name), {}).update({(rank, value): nbytes for value, nbytes in values.items()})
    taken: set[tuple[int, str]] = set()
    chosen, total = [], 0
    for place, needed in needs.items():
        new = {value: nbytes for value, nbytes in needed.items() if value not in taken}
        if total + sum(new.values()) <= budget_bytes:
            total += sum(new.values())
            taken |= new.keys()
            chosen.append(list(place))
    everything = {value: nbytes for needed in needs.values() for value, nbytes in needed.items()}
    return chosen, sum(everything.values())


def _received(line: Line, rank: int) -> Keeper:
    """All that a rank sends."""
    keeper = Keeper()
    while data := line.receive(rank):
        keeper.take(data)
    keeper.finish(line.receive(rank), overwrite=False)
    return keeper
