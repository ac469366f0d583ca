"""What a memory card is made of: its rows, the words for numbers in them, and what a section may say instead of a row.

In: numbers with their n, chance line and bound. Out: CardRow; texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..capture import LayerRun, RecoveredValue
from ..records import TensorRecord
from .entries import CardRow
from .memory_maps import Read, read_part
from .memory_orders import runs_of
from .memory_plan import MemoryRecords, size_of

LOW, HIGH = 0.05, 0.95
"""Ends of the spread over units that is shown beside a median."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A kind of measure that does not apply to this memory: a sentence that says why."""

    text: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A measure that takes so long that it waits to be asked for: its name with the price."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The memory that a card is about, at one sample.

    Attributes:
        record: Its content, or the part that stands for it.
        content: What it holds; None where only its reads are recorded.
        memories: All memories of the recording.
        records: All records of it.
        read: Gives the value of a record.
        calls: Gives the calls that a recovered value comes from; () of other records.
        sample: Position in the batch.
        run: The recurrent layer as it ran, or a sentence that says why there is none.
        patient: Whether measures that take long are asked for, too.
    """

    record: TensorRecord
    content: TensorRecord | None
    memories: MemoryRecords
    records: tuple[TensorRecord, ...]
    read: Read
    calls: Callable[[TensorRecord], tuple[RecoveredValue, ...]]
    sample: int
    run: LayerRun | str
    patient: bool

    def part(self, kind: str) -> list[TensorRecord]:
        """The records of one kind of the memory; of several heads, each."""
        return self.memories.parts(self.record, kind)

    def beside(self, kind: str) -> list[TensorRecord]:
        """Records of one kind of the same memory and call, also with other steps: stored patterns have none."""
        own = self.record
        return [
            each
            for each in self.memories.by_label[own.memory]
            if each.kind == kind
            and each.step == own.step
            and each.available
            and 0 not in each.shape
            and (each.call == own.call or bool(each.parts) or kind in ("read_weights", "write_weights"))
        ]

    def values(self, records: list[TensorRecord], run: slice) -> Tensor:
        """Timesteps of a part, float64 (t, ...); see ``read_part``."""
        found = read_part(records, self.read, self.sample, run)
        return (found.abs() if found.is_complex() else found).to("cpu", torch.float64)


Found = Iterator["CardRow | Absent | Offer"]
"""What a section of a card yields."""


def row(
    measure: str,
    value: str,
    *,
    name: str = "",
    number: float | None = None,
    compare: str = "",
    n: str = "",
    detail: str = "",
) -> CardRow:
    """A row of a card. ``number`` is left out where it is not finite: JSON has no other numbers."""
    known = number if number is not None and math.isfinite(number) else None
    return {
        "measure": measure,
        "name": name or measure,
        "value": value,
        "number": known,
        "compare": compare,
        "n": n,
        "detail": detail,
    }


def number_text(value: float) -> str:
    """Three significant digits: 0.821, 1,234, 1.5e-07; ∞ and NaN as such."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size and (size >= 1e6 or size < 1e-4):
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"


def share_text(share: float) -> str:
    """A share 0..1 in per cent; "0 %" and "100 %" mean exactly none and all."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.3g} %"


def spread_text(values: Tensor, unit: str) -> str:
    """ "median 1.4 steps (5-95 %: 0.9 to 3.2)" of the numbers (C,) that are not NaN; of one, the number alone."""
    known = values[~values.isnan()].double().sort().values
    if len(known) == 1:
        return f"{number_text(float(known[0]))} {unit}"
    middle, low, high = (number_text(_quantile(known, share)) for share in (0.5, LOW, HIGH))
    return f"median {middle} {unit} (5-95 %: {low} to {high})"


def median(values: Tensor) -> float:
    """Of the numbers that are not NaN; NaN where there are none."""
    known = values[~values.isnan()].double().sort().values
    return _quantile(known, 0.5) if len(known) else math.nan


def _quantile(rising: Tensor, share: float) -> float:
    """On the straight line between two numbers, as usual; between a number and inf it is the nearer one."""
    at = share * (len(rising) - 1)
    below, above = float(rising[math.floor(at)]), float(rising[math.ceil(at)])
    part = at - math.floor(at)
    if math.isinf(below) or math.isinf(above):
        return below if part < 0.5 else above
    return below + (above - below) * part


def count_text(count: int, one: str) -> str:
    """ "1 step", "1,200 steps", "2 queries"."""
    several = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{count:,} {one if count == 1 else several}"


def steps_text(looked_at: int, steps: int) -> str:
    """ "12 steps", or "512 of 4,096 steps" where not all were looked at."""
    return count_text(steps, "step") if looked_at >= steps else f"{looked_at:,} of {steps:,} steps"


def runs_at_most(record: TensorRecord, cells: int, per_step: int) -> list[slice]:
    """All timesteps of a part, or runs of them at even distances, of ``cells`` numbers in all; 64 steps at least."""
    return runs_of(size_of(record, "time"), max(64, cells // max(1, per_step)))


def mean_text(values: Tensor) -> tuple[float, str]:
    """The mean of the numbers that are not NaN, and as a text with their range."""
    known = values[~values.isnan()].double()
    if not len(known):
        return math.nan, "NaN"
    mean = float(known.mean())
    if len(known) == 1:
        return mean, number_text(mean)
    return mean, f"mean {number_text(mean)} ({number_text(float(known.min()))} to {number_text(float(known.max()))})"
