"""ValueStore: copies of tensors under a byte budget, one copy for one value however many names it has.

In: records without stats and live tensors, from the hooks. Out: records with stats, held values.
"""

from __future__ import annotations

import dataclasses
import weakref

from torch import Tensor

from ..capture import held_nbytes, look, same_bits, snapshot, tensor_kind, tensor_stats, version_of
from ..records import TensorRecord, TensorStats
from .budget import budget_text, format_bytes


@dataclasses.dataclass(slots=True)
class Value:
    """One value: what it costs, its statistics, and its copy unless it went over the budget."""

    nbytes: int
    stats: TensorStats | None
    tensor: Tensor | None
    note: str = ""


@dataclasses.dataclass(slots=True)
class _Alive:
    """The live tensor from which a value was taken, and its version then."""

    reference: weakref.ref[Tensor]
    version: int | None
    value: Value


class ValueStore:
    """Sink of a capture: decides before copying whether a value fits, and measures it while it is alive."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.held_bytes = 0
        self.recorded_bytes = 0
        self._records: list[TensorRecord] = []
        self._values: dict[int, Value] = {}
        self._alive: dict[int, _Alive] = {}

    def get(self, index: int) -> Tensor | None:
        """The held tensor of a record, or None."""
        value = self._values.get(index)
        return value.tensor if value else None

    def clear(self) -> None:
        """Drop all values."""
        self._values.clear()
        self._alive.clear()
        self.held_bytes = 0

    def add(self, record: TensorRecord, live: Tensor | None) -> None:
        """Take one record from the hooks; ``live`` may change right after this returns."""
        if live is None:
            self._records.append(record)
            return
        value = self._known(live) or self._take(live)
        self._values[record.index] = value
        note = "; ".join(text for text in (record.note, value.note) if text)
        kept = value.tensor is not None
        self._records.append(dataclasses.replace(record, stats=value.stats, kept=kept, note=note))

    def _known(self, live: Tensor) -> Value | None:
        """The value already taken from this very tensor, if nothing was written to it since.

        The version counter misses writes through ``.data``, numpy and foreign kernels, so the numbers are compared.
        """
        seen = self._alive.get(id(live))
        version = version_of(live)
        if seen is None or seen.reference() is not live or version is None or version != seen.version:
            return None
        held = seen.value.tensor
        if held is None or tensor_kind(live) != "dense":
            return seen.value  # no numbers to compare, or a stand-in of another layout
        return seen.value if same_bits(live, held) else None

    def _take(self, live: Tensor) -> Value:
        """Copy a live tensor if it fits, and measure it: the copy if there is one, since it is contiguous."""
        sight = look(live)
        nbytes = held_nbytes(live, sight)
        fits = self.held_bytes + nbytes <= self.budget_bytes
        value = Value(nbytes, None, None)
        if fits:
            try:
                value.tensor = snapshot(live, sight.kind)
            except (RuntimeError, NotImplementedError) as error:  # out of memory, or a layout torch cannot make dense
                value.note = f"could not be copied: {error}"
        # A stand-in of another layout has other statistics: padding, implied zeros.
        plain = value.tensor is not None and sight.kind == "dense"
        try:
            value.stats = tensor_stats(value.tensor if plain and value.tensor is not None else live)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            value.tensor = None
            value.note = f"no arithmetic for {sight.dtype} in this torch, shape only ({error})"
        self.recorded_bytes += nbytes
        self.held_bytes += nbytes if value.tensor is not None else 0
        self._alive[id(live)] = _Alive(weakref.ref(live), version_of(live), value)
        return value

    def finish(self) -> tuple[TensorRecord, ...]:
        """All records; those over the budget now carry the price of keeping them. The live tensors are forgotten."""
        self._alive.clear()
        return tuple(self._priced(record) for record in self._records)

    def _priced(self, record: TensorRecord) -> TensorRecord:
        value = self._values.get(record.index)
        if value is None or value.tensor is not None or value.note:
            return record
        note = "; ".join(text for text in (record.note, self._price(record, value)) if text)
        return dataclasses.replace(record, note=note)

    def _price(self, record: TensorRecord, value: Value) -> str:
        """Why the value is not kept, and the two ways to have it."""
        everything = budget_text(self.recorded_bytes)
        size, budget = format_bytes(value.nbytes), format_bytes(self.budget_bytes)
        layer = f"layers=[{record.path!r}]"
        if value.nbytes > self.budget_bytes:
            why = f"{size} is over the budget of {budget}"
            layer += f" with budget={budget_text(value.nbytes)!r}"
        else:
            why = f"its {size} would bring the values held over the budget of {budget}"
        return f"not kept: {why}. Capture with budget={everything!r} to keep all, or {layer} for this one."
