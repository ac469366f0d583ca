"""Recall curves for the browser: points with their intervals, d50, bits kept, and the size of the state.

In: the runs of a recall lab, recordings of its models. Out: RecallCurve, RecallDot and RecallRow entries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..analysis.recall import RecallPoint, setting_text
from ..analysis.recall_runs import RecallJob, RecallRuns
from ..cache import ActivationCache
from ..capture import QueryKey
from ..errors import ForwardError, MemvizError
from .entries import RecallCurve, RecallDot, RecallRow
from .memory_card_stores import CARRIED, carried_size

NORMAL_95 = 1.96
"""Standard errors on either side that hold 95 % of a normal distribution."""
NONE_SEEN = 3
"""Where all sequences score alike: the rule of three, 3 / n, bounds with 95 % what was never seen."""

State = tuple[int | None, int | None, str]
"""Elements and bytes per sequence, and what they count, or why they are not known."""


def recall_curves(runs: RecallRuns, states: Mapping[RecallJob, State]) -> list[RecallCurve]:
    """All that was measured so far, setting by setting; ``states`` of the points at the largest values."""
    return [
        {
            "over": over,
            "text": setting_text(runs.task, over),
            "values": [float(value) for value in values],
            "dots": [dot for job in runs.jobs if job.over == over for dot in _dots(runs, job)],
            "rows": [_row(runs, name, over, states) for name in runs.names],
        }
        for over, values in runs.values.items()
    ]


def interval(point: RecallPoint) -> tuple[float, float]:
    """95 % interval of an accuracy, within 0..1: 1.96 standard errors over sequences; 3 / n where all score alike."""
    error = point.standard_error
    half = NORMAL_95 * error if error > 0 else NONE_SEEN / point.sequences
    return max(0.0, point.accuracy - half), min(1.0, point.accuracy + half)


def carried_state(cache: ActivationCache) -> State:
    """What a model carries from step to step, by the recording of one sequence.

    Of attention without a memory: the keys and as many values of all steps, as a cache of them would hold.
    """
    memories = cache.memories()
    carried = [record for records in memories.values() for record in records if record.kind in CARRIED]
    if carried:
        elements, held_bytes = carried_size(carried)
        kinds = dict.fromkeys(record.kind for record in carried)
        return elements, held_bytes, f"{', '.join(kinds)} of {', '.join(memories)}"
    keys = [value.key for record in cache.records if isinstance(value := cache.value_or_none(record), QueryKey)]
    if keys:
        elements = 2 * sum(math.prod(key.shape[1:]) for key in keys)
        held_bytes = 2 * sum(math.prod(key.shape[1:]) * key.element_size() for key in keys)
        return elements, held_bytes, f"keys and values of {keys[0].shape[2]} steps: it grows with the sequence"
    return None, None, "not known: no memory was found"


def _dots(runs: RecallRuns, job: RecallJob) -> list[RecallDot]:
    """The point of a job, or its error; none where it was not measured yet."""
    model, error, point = runs.names.index(job.name), runs.errors.get(job), runs.points.get(job)
    if point is None and error is None:
        return []
    low, high = interval(point) if point else (0.0, 0.0)
    return [
        {
            "model": model,
            "value": float(job.value),
            "accuracy": point.accuracy if point else 0.0,
            "low": low,
            "high": high,
            "chance": point.chance if point else 0.0,
            "context_chance": point.context_chance if point else 0.0,
            "wrong": len(point.wrong) if point else 0,
            "n": point.n if point else 0,
            "sequences": point.sequences if point else 0,
            "bits_kept": point.bits_kept if point else 0.0,
            "most_bits": point.most_bits if point else 0.0,
            "error": _error_text(job, error) if error else "",
        }
    ]


def _error_text(job: RecallJob, error: MemvizError) -> str:
    """With the point, which only errors of the model itself name."""
    return str(error) if isinstance(error, ForwardError) else f"{job.text}: {error}"


def _row(runs: RecallRuns, name: str, over: str, states: Mapping[RecallJob, State]) -> RecallRow:
    curve = runs.curve(name, over)
    last = curve.points[-1] if curve.points else None
    state = states.get(RecallJob(name, over, last.value)) if last else None
    elements, held_bytes, note = state or (None, None, "")
    return {
        "d50": curve.d50_text,
        "d50_value": None if math.isnan(curve.d50) else curve.d50,
        "value": float(last.value) if last else None,
        "bits_kept": last.bits_kept if last else None,
        "most_bits": last.most_bits if last else None,
        "n": last.n if last else 0,
        "sequences": last.sequences if last else 0,
        "elements": elements,
        "held_bytes": held_bytes,
        "state_note": note,
    }
