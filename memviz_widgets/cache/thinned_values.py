"""ThinnedValues: copies of the values of many steps under one byte budget, of every layer at evenly spread steps.

In: drafts of records and live values, step by step. Out: as a ValueStore; and which records lost their values to later
steps. A step that is over cannot be computed again, since the model goes on: what is given up is gone.
"""

from __future__ import annotations

from collections import Counter

from torch import Tensor

from ..capture import Derived
from ..records import Draft, TensorRecord
from .budget import format_bytes
from .held import Value
from .spill import Spill
from .values import ValueStore

Series = tuple[str, str, str, int, str]
"""One tensor of the model over the steps: path, kind, item, call, and which part of its value."""


class ThinnedValues(ValueStore):
    """A ValueStore that makes room for the newest step by thinning the earlier ones.

    The tensor that takes the most bytes over all steps goes first, so small layers stay whole. Of its steps the first
    and the newest stay; of the others those go first whose number is odd, then those that are no multiple of 4, of 8
    ...: what is left is evenly spread, and layers have their steps in common. First ones go when nothing else is left.
    """

    def __init__(self, budget_bytes: int, spill: Spill | None = None) -> None:
        super().__init__(budget_bytes, spill)
        self.keep_recorded()
        self._series: dict[Series, dict[int, list[Value]]] = {}
        """The values of each tensor that are held, by step, the earliest first."""
        self._bytes: Counter[Series] = Counter()
        self._users: dict[int, list[int]] = {}
        """Id of a value -> the records that are of it; the entries keep the values, so no id comes twice."""
        self._tracked: set[int] = set()
        self._step = -1
        self._step_bytes = 0
        self._lost: set[int] = set()

    def add(self, draft: Draft, live: Tensor | Derived | None) -> None:
        """Take one record of the step that is recorded now."""
        if draft.step != self._step:
            self._step, self._step_bytes = draft.step, 0
        super().add(draft, live)
        entry = self.entry(draft.index)
        for name, part in entry.parts.items() if entry else ():
            self._users.setdefault(id(part), []).append(draft.index)
            if part.tensor is not None and id(part) not in self._tracked:
                self._tracked.add(id(part))
                series = (draft.path, draft.kind, draft.item, draft.call, name)
                self._series.setdefault(series, {}).setdefault(draft.step, []).append(part)
                self._step_bytes += part.nbytes
                self._bytes[series] += part.nbytes

    def lost(self) -> set[int]:
        """Indices of records that lost their values since this was asked last."""
        lost, self._lost = self._lost, set()
        return lost

    def discard(self, first: int) -> None:
        """Forget the records from this index on: their step was not recorded to its end."""
        while self._drafts and self._drafts[-1].index >= first:
            entry = self._entries.pop(self._drafts.pop().index, None)
            for part in entry.parts.values() if entry else ():
                if part.recorded:
                    part.recorded = False
                    self.recorded_bytes -= part.nbytes
                self._held.give_up(part)
                self._users.pop(id(part), None)
                self._tracked.discard(id(part))
        for series, steps in self._series.items():
            self._bytes[series] -= sum(value.nbytes for value in steps.pop(self._step, ()))
        self._lost = {index for index in self._lost if index < first}
        self._measuring.clear()
        self.finish()

    def price(self, record: TensorRecord | Draft) -> str:
        """Why a value is not held, and how to have it."""
        return (
            f"not kept: its {format_bytes(self.cost(record.index))} had no room beside the other steps in the budget "
            f"of {format_bytes(self.budget_bytes)}, and the weights may have changed since, so it is not computed "
            "again. Record with a larger budget=, fewer layers=, or spill='a folder'."
        )

    def clear(self) -> None:
        """Drop all values."""
        super().clear()
        self._series.clear()
        self._bytes.clear()
        self._users.clear()
        self._tracked.clear()

    def _displaces(self, draft: Draft, nbytes: int) -> bool:
        """Whether there is room after thinning; nothing is given up where that could not be enough."""
        if self.spills:
            return False
        if self._held.make_room(nbytes):  # recovered values, which can be had again
            return True
        if self._step_bytes + nbytes > self.budget_bytes:
            return False
        while self.held_bytes + nbytes > self.budget_bytes:
            if not self._thin(draft.step):
                return False
        return True

    def _thin(self, now: int) -> bool:
        """Give up one step of one tensor; False when only the newest step is left."""
        for spared in (1, 0):  # whether the first steps stay
            found = [series for series, steps in self._series.items() if len(steps) - (now in steps) > spared]
            if found:
                series = max(found, key=self._bytes.__getitem__)
                steps = self._series[series]
                earlier = [step for step in steps if step != now][spared:]
                self._give_up(series, steps.pop(min(earlier, key=lambda step: (step & -step, step))))
                return True
        return False

    def _give_up(self, series: Series, values: list[Value]) -> None:
        for value in values:
            self._bytes[series] -= value.nbytes
            self._tracked.discard(id(value))
            self._held.give_up(value)
            self._lost.update(self._users[id(value)])
