"""Holdings: the copies that are held, under the byte budget.

In: values with their copies, and wishes for room. Out: room, at the expense of what was looked at least recently.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor

from ..capture import Summing, Sums, tensor_stats, wait_for
from .held import Value
from .live_values import mark_of

NONE: frozenset[int] = frozenset()


class Holdings:
    """Values whose copies are in memory.

    Args:
        budget_bytes: Bytes that they may occupy.

    Attributes:
        nbytes: Bytes that they occupy.
        replaceable: Whether values that are given up can be had again; when not, only recovered ones make room.
        summing: Sums up those on an accelerator.
        streams: Of accelerators, those that values came from in this recording.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.nbytes = 0
        self.replaceable = True
        self.summing = Summing()
        self.streams: set[tuple[torch.device, int]] = set()
        self._budget_bytes = budget_bytes
        self._values: OrderedDict[int, Value] = OrderedDict()
        self._guests: list[Value] = []

    @property
    def kept_bytes(self) -> int:
        """Bytes of the values of records."""
        return sum(value.nbytes for value in self._values.values() if value.recorded)

    @property
    def input_bytes(self) -> int:
        """Bytes of saved inputs that are no value of a record."""
        return sum(value.nbytes for value in self._values.values() if value.pins and not value.recorded)

    def put(self, value: Value, tensor: Tensor) -> None:
        """Hold a copy."""
        value.tensor = tensor
        self._values[id(value)] = value
        self.nbytes += value.nbytes

    def put_or_visit(self, value: Value, tensor: Tensor) -> None:
        """Hold a copy; one that is larger than what the budget leaves is there while it is looked at."""
        if self.nbytes + value.nbytes <= self._budget_bytes:
            self.put(value, tensor)
        else:
            value.tensor = tensor
            self._guests.append(value)

    def drop_guests(self) -> None:
        """Something else is looked at."""
        for guest in self._guests:
            guest.tensor = None
        self._guests.clear()

    def look_at(self, values: Iterable[Value]) -> None:
        """These were looked at now."""
        for value in values:
            if id(value) in self._values:
                self._values.move_to_end(id(value))

    def make_room(self, nbytes: int, needed: frozenset[int] = NONE) -> bool:
        """Give up values looked at least recently until this many bytes fit; whether they do. ``needed`` ids stay."""
        for value in list(self._values.values()):
            if self.nbytes + nbytes <= self._budget_bytes:
                break
            if self._expendable(value, needed):
                self.give_up(value)
        return self.nbytes + nbytes <= self._budget_bytes

    def can_have(self, nbytes: int, needed: frozenset[int]) -> bool:
        """Make room, unless that could not be enough: then nothing is given up."""
        fixed = sum(value.nbytes for value in self._values.values() if not self._expendable(value, needed))
        return fixed + nbytes <= self._budget_bytes and self.make_room(nbytes, needed)

    def _expendable(self, value: Value, needed: frozenset[int]) -> bool:
        return not value.pins and id(value) not in needed and (self.replaceable or value.recovered)

    def give_up(self, value: Value) -> None:
        """Let the copy go; what tells it from another value stays."""
        if value.tensor is None:
            return
        if self._values.pop(id(value), None) is not None:
            self.nbytes -= value.nbytes
        if not value.recovered and value.mark is None:
            value.mark = mark_of(value.tensor)
        if value.looked_at and value.stats is None and value.sums is None and not value.note:
            value.sums = self._sums_of(value.tensor)
            value.stats = tensor_stats(value.tensor) if value.sums is None else None
        value.tensor = None

    def _sums_of(self, tensor: Tensor) -> Sums | None:
        """Sums of a copy that is let go then, whichever stream made it."""
        if sum(device == tensor.device for device, _ in self.streams) < 2:
            return self.summing.add(tensor, changes=False)
        wait_for([tensor.device])
        sums = self.summing.add(tensor, changes=True)
        wait_for([tensor.device])
        return sums

    def count(self) -> None:
        """Count the bytes again: an interrupt may have come in between."""
        self.nbytes = sum(value.nbytes for value in self._values.values())

    def clear(self) -> None:
        """Let all go."""
        for value in self._values.values():
            value.tensor = None
        self.drop_guests()
        self._values.clear()
        self.nbytes = 0
