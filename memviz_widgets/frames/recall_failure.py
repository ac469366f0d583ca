"""One answer that was wrong: the run is recorded, and what became of what it should have remembered is followed.

In: the runs of a recall lab and one of its points. Out: the recording of the first sequence that failed, with one of
four diagnoses per memory, or why there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..analysis.recall import Diagnosis, RecallPoint, diagnose, symbol_text
from ..analysis.recall_runs import RecallJob, RecallRuns, device_of, measuring
from ..cache import ActivationCache
from ..errors import MemvizError
from ..records import TensorRecord
from .entries import RecallFailureEntry
from .memory_maps import read_part, run_of
from .memory_plan import MemoryRecords, read_phase, runs_backwards, size_of

FARTHEST = ("none of the four", "never read", "overwritten", "decayed", "never written")
"""Of several memories the one that kept it longest is what the answer hangs on."""
MOST_CELLS = 2**22
"""Most numbers of a memory over all steps that are followed: 32 MiB in float64."""


@dataclass(frozen=True, eq=False)
class RecallFailure:
    """A run in which a model did not remember.

    Attributes:
        name, over, value: Which model, at which value of which setting.
        sequence: Which of the sequences of the point, from 0: row of ``point.batch()``.
        asked_step, written_step: Steps at which the answer was asked, and had been shown.
        right, answered: The symbols of the two answers.
        symbols: Texts of the whole sequence.
        cache: The recording of that one sequence.
        diagnoses: Memory, or layer of attention, -> what became of it there.
        unknown: Memory or layer -> why that cannot be told.
    """

    name: str
    over: str
    value: float
    sequence: int
    asked_step: int
    written_step: int
    right: int
    answered: int
    symbols: tuple[str, ...]
    cache: ActivationCache
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """That of the memory that kept it longest, one of ``Diagnosis.verdict``; "" = it cannot be told."""
        found = [each.verdict for each in self.diagnoses.values()]
        return min(found, key=FARTHEST.index, default="")

    @property
    def sentences(self) -> list[str]:
        """What says so, with its numbers: a sentence per memory or layer."""
        told = [f"{name}: {_verdict_text(each)}: {each.reason}" for name, each in self.diagnoses.items()]
        return [*told, *(f"{name}: {reason}" for name, reason in self.unknown.items())] or [
            "No diagnosis: the recording has neither a memory nor attention."
        ]


def failed_run(runs: RecallRuns, job: RecallJob, point: RecallPoint) -> RecallFailure:
    """Records the first sequence of a point in which an answer was wrong; there is one.

    The model is run once more, in eval mode, and comes back as it was.

    Raises:
        ForwardError: when the model raises now.
    """
    row, asked = point.wrong[0].tolist()
    batch = point.batch()
    symbols = [symbol_text(point.task, symbol) for symbol in batch.inputs[row].tolist()]
    cache = recorded(runs, job, batch.inputs[row : row + 1], tokens=symbols)
    written = int(batch.written[row, asked])
    diagnoses, unknown = _told(cache, written, asked, len(symbols))
    return RecallFailure(
        name=job.name,
        over=job.over,
        value=job.value,
        sequence=row,
        asked_step=asked,
        written_step=written,
        right=int(batch.targets[row, asked]),
        answered=int(point.answered[0]),
        symbols=tuple(symbols),
        cache=cache,
        diagnoses=diagnoses,
        unknown=unknown,
    )


def recorded(runs: RecallRuns, job: RecallJob, symbols: Tensor, tokens: list[str] | None = None) -> ActivationCache:
    """A recording of the model of a point over symbols (B, T), in eval mode and without gradients.

    Raises:
        ForwardError: when the model raises.
    """
    model = runs.model(job)
    inputs = symbols.to(device_of(model))
    with torch.no_grad(), measuring(model):
        return ActivationCache.capture(model, tokens=tokens, call=lambda called: runs.logits(called, inputs))


def failure_entry(failure: RecallFailure, model: int, point: RecallPoint) -> RecallFailureEntry:
    """The same for the browser; ``model`` is its number."""
    return {
        "model": model,
        "over": failure.over,
        "value": failure.value,
        "sequence": failure.sequence,
        "symbols": list(failure.symbols),
        "written": failure.written_step,
        "asked": failure.asked_step,
        "right": symbol_text(point.task, failure.right),
        "answered": symbol_text(point.task, failure.answered),
        "verdict": failure.verdict,
        "sentences": failure.sentences,
    }


def _told(cache: ActivationCache, written: int, asked: int, steps: int) -> tuple[dict[str, Diagnosis], dict[str, str]]:
    """What can be told of each memory, and of each layer of attention where there is no memory."""
    diagnoses: dict[str, Diagnosis] = {}
    unknown: dict[str, str] = {}
    for name, parts in _followed(cache, steps):
        if isinstance(parts, str):
            unknown[name] = parts
            continue
        try:
            diagnoses[name] = diagnose(
                parts.keep, parts.write, parts.reads, asked_step=asked, written_step=written, phase=parts.phase
            )
        except MemvizError as error:
            unknown[name] = f"no diagnosis: {error}"
    return diagnoses, unknown


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What ``diagnose`` takes of one memory."""

    keep: Tensor
    write: Tensor
    reads: Tensor | None
    phase: str = "after_write"


def _followed(cache: ActivationCache, steps: int) -> Iterator[tuple[str, _Parts | str]]:
    """The parts of every memory, or a sentence why there are none."""
    memories = MemoryRecords(cache.records)
    for label, records in memories.by_label.items():
        yield label, _memory_parts(cache, memories, records[0], steps)
    if not memories.by_label:
        for record in cache.records:
            if record.kind == "attention" and record.available and record.dims == ("batch", "head", "query", "key"):
                yield record.label, _attention_parts(cache, record, steps)


def _memory_parts(cache: ActivationCache, memories: MemoryRecords, record: TensorRecord, steps: int) -> _Parts | str:
    found = memories.law(record)
    if found is None:
        return "no diagnosis: nothing recorded says what a step keeps and writes."
    content, law = found
    if size_of(content, "time") != steps or runs_backwards(content):
        return f"no diagnosis: its {size_of(content, 'time')} steps are not those of the {steps} symbols, in order."
    if math.prod(content.shape) > MOST_CELLS:
        return f"no diagnosis: {math.prod(content.shape):,} numbers over all steps; up to {MOST_CELLS:,} are followed."
    try:
        run = run_of(content, law, memories, cache.value, 0, None)
    except MemvizError as error:
        return f"no diagnosis: {error}"
    if len(run.valid) != steps:
        return f"no diagnosis: {steps - len(run.valid)} of its steps were not recorded."
    weights = memories.parts(content, "read_weights")
    phase = read_phase(weights[0]) if weights else ""
    reads = read_part(weights, cache.value, 0, slice(0, steps)).to("cpu", torch.float64) if phase else None
    return _Parts(run.keep, run.write, reads, phase or "after_write")


def _attention_parts(cache: ActivationCache, record: TensorRecord, steps: int) -> _Parts | str:
    """Attention as a memory that keeps every step in a place of its own: only its reads can fail."""
    if record.shape[2:] != (steps, steps):
        return f"no diagnosis: its {record.shape[2]} queries and {record.shape[3]} keys are not the {steps} symbols."
    weights = cache.attention(record.path, batch=0, call=record.call, item=record.item, step=record.step)  # (N, Q, K)
    every = torch.ones(steps, steps, dtype=torch.float64)
    return _Parts(every, every.diag().diag(), weights.transpose(0, 1))


def _verdict_text(found: Diagnosis) -> str:
    return f"overwritten by step {found.by_step}" if found.verdict == "overwritten" else found.verdict
