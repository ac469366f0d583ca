"""ValueStore: copies of tensors under a byte budget, one copy for one value however many names it has.

In: drafts of records and live values, from the hooks. Out: records with stats, held values.
While a recording runs, what comes first is kept. Afterwards the values looked at least recently make room for those
that come back from a replay. Inputs that were saved for replay are held as long as the recording may need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from ..capture import (
    CopiesAhead,
    Derived,
    LazyValue,
    QueryKey,
    RecoveredValue,
    checksum,
    dense_tensor,
    held_nbytes,
    look,
    on_host,
    read_samples,
    snapshot,
    tensor_kind,
    tensor_stats,
)
from ..errors import SpillError
from ..records import Draft, TensorRecord
from .budget import budget_text, format_bytes
from .held import Entry, Value
from .holdings import Holdings
from .live_values import LiveValues, code_of, mark_bytes, mark_of
from .measuring import Measuring
from .opening_values import SavedValues
from .recovered import Recoveries
from .spill import Spill
from .stored_attention import StoredAttention
from .verify import same_stats

BESIDE_SHARE = 4
"""Values that come back together with the one that is looked at take at most one part in this many of the budget."""
RESULT_SHARE = 4
"""The model's own results may displace earlier values from one part in this many of the budget."""
ANCHOR_SHARE = 2
"""Inputs saved for replay may take one part in this many of the budget."""


class ValueStore:
    """Sink of a capture: decides before copying whether a value fits, and measures it while it is alive.

    Args:
        budget_bytes: Bytes that values may occupy in memory.
        spill: Where values go that do not fit; None to give them up.
    """

    def __init__(self, budget_bytes: int, spill: Spill | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.pinned_bytes = 0
        self.recorded_bytes = 0
        self.input_bytes = 0
        """Bytes of saved inputs that no record had when they were saved."""
        self.spill = spill
        self._drafts: list[Draft] = []
        self._entries: dict[int, Entry] = {}
        self._alive = LiveValues()
        self._held = Holdings(budget_bytes)
        self._ahead = CopiesAhead()
        self._measuring = Measuring(self._held)
        self._result_bytes = 0
        self._given: tuple[Any, dict[str, Value]] = (None, {})
        """The tensors of the call that was recorded last, and what was taken from them."""
        self.recoveries = Recoveries()
        """What was found out about values that are recovered instead of read."""
        self.expected_bytes = 0
        """Bytes of all values, if an earlier recording told; 0 = not known."""
        self.saved: SavedValues | None = None
        """The saved capture whose values these are."""

    @property
    def spills(self) -> bool:
        """Whether what is not in memory is on disk."""
        return self.spill is not None or self.saved is not None

    @property
    def drafts(self) -> list[Draft]:
        """What was known of each record while the recording ran."""
        return self._drafts

    @property
    def held_bytes(self) -> int:
        """Bytes of all values that are held."""
        return self._held.nbytes

    @property
    def saved_bytes(self) -> int:
        """Bytes of saved inputs that are held and are no value of a record."""
        return self._held.input_bytes

    @property
    def kept_bytes(self) -> int:
        """Bytes of the values of records that are held; without inputs that are saved for replay only."""
        return self._held.kept_bytes

    # -- while a recording runs

    def add(self, draft: Draft, live: Tensor | Derived | None) -> None:
        """Take one record from the hooks; ``live`` may change right after this returns."""
        if isinstance(live, Tensor):
            self._entries[draft.index] = Entry({"": self._part(live, draft, measure=True)})
        elif isinstance(live, RecoveredValue):
            self._entries[draft.index] = Entry(self._parts_given(live, draft), live.with_tensors({}))
            self.recoveries.add(draft.index, live)
        elif live is not None:
            self._entries[draft.index] = Entry(self._parts_named(live, draft), live.with_tensors({}))
        self._drafts.append(draft)

    def _parts_named(self, live: Derived, draft: Draft) -> dict[str, Value]:
        return {name: self._part(tensor, draft, measure=False) for name, tensor in live.tensors().items()}

    def _parts_given(self, live: RecoveredValue, draft: Draft) -> dict[str, Value]:
        """The parts of a recovered value: those of the one before where both come from the same call."""
        if self._given[0] is not live.given:
            self._given = live.given, self._parts_named(live, draft)
        return self._given[1]

    def hold(self, live: Tensor, outermost: bool) -> Value | None:
        """Keep a copy of an input for replay, at the expense of values if need be; None when there is no room.

        ``outermost``: it is an input of the whole call, without which nothing comes back: it may take all the room.
        """
        if live.device.type == "meta":
            return None
        share = self.budget_bytes if outermost else self.budget_bytes // ANCHOR_SHARE
        value, _ = self._alive.known(live)
        if value is None or value.tensor is None:
            nbytes = held_nbytes(live, look(live))
            if self.pinned_bytes + nbytes > share or not self._held.make_room(nbytes):
                return None
            if value is None:
                value = Value(nbytes, dense=True)
                self.input_bytes += nbytes
                self._alive.put(live, value)
            self._held.put(value, snapshot(live))
        elif not value.pins and self.pinned_bytes + value.nbytes > share:
            return None
        if not value.pins:
            self.pinned_bytes += value.nbytes
        value.pins += 1
        return value

    def copy_ahead(self, tensors: Iterable[Tensor]) -> None:
        """A call begins after which these will be recorded, as they are now: copy what is new and fits meanwhile."""
        room = self.budget_bytes - self._reserved() - self._held.nbytes
        self._ahead.begin((each for each in tensors if not self._alive.seen(each)), room)

    def release(self, value: object) -> None:
        """Give up a saved input. Its copy goes, unless a record is of the same value."""
        assert isinstance(value, Value)
        value.pins -= 1
        if not value.pins:
            self.pinned_bytes -= value.nbytes
            if not value.recorded:
                self._held.give_up(value)

    def _part(self, live: Tensor, draft: Draft, *, measure: bool) -> Value:
        value, right = self._alive.known(live)
        if value is not None and right is not None:
            self._measuring.doubt(draft.index, value, right)
        if value is None:
            value = self._take(live, draft)
        elif value.tensor is None and value.dense and self._displaces(draft, value.nbytes):
            self._held.put(value, snapshot(live))
        if not value.recorded:
            self.recorded_bytes += value.nbytes
            value.recorded = True
        if measure:
            self._measuring.take(value, live)
        if value.tensor is None and value.mark is None and value.dense:
            value.mark = mark_of(live)  # by which it is known again; after the statistics, which brought it near
        return value

    def _take(self, live: Tensor, draft: Draft) -> Value:
        """A new value of a live tensor: copied if it fits, else written to disk or given up."""
        kind = tensor_kind(live)
        plain = kind == "dense" and 0 not in live.stride()
        nbytes = live.numel() * live.element_size() if plain else held_nbytes(live, look(live))
        value = Value(nbytes, dense=kind == "dense")
        copy, taken = self._ahead.take(live), self._held.nbytes + self._ahead.nbytes
        if taken + nbytes <= self.budget_bytes - self._reserved() or self._displaces(draft, nbytes):
            try:
                self._held.put(value, snapshot(live, kind) if copy is None else copy)
            except (RuntimeError, NotImplementedError, OSError) as error:  # no memory, or a layout without a dense form
                value.note = f"could not be copied: {error}"
        else:
            if value.dense and live.is_inference():
                value.checksum, value.code = (checksum(live), None) if on_host(live) else (None, code_of(live))
            try:
                if self.spill is not None:
                    value.spilled = self.spill.write(id(value), dense_tensor(live, kind), draft.dims)
            except SpillError as error:
                value.note = str(error)
        self._alive.put(live, value)
        return value

    def _displaces(self, draft: Draft, nbytes: int) -> bool:
        """Whether a value takes the place of earlier ones: the model's own result, which only a whole forward gives."""
        if draft.caller is not None or self.spill is not None:
            return False
        if self._result_bytes + nbytes > self.budget_bytes // RESULT_SHARE or not self._held.make_room(nbytes):
            return False
        self._result_bytes += nbytes
        return True

    def _reserved(self) -> int:
        """Bytes left free for inputs, when it is known that not everything fits; else inputs displace values."""
        if self.expected_bytes <= self.budget_bytes:
            return 0
        return max(0, self.budget_bytes // ANCHOR_SHARE - self.pinned_bytes)

    def keep_recorded(self) -> None:
        """Nothing can be computed again: from now on only recovered values make room for others."""
        self._held.replaceable = False

    def finish(self) -> None:
        """The recording is over: live tensors are forgotten."""
        self._ahead.clear()
        self._alive.clear()
        self._given = None, {}
        self._measuring.settle()
        self._held.count()

    def records(self, *, on_demand: bool, start: int = 0) -> tuple[TensorRecord, ...]:
        """The records of all drafts from a position on; ``on_demand``: whether what is not held can be had again.

        This measures the copies that are held, which takes as long as reading them.
        """
        self._measuring.finish(self._entries)
        return tuple(self._settled(draft, on_demand) for draft in self._drafts[start:])

    def _settled(self, draft: Draft, on_demand: bool) -> TensorRecord:
        entry = self._entries.get(draft.index)
        if entry is None:
            return draft.record()
        parts = entry.parts.values()
        stats = entry.parts[""].stats if "" in entry.parts else None
        notes = [draft.note, *(part.note for part in parts)]
        kept = entry.held
        again = not kept and not any(notes[1:]) and (on_demand or entry.stored)
        if not kept and not again and not any(notes[1:]):
            notes.append(self.price(draft))
        return draft.record(stats, kept=kept, on_demand=again, note="; ".join(filter(None, notes)))

    def price(self, record: TensorRecord | Draft) -> str:
        """Why a value is not held, and how to have it."""
        everything, cost = budget_text(self.recorded_bytes + self.input_bytes), self.cost(record.index)
        size, budget = format_bytes(cost), format_bytes(self.budget_bytes)
        layer = f"layers=[{record.path!r}]"
        if cost > self.budget_bytes:
            why = f"{size} is over the budget of {budget}"
            layer += f" with budget={budget_text(cost)!r}"
        else:
            why = f"its {size} would bring the values held over the budget of {budget}"
        return f"not kept: {why}. Capture with budget={everything!r} to keep all, or {layer} for this one."

    @property
    def complete(self) -> bool:
        """Whether the values of all records are held, as far as they can be."""
        return all(entry.held or any(part.note for part in entry.parts.values()) for entry in self._entries.values())

    # -- afterwards

    def cost(self, index: int) -> int:
        """Bytes that a record's values take when they are held."""
        entry = self._entries.get(index)
        return sum(part.nbytes for part in entry.parts.values()) if entry else 0

    def twins(self, index: int) -> list[int]:
        """Indices of other records that hold the values of this one: a KV cache's keys are those of an attention."""
        wanted = {id(part) for part in self._entries[index].parts.values()} if index in self._entries else set()
        return [
            other
            for other, entry in self._entries.items()
            if wanted and other != index and wanted <= {id(part) for part in entry.parts.values()}
        ]

    def absent_near(self, index: int, others: Iterable[int]) -> list[int]:
        """Those of other records that have no values now, the nearest first, as far as a part of the budget goes."""
        room, found = self.budget_bytes // BESIDE_SHARE - self.cost(index), []
        for other in sorted(others, key=lambda other: abs(other - index)):
            room -= self.cost(other)
            if room < 0:
                break
            if not self._entries[other].stored:
                found.append(other)
        return found

    def get(self, index: int) -> Tensor | LazyValue | None:
        """The value of a record, held or on disk, or None. It was looked at now.

        Raises:
            RecurrentError: when it cannot be recovered from what is held.
        """
        entry = self._entries.get(index)
        if entry is None or not entry.stored:
            return None
        self._held.look_at([*entry.parts.values(), *([entry.result] if entry.result else [])])
        if entry.result is not None and entry.result.tensor is not None:
            return entry.result.tensor
        if isinstance(entry.derived, QueryKey) and not entry.held:
            return StoredAttention(entry.derived, entry.readable())
        if entry.derived is not None:
            value = entry.derived.with_tensors(entry.loaded())
            return self._recover(index, value) if isinstance(value, RecoveredValue) else value
        part = entry.parts[""]
        return part.tensor if part.tensor is not None else part.spilled

    def entry(self, index: int) -> Entry | None:
        """What a record's value is made of; None when it has none."""
        return self._entries.get(index)

    def adopt(self, index: int, entry: Entry) -> None:
        """Take a value that lies in a saved capture."""
        self._entries[index] = entry

    def recovery(self, index: int) -> RecoveredValue | None:
        """What a record's value is recovered of, whether or not its result is held; None of other records."""
        entry = self._entries.get(index)
        if entry is None or not entry.stored or not isinstance(entry.derived, RecoveredValue):
            return None
        return entry.derived.with_tensors(entry.loaded())

    def _recover(self, index: int, value: RecoveredValue) -> Tensor | LazyValue:
        """Compute a value, and those that come along, and hold what fits; what does not fit is read in pieces."""
        needed = self._parts_of(index)
        for found, tensor in self.recoveries.compute(index, value, lambda nbytes: self._held.can_have(nbytes, needed)):
            entry = self._entries[found]
            entry.result = Value(tensor.numel() * tensor.element_size(), dense=True, recovered=True)
            self._held.put(entry.result, tensor)
        result = self._entries[index].result
        return value if result is None or result.tensor is None else result.tensor

    def restore(self, index: int, live: Tensor | Derived) -> bool:
        """Take a value from a replay, if it is the recorded one, and make room for it."""
        tensors = self._recognised(index, live)
        if tensors is None:
            return False
        self._held.drop_guests()
        needed = self._parts_of(index)
        for part, tensor in tensors:
            self._held.make_room(part.nbytes, needed)
            self._held.put_or_visit(part, snapshot(tensor, tensor_kind(tensor)))
        return True

    def restore_beside(self, index: int, live: Tensor | Derived, wanted: int) -> bool:
        """Take a value that came by on the way to another one, if it is the recorded one and fits beside it."""
        tensors = self._recognised(index, live)
        if tensors is None:
            return False
        needed = self._parts_of(wanted) | self._parts_of(index)
        for part, tensor in tensors:
            if not self._held.make_room(part.nbytes, needed):
                return False
            self._held.put(part, snapshot(tensor, tensor_kind(tensor)))
        return True

    def _parts_of(self, index: int) -> frozenset[int]:
        return frozenset(map(id, self._entries[index].parts.values()))

    def _recognised(self, index: int, live: Tensor | Derived) -> list[tuple[Value, Tensor]] | None:
        """Parts of a record that are not held, each with its tensor; None when these are not the recorded values."""
        parts = self._entries[index].parts
        tensors = live.tensors() if isinstance(live, Derived) else {"": live}
        if set(tensors) != set(parts):
            return None
        if not all(self._is_recorded(parts[name], tensor) for name, tensor in tensors.items()):
            return None
        return [(parts[name], tensor) for name, tensor in tensors.items() if parts[name].tensor is None]

    def _is_recorded(self, part: Value, live: Tensor) -> bool:
        """Whether a tensor of a replay is the recorded value: statistics and sampled elements agree."""
        if held_nbytes(live, look(live)) != part.nbytes:
            return False
        mark = read_samples([part.mark])[0] if isinstance(part.mark, Tensor) else part.mark
        if mark is not None and mark_bytes(dense_tensor(live, tensor_kind(live))) != mark:
            return False
        return part.stats is None or same_stats(part.stats, tensor_stats(live))

    def clear(self) -> None:
        """Drop all values."""
        for part in (self._ahead, self._held, self._entries, self._alive, self._measuring, self.recoveries):
            part.clear()
        self.pinned_bytes = 0
        for files in (self.spill, self.saved):
            if files is not None:
                files.close()
