"""The memory card: the measures that apply to one memory, each with its chance line or bound, and n.

In: a cache, and a record that is a part of a memory, with a sample. Out: a Card. No score is made of several measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from ..capture import LayerRun, LazyValue, RecoveredValue, RecurrentError, layer_run
from ..errors import MemvizError, PageRefusedError
from ..records import TensorRecord
from .entries import Card
from .memory_card_cache import cache_rows
from .memory_card_gates import keeping_rows, saturation_rows
from .memory_card_rows import Absent, Found, Subject
from .memory_card_slots import addressing_rows, likeness_rows, overwriting_rows
from .memory_card_states import capacity_rows, gradient_rows, spread_rows
from .memory_card_stores import matrix_rows, pattern_rows, size_rows
from .memory_plan import MemoryRecords, size_of

SECTIONS: dict[str, Callable[[Subject], Found]] = {
    "time constants and retention": keeping_rows,
    "gradient horizon": gradient_rows,
    "saturation": saturation_rows,
    "directions of the states": spread_rows,
    "linear memory capacity": capacity_rows,
    "addressing": addressing_rows,
    "overwriting": overwriting_rows,
    "likeness of slots": likeness_rows,
    "matrix": matrix_rows,
    "KV cache": cache_rows,
    "stored patterns": pattern_rows,
    "state size": size_rows,
}
"""What a card is made of, in this order; the name stands before an error."""


class CardCache(Protocol):
    """What is needed of a cache."""

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """Every record."""
        ...

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value of a record, or a `MemvizError`."""
        ...

    def recoveries(self, record: TensorRecord) -> tuple[RecoveredValue, ...]:
        """The calls that a recovered value comes from; () where there are none."""
        ...


def build_card(cache: CardCache, record_index: int, sample: int, *, patient: bool = False) -> Card:
    """The card of the memory that a record is a part of.

    What cannot be measured is a sentence in the card; only a wish that makes no sense raises.

    Args:
        cache: an ActivationCache.
        record_index: position of the record in the recording; any part of a memory.
        sample: position in the batch.
        patient: whether measures that take long (the gradient horizon of a long sequence) are made, too.

    Cost:
        Up to a few seconds for the largest memories: every measure reads a bounded part of the values.

    Raises:
        PageRefusedError: when there is no such record or sample, or the record is no part of a memory.
    """
    records = cache.records
    if not 0 <= record_index < len(records):
        raise PageRefusedError(f"no record {record_index}; the recording has {len(records)}, counted from 0.")
    record = records[record_index]
    memories = MemoryRecords(records)
    if not record.memory or record.index in memories.hidden:
        raise PageRefusedError(f"record {record.label!r} is no part of a memory; give one of cache.memories().")
    if not 0 <= sample < max(1, size_of(record, "batch")):
        raise PageRefusedError(f"no sample {sample} in {record.label!r}; expected 0 .. {size_of(record, 'batch') - 1}.")
    return _card_of(cache, records, memories, record, sample, patient)


def _card_of(
    cache: CardCache,
    records: tuple[TensorRecord, ...],
    memories: MemoryRecords,
    record: TensorRecord,
    sample: int,
    patient: bool,
) -> Card:
    samples = size_of(record, "batch")
    title = record.memory + (f", sample {sample}" if samples > 1 else "")
    card: Card = {"title": title, "rows": [], "absent": [], "problems": [], "offers": []}
    if not record.available or 0 in record.shape:
        card["problems"].append(f"{record.label} has no values: {record.note or 'it is empty'}")
        return card
    content = memories.content(record)
    run = _run_of(cache, memories, record, content, sample)
    subject = Subject(
        content or record, content, memories, records, cache.value, cache.recoveries, sample, run, patient
    )
    for name, section in SECTIONS.items():
        _collect(card, name, section, subject)
    return card


def _collect(card: Card, name: str, section: Callable[[Subject], Found], subject: Subject) -> None:
    """Add what a section says; what it raises becomes a sentence, and the rows before it stay."""
    try:
        for found in section(subject):
            if isinstance(found, dict):
                card["rows"].append(found)
            elif isinstance(found, Absent):
                card["absent"].append(found.text)
            else:
                card["offers"].append(found.text)
    except MemvizError as error:
        card["problems"].append(f"{name}: {error}")


def _run_of(
    cache: CardCache, memories: MemoryRecords, record: TensorRecord, content: TensorRecord | None, sample: int
) -> LayerRun | str:
    """The recurrent layer that a memory is of, as it ran; or why it cannot be run again."""
    own = content or record
    if own.kind not in ("hidden", "cell"):
        return "measured of nn.LSTM, nn.GRU, nn.RNN and their cells only"
    gates = (each for each in memories.by_label[own.memory] if each.kind.startswith("gate.") and each.step == own.step)
    for each in (own, *gates):
        if not each.available or size_of(each, "batch") != size_of(own, "batch") or each.call != own.call:
            continue
        try:
            cache.value(each)  # what the budget did not hold comes back
            if values := cache.recoveries(each):
                return layer_run(values, sample)
        except (MemvizError, RecurrentError) as error:
            return str(error).rstrip(".")
    return "the inputs and weights of its calls are not in this recording"
