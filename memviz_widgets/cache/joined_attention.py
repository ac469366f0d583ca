"""Attention of a text that is written step by step, as one map: a row per token, whichever step attended.

In: records of attention weights, one per step of a recording, and what reads them. Out: records (batch, head, query,
key) over all steps, and values that are put together when they are read. What a step could not see is 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from ..capture import LazyValue
from ..records import TensorRecord
from .ranks_values import not_recorded

ALL_STEPS = "all steps"
"""The item of a joined record."""
WEIGHTS = ("batch", "head", "query", "key")

Read = Callable[[int], Tensor | LazyValue]
"""The value of a record, given by its index."""


def joined_attentions(records: Sequence[TensorRecord], start: int = 0) -> list[TensorRecord]:
    """A record over all steps for every attention whose keys go on from step to step.

    That is one with a cache: of as many keys as there were queries so far, or of the latest ones where a window slides;
    or one whose single query asks the same keys in every step, as a decoder asks its encoder, or a static cache.
    ``start``: index of the first record that may be one of them.
    """
    places: dict[tuple[str, str, int], list[TensorRecord]] = {}
    for record in records[start:]:
        if record.kind == "attention" and record.dims == WEIGHTS and not record.parts:
            places.setdefault((record.path, record.item, record.call), []).append(record)
    found: list[TensorRecord] = []
    for members in places.values():
        for run in _runs(members):
            if len(run) > 1:
                found.append(_joined(len(records) + len(found), run))
    return found


def _runs(members: Iterable[TensorRecord]) -> list[list[TensorRecord]]:
    """Steps that go on from each other, in order."""
    runs: list[list[TensorRecord]] = []
    for record in members:
        if not (runs and _goes_on(runs[-1], record)):
            runs.append([])
        runs[-1].append(record)
    return runs


def _goes_on(run: list[TensorRecord], record: TensorRecord) -> bool:
    """Whether a step asks what those before it asked, and what came in between."""
    last, keys = run[-1], record.shape[3]
    if record.shape[:2] != last.shape[:2] or record.dtype != last.dtype or record.step <= last.step:
        return False
    queries = sum(each.shape[2] for each in run) + record.shape[2]
    first = run[0]
    same = all(each.shape[3] == keys for each in run)
    if first.shape[2] != first.shape[3]:  # no cache that began empty
        return same and queries <= keys and record.shape[2] == 1  # more could be the next batch of a training loop
    grown = keys == queries
    slides = keys < queries and keys >= last.shape[3] and record.shape[2] < keys
    return grown or slides


def _starts(parts: Sequence[TensorRecord]) -> tuple[list[int], int]:
    """Position of the first key of each step among all keys, and how many those are."""
    stops = list(accumulate(part.shape[2] for part in parts))
    if parts[0].shape[2] != parts[0].shape[3]:
        return [0] * len(parts), parts[0].shape[3]
    starts = [stop - part.shape[3] for stop, part in zip(stops, parts, strict=True)]
    return starts, stops[-1]


def _joined(index: int, parts: list[TensorRecord]) -> TensorRecord:
    first = parts[0]
    keys = _starts(parts)[1]
    shape = (*first.shape[:2], sum(part.shape[2] for part in parts), keys)
    kept = all(part.kept for part in parts)
    return replace(
        first,
        index=index,
        item=f"{first.item} {ALL_STEPS}".strip(),
        shape=shape,
        nbytes=sum(part.nbytes for part in parts),
        stats=None,
        kept=kept,
        on_demand=not kept and all(part.available for part in parts),
        note="; ".join(filter(None, dict.fromkeys(part.note for part in parts))),
        parts=tuple(part.index for part in parts),
        placement=None,  # of its parts, each for itself
    )


@dataclass(frozen=True, slots=True, eq=False)
class JoinedAttention:
    """Rows of several records of attention weights under each other. A LazyValue.

    Attributes:
        shape: (B, N, Q, K) of all together.
        dtype: Of each.
        indices: The records.
        rows: The first row of each, and the end of the last.
        starts: The position of the first key of each.
        of: Reads the value of a record.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    indices: tuple[int, ...]
    rows: tuple[int, ...]
    starts: tuple[int, ...]
    of: Read

    def read(self, index: tuple[int | slice, ...]) -> Tensor:
        """A part; only the steps whose rows are asked for are read."""
        batch, head, query, key = index
        wanted = range(self.shape[2])[query]
        span = wanted if isinstance(wanted, range) else range(wanted, wanted + 1)
        found = [
            self._part(place, batch, head, slice(max(span.start, start) - start, min(span.stop, stop) - start))
            for place, (start, stop) in enumerate(zip(self.rows, self.rows[1:], strict=False))
            if start < span.stop and span.start < stop
        ]
        if not found:  # an empty span
            return self.read((batch, head, slice(0, 1), key))[..., :0, :]
        rows = torch.cat(found, -2)
        return rows[..., 0 if isinstance(wanted, int) else slice(None), key]

    def load(self) -> Tensor:
        """All of it."""
        return self.read((slice(None),) * 4)

    def missing(self, index: tuple[int, ...]) -> bool:
        """Whether no rank recorded the row of an element; -1 stands for all positions of an axis."""
        batch, head, query, _ = index
        places = range(len(self.indices))
        if query >= 0:
            places = range(bisect_right(self.rows, query) - 1, bisect_right(self.rows, query))
        return any(not_recorded(self.of(self.indices[place]), (batch, head, -1, -1)) for place in places)

    def _part(self, place: int, batch: int | slice, head: int | slice, rows: slice) -> Tensor:
        """Rows of one step, over all keys."""
        value = self.of(self.indices[place])
        index = (batch, head, rows, slice(None))
        part = value[index].detach() if isinstance(value, Tensor) else value.read(index)
        start, stop = self.starts[place], self.starts[place] + part.shape[-1]
        return torch.nn.functional.pad(part, (start, self.shape[3] - stop))


def joined_attention(record: TensorRecord, parts: Sequence[TensorRecord], of: Read) -> JoinedAttention:
    """The value of a joined record."""
    rows = tuple(accumulate((part.shape[2] for part in parts), initial=0))
    return JoinedAttention(record.shape, getattr(torch, record.dtype), record.parts, rows, tuple(_starts(parts)[0]), of)
