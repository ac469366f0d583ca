"""The memories of a recording, as plain data for the browser: what they are made of and what can be shown of it.

In: records, layers, texts. Out: entries of the shape that frames.entries says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..cache.joined_attention import ALL_STEPS
from ..capture.memory import PINNED_KINDS
from ..records import TensorRecord
from .entries import LayerEntry, MemoryEntry
from .memory_entries import KEYS
from .memory_measures import lags_of
from .memory_plan import PINNED, READ_PHASES, MemoryRecords, form_of, plan_memory, read_phase, same_units, size_of
from .plan import Picture
from .token_places import Texts, TokenPlace

MAPS = ("wrote", "wrote_unit", "reads")
"""Maps of who wrote what."""

SHOWN_FIRST = (
    "memory", "cell", "state", "hidden", "key", "value", "association",
    "gate.i", "gate.f", "gate.g", "gate.o", "gate.r", "gate.z", "gate.n",
    "add", "erase", "write_weights", "read_weights", "read",
    "usage", "gate.write", "gate.allocation", "gate.free", "read_modes", "precedence", "link", "keep", "write",
)  # fmt: skip
"""Order of the parts of a memory; others follow in the order in which they were recorded."""

MOST_NOTES = 3
"""Notes of parts that are shown with a memory."""


@dataclass(frozen=True, slots=True)
class MemoryPictures:
    """What a part of a memory can show; see frames.entries.MemoryFrames."""

    time: Picture | None
    wrote: Picture | None
    wrote_unit: Picture | None
    reads: Picture | None
    saturation: bool
    lags: int
    entries: int

    def has_table(self, kind: str) -> bool:
        """Whether there is such a page of measures."""
        found = {"units": self.time, "saturation": self.saturation, "retention": self.lags, "entries": self.entries}
        return bool(found[kind])


NOTHING = MemoryPictures(None, None, None, None, saturation=False, lags=0, entries=0)


def memory_pictures(record: TensorRecord, memories: MemoryRecords) -> MemoryPictures:
    """What can be shown of a record that is a part of a memory."""
    if not record.available or 0 in record.shape:
        return NOTHING
    plan = plan_memory(record.dims, record.shape)
    law = memories.law(record) if plan.time is not None else None
    content = None if law is None else law[0]
    of_slots = content is not None and {"slot", "width"} == set(content.dims) - {"batch", "time"}
    read = record.kind == "read_weights" and set(record.dims) - {"batch", "time", "head"} == {"slot"}
    return MemoryPictures(
        time=plan.time,
        wrote=plan.wrote if content is not None else None,
        wrote_unit=plan.wrote_unit if content is not None and same_units(record, content) else None,
        reads=plan.reads if of_slots and read and read_phase(record) else None,
        saturation=plan.time is not None and record.kind in PINNED_KINDS,
        lags=lags_of(record) if content is not None and content.index == record.index else 0,
        entries=size_of(record, "head") if record.kind == "key" and record.dims == KEYS else 0,
    )


def memory_entries(
    records: Sequence[TensorRecord], layers: Sequence[LayerEntry], memories: MemoryRecords
) -> list[MemoryEntry]:
    """An entry per memory, in the order of their first part."""
    places = {(layer["path"], layer["kind"], layer["item"]): place for place, layer in enumerate(layers)}
    return [_memory_entry(label, parts, places, memories) for label, parts in memories.by_label.items()]


def pinned_range(record: TensorRecord, records: Sequence[TensorRecord]) -> list[float] | None:
    """0..1 for weights and gates, unless a value is known that is beyond it, as of exponential gates."""
    if record.kind not in PINNED:
        return None
    stats = [records[index].stats for index in (record.index, *record.parts)]
    ends = [end for each in stats if each is not None for end in (each.min, each.max) if end is not None]
    inside = all(-1e-3 <= end <= 1 + 1e-3 for end in ends if math.isfinite(end))
    return [0.0, 1.0] if inside else None


def time_tokens(record: TensorRecord, texts: Texts) -> TokenPlace:
    """Texts along the time of a part: the first sequence with as many, else the first with more."""
    steps = plan_memory(record.dims, record.shape).steps
    batch = size_of(record, "batch")
    lengths = [len(rows[0]) if rows and len(rows) in (1, batch) else -1 for rows in texts]
    for fits in ([length == steps for length in lengths], [length > steps for length in lengths]):
        if steps and True in fits:
            return TokenPlace(fits.index(True))
    return TokenPlace()


def _notes(parts: Sequence[TensorRecord]) -> str:
    """What the parts say, each sentence once, with the part where only one says it; without the phase of reads."""
    said: dict[str, set[str]] = {}
    for part in parts:
        for sentence in filter(None, part.note.split("; ")):
            if sentence not in READ_PHASES.values():
                said.setdefault(sentence, set()).add(part.kind)
    notes = [
        f"{kinds.pop().replace('_', ' ')}: {sentence}" if len(kinds) == 1 else sentence
        for sentence, kinds in said.items()
    ]
    return "; ".join(notes[:MOST_NOTES])


def _memory_entry(
    label: str,
    parts: Sequence[TensorRecord],
    places: dict[tuple[str, str, str], int],
    memories: MemoryRecords,
) -> MemoryEntry:
    def place(record: TensorRecord) -> int:
        return places[record.path, record.kind, record.item]

    content = next((found for part in parts if (found := memories.content(part)) is not None), None)
    law = next((said[1] for part in parts if (said := memories.law(part)) is not None), None)
    kinds = [part.kind for part in parts]
    form = form_of(kinds, content)
    ordered = sorted(parts, key=lambda part: SHOWN_FIRST.index(part.kind) if part.kind in SHOWN_FIRST else 99)
    here = {item: at for (path, kind, item), at in places.items() if kind == "attention" and path == parts[0].path}
    attended = [here[item] for item in sorted(here, key=lambda item: ALL_STEPS not in item)]
    return {
        "label": label,
        "form": form,
        "layers": list(dict.fromkeys(map(place, ordered))),
        "content": -1 if content is None else place(content),
        "attention": attended[0] if attended and form == "kv" else -1,
        "phase": next((phase for part in parts if part.kind == "read_weights" and (phase := read_phase(part))), ""),
        "law": law.text if law else "",
        "note": _notes(parts),
    }
