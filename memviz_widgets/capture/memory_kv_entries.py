"""Which entries of a KV cache are new: a cache is recorded entry by entry, not whole after each call.

In: what a cache holds after a call, and how many queries the call had. Out: the position from which it is handed over.
Entries that were handed over are known by one number per sample of their key and one of their value; a cache that was
reordered, cut back or filled before the recording is told by them, and then handed over whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .memory import MemoryTensor
from .tensors import same_bits

LATEST, SPREAD = 64, 32
"""Older entries that are compared: the latest, where beams differ, and some spread over the rest."""
MOST_SEQUENCES = 8
"""Sequences of one cache that are remembered, so that a replay of an earlier one gives the same records."""
DIMS = ("batch", "head", "time", "channel")


class Entries(NamedTuple):
    """What a cache holds after a call, as live tensors.

    Attributes:
        keys: (B, N, T, D), the last T entries of the sequence.
        values: (B, N, T, D), D may be another one.
        first: Position in the sequence of the first of them; above 0 where older ones were evicted.
        note: What kind of cache it is, "" for one that only grows.
    """

    keys: Tensor
    values: Tensor
    first: int = 0
    note: str = ""

    @property
    def stop(self) -> int:
        """Length of the sequence."""
        return self.first + self.keys.shape[2]

    def marks(self, positions: slice | Tensor) -> Tensor:
        """(2, B, positions): of each entry a number of its key and one of its value; positions count held entries."""
        keys, values = self.keys[:, 0, :, 0], self.values[:, -1, :, -1]
        return torch.stack([keys[:, positions], values[:, positions].to(keys.dtype)])


@dataclass(slots=True)
class Sequence:
    """What was handed over of one sequence.

    Attributes:
        marks: Of the entries from position ``first`` on, see :meth:`Entries.marks`.
        first: Position of the first.
        came_with: Entries that were there before the first call that was seen.
    """

    marks: Tensor
    first: int
    came_with: int

    @property
    def stop(self) -> int:
        """Position after the last entry that was handed over."""
        return self.first + self.marks.shape[-1]

    def agrees(self, entries: Entries, positions: list[int]) -> bool:
        """Whether the entries at these positions are the same, where both have them."""
        low, high = max(self.first, entries.first), min(self.stop, entries.stop)
        shared = torch.tensor([each for each in positions if low <= each < high], device=self.marks.device)
        if not shared.numel():
            return True
        if entries.keys.shape[0] != self.marks.shape[1] or entries.keys.device != self.marks.device:
            return False
        return same_bits(self.marks[..., shared - self.first], entries.marks(shared - entries.first))

    def extend(self, entries: Entries) -> None:
        """Add the entries that were not known yet."""
        if entries.first > self.stop:  # more new entries than the window holds
            self.marks, self.first = entries.marks(slice(None)), entries.first
        elif entries.stop > self.stop:
            self.marks = torch.cat([self.marks, entries.marks(slice(self.stop - entries.first, None))], -1)


class Known:
    """Remembers, for each cache of one recording, what was handed over. Holds no tensor of the model."""

    def __init__(self) -> None:
        self._sequences: WeakKeyDictionary[nn.Module, dict[str, deque[Sequence]]] = WeakKeyDictionary()

    def parts(self, module: nn.Module, memory: str, entries: Entries, queries: int | None) -> Iterator[MemoryTensor]:
        """The entries that a call of ``module`` added, as "key" and "value".

        Args:
            module: The module that was called.
            memory: Name of the cache within it, "" for the only one.
            entries: What the cache holds now.
            queries: Number of timesteps that the call was given; None where that is not known.
        """
        start, reason = self._start(module, memory, entries, queries)
        missing = "" if start >= entries.first else _missing(start, entries.first)
        note = "; ".join(filter(None, (entries.note, reason, missing)))
        for kind, held in (("key", entries.keys), ("value", entries.values)):
            yield MemoryTensor(kind, _from(held, entries.first, start), DIMS, memory=memory, note=note, start=start)

    def _start(self, module: nn.Module, memory: str, entries: Entries, queries: int | None) -> tuple[int, str]:
        """Position from which the entries are handed over, and why that is not the first new one."""
        known = self._sequences.setdefault(module, {}).setdefault(memory, deque(maxlen=MOST_SEQUENCES))
        older = _older(entries.stop, queries, known[-1].stop if known else 0)
        before, added = _compared(older), list(range(older, entries.stop))
        same = [each for each in known if older <= each.stop and each.agrees(entries, before)]
        went_on = next((each for each in reversed(same) if each.agrees(entries, added)), None)
        if went_on is not None:
            went_on.extend(entries)
            # The first call that was seen handed over everything; so does its replay.
            again = 0 < older == went_on.came_with
            return (0, _earlier(older)) if again else (older, "")
        known.append(Sequence(entries.marks(slice(None)), entries.first, 0 if same else older))
        if older == 0:
            return 0, ""
        if same:
            return 0, f"the cache was cut back to {older} entries and went on differently: all are recorded again"
        rewritten = any(each.stop == older for each in known)
        return 0, "older entries were rewritten or reordered: all are recorded again" if rewritten else _earlier(older)


def _older(stop: int, queries: int | None, known: int) -> int:
    """Number of entries that are not of this call."""
    if queries is None:
        return known if known < stop else 0
    return max(stop - queries, 0)


def _compared(older: int) -> list[int]:
    """Positions of the older entries that are compared with those that were handed over."""
    return sorted({*range(0, older, max(1, older // SPREAD)), *range(max(0, older - LATEST), older)})


def _earlier(count: int) -> str:
    return f"{count} entries are from before the recording"


def _missing(start: int, stop: int) -> str:
    return f"entries {start} to {stop - 1} were evicted before they could be read: no data"


def _from(held: Tensor, first: int, start: int) -> Tensor:
    """Entries from position ``start`` on; NaN for those that are not held, so that a place is always its position."""
    if start == first:
        return held  # the very tensor that attention is given: it is stored once
    if start > first:
        return held[:, :, start - first :]
    size = (*held.shape[:2], first - start, held.shape[3])
    return torch.cat([held.new_full(size, torch.nan), held], 2)
