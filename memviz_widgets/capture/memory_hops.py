"""Reads in a row: attentions with one query that ask the same memory again and again, as memory networks do in hops.

In: the records of one recording. Out: groups of them, each the reads of one step in order. Pure: no tensor is read.
A text model that generates with a cache has one query per layer, too; its steps are told by keys that grow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..records import TensorRecord

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


def hop_groups(records: Sequence[TensorRecord]) -> list[tuple[str, tuple[int, ...]]]:
    """Attentions (B, N, 1, K) that follow on each other in one module, its calls, or its repeated blocks.

    Args:
        records: All records of a recording, parts of memories among them.

    Returns:
        (label, indices of at least two records in order) per step and place: ("hops.* reads", (3, 7, 11)). "*" stands
        for the number of a block. Empty where nothing reads that way, and for steps of a text that is generated.
    """
    attentions = [
        record for record in records if record.kind == "attention" and len(record.shape) == 4 and not record.parts
    ]
    generating = _generating(records, attentions)
    places: dict[tuple[int, str], list[TensorRecord]] = {}
    addressing = {record.path for record in records if record.kind == "read_weights" and not record.parts}
    for record in attentions:
        # What a memory module softmaxes inside itself (the read modes of a DNC) chooses how to read, not what.
        if record.step not in generating and record.path not in addressing:
            places.setdefault((record.step, _NUMBER.sub("*", record.path)), []).append(record)
    found: list[tuple[str, tuple[int, ...]]] = []
    for (_, place), members in places.items():
        # One shape at a place: keys that grow within a step are a cache that the model fills in a loop of its own.
        if len(members) > 1 and len({record.shape for record in members}) == 1 and _asks(members[0]):
            paths = {record.path for record in members}
            name = (members[0].path if len(paths) == 1 else place) or "(model)"
            found.append((f"{name} reads", tuple(record.index for record in members)))
    return found


def _asks(record: TensorRecord) -> bool:
    """Whether one query has a choice."""
    return record.shape[2] == 1 and record.shape[3] > 1


def _generating(records: Sequence[TensorRecord], attentions: Sequence[TensorRecord]) -> set[int]:
    """Steps that each add one entry to a cache, or ask one query where an earlier step asked several."""
    steps = {
        record.step
        for record in records
        if record.kind == "key" and record.memory and not record.parts and _steps_in(record) == 1
    }
    several: set[tuple[str, str, int]] = set()
    before: dict[tuple[str, str, int], TensorRecord] = {}
    for record in attentions:
        place = (record.path, record.item, record.call)
        last = before.get(place)
        if record.shape[2] > 1:
            several.add(place)
        elif last is not None and last.step != record.step:
            if place in several:
                steps.add(record.step)
            elif record.shape[3] == last.shape[3] + 1:
                steps |= {last.step, record.step}
        before[place] = record
    return steps


def _steps_in(record: TensorRecord) -> int:
    return record.shape[record.dims.index("time")] if "time" in record.dims else 1
