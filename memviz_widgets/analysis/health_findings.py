"""Finding: one thing that looks wrong in a recording, with its exact place and one sentence about it.

In: a record, the units of it that are meant, a number and its bound. Out: a frozen Finding; an order, worst first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..records import TensorRecord

SEVERITIES = ("error", "warning", "hint")
"""Worst first. An error makes the numbers useless, a warning costs capacity, a hint may be intended."""

KINDS = {
    "non-finite": "error",
    "exploding scale": "warning",
    "overflow near": "warning",
    "constant": "warning",
    "dead units": "warning",
    "saturated gate": "warning",
    "collapsed head": "warning",
    "unused slots": "warning",
    "duplicated channels": "warning",
    "vanishing scale": "hint",
    "nearly dead units": "hint",
    "saturated activation": "hint",
    "attention sink": "hint",
    "float16 range": "hint",
}
"""All kinds with their severity, worst first: the order of a report."""

NAMED_PLACES = 8
"""Units that a sentence names; a finding has all of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that looks wrong.

    Attributes:
        kind: One of :data:`KINDS`.
        record: Index of the record in which it shows; the first one where several calls were looked at.
        path: Path of its module.
        label: The record's name in words.
        value: What was measured; the sentence and ``bound`` are about it.
        bound: What ``value`` was held against.
        n: Number of values (or positions, queries, weightings: the sentence says which) that were looked at.
        sentence: What it means and what to try.
        channel: The first channel that is meant, or None.
        time: The first timestep that is meant, or None.
        head: The first head that is meant, or None.
        slot: The first slot that is meant, or None.
        sample: The sample of the batch in which it shows first, or None.
        key: The key position that all of the heads rest on in that sample, or None.
        places: All channels, heads or slots that are meant, of which the field above has the first.
        before: Index of the record that finished last before this one, where that may be the cause; else None.
        reached: Number of later layers that show the same, where that was counted; else None.
    """

    kind: str
    record: int
    path: str
    label: str
    value: float
    bound: float
    n: int
    sentence: str
    channel: int | None = None
    time: int | None = None
    head: int | None = None
    slot: int | None = None
    sample: int | None = None
    key: int | None = None
    places: tuple[int, ...] = ()
    before: int | None = None
    reached: int | None = None

    @property
    def severity(self) -> str:
        """ "error", "warning" or "hint"."""
        return KINDS[self.kind]


def finding(
    kind: str,
    record: TensorRecord,
    value: float,
    bound: float,
    n: int,
    sentence: str,
    *,
    channels: Sequence[int] = (),
    heads: Sequence[int] = (),
    slots: Sequence[int] = (),
    time: int | None = None,
    sample: int | None = None,
    key: int | None = None,
    before: int | None = None,
    reached: int | None = None,
) -> Finding:
    """A Finding about a record. Of channels, heads and slots at most one is given, ascending."""
    places = tuple(int(place) for place in (*channels, *heads, *slots))
    first = places[0] if places else None
    return Finding(
        kind,
        record.index,
        record.path,
        record.label,
        float(value),
        float(bound),
        int(n),
        sentence,
        channel=first if channels else None,
        time=time,
        head=first if heads else None,
        slot=first if slots else None,
        sample=sample,
        key=key,
        places=places,
        before=before,
        reached=reached,
    )


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings by kind as in :data:`KINDS`, so by severity first, and of one kind in the order of execution."""
    kinds = tuple(KINDS)
    return tuple(sorted(findings, key=lambda each: (kinds.index(each.kind), each.record)))


def named(places: Sequence[int]) -> str:
    """Numbers of units in words: "3", "3 and 5", "0, 1, 2, 3, 4, 5, 6, 7 and 12 more"."""
    shown = [str(place) for place in places[:NAMED_PLACES]]
    if len(places) > NAMED_PLACES:
        return f"{', '.join(shown)} and {len(places) - NAMED_PLACES} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: "1 layer", "3 layers"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
