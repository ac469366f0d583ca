"""Gates and activations that are stuck at the ends of their range, and slots that nothing addresses.

In: records of memories and of Sigmoid and Tanh modules, and samples of their values. Out: findings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..capture.memory import PINNED_KINDS
from ..records import TensorRecord
from .health_findings import Finding, counted, finding, named
from .health_samples import FLOATS, Reader, is_clean, places
from .health_scale import LEAST_VALUES

LOW, HIGH = 0.1, 0.9
"""A gate below is left-saturated, above right-saturated: Karpathy, Johnson & Li 2015 (arXiv 1506.02078)."""

STUCK = 0.95
"""Convention: a gate is stuck when more than this share of all its values is saturated."""

SIGMOIDS, TANHS = ("Sigmoid",), ("Tanh",)
"""Modules that give 0..1, and -1..1: tanh(x) = 2 sigmoid(2 x) - 1, so 0.1 and 0.9 become -0.8 and 0.8."""

UNUSED_SHARE = 0.01
"""Convention: a slot is unused below this part of an even share, 1 / S of all mass."""

MISSED_BY_CHANCE = 0.01
"""So many weightings are needed that even addressing at random misses a slot with at most this probability."""


def gate_findings(records: Sequence[TensorRecord], reader: Reader) -> Iterator[list[Finding]]:
    """Stuck gates of memories, and stuck outputs of Sigmoid and Tanh modules; calls of one place count together."""
    for group in places(records, "output", *PINNED_KINDS):
        kind = group[0].module_type if group[0].kind == "output" else "Sigmoid"
        clean = [record for record in group if is_clean(record) and record.dtype in FLOATS and record.shape]
        if clean and kind in SIGMOIDS + TANHS:
            yield _stuck(clean, reader, tanh=kind in TANHS)


def _stuck(group: list[TensorRecord], reader: Reader, *, tanh: bool) -> list[Finding]:
    """``share of values below 0.1 or above 0.9``, over all units, samples and steps."""
    first = group[0]
    sample = reader.values(group)
    if sample is None:
        return []
    values = sample[np.isfinite(sample)]  # steps without data are NaN
    if len(values) < LEAST_VALUES:
        return []
    ends = (2 * LOW - 1, 2 * HIGH - 1) if tanh else (LOW, HIGH)
    low, high = float(np.mean(values < ends[0])), float(np.mean(values > ends[1]))
    if low + high <= STUCK:
        return []
    n = len(values)
    if first.kind == "output":
        sentence = (
            f"{low + high:.0%} of {n} values of {first.label!r} are at the ends of its range, where the gradient is "
            "nearly 0. Try smaller weights or a normalisation before it; for the answer of a classifier this is right."
        )
        return [finding("saturated activation", first, low + high, STUCK, n, sentence)]
    state = "open (above 0.9)" if high > low else "shut (below 0.1)"
    sentence = (
        f"The gate {first.label!r} is stuck: {max(low, high):.0%} of {n} values are {state}, so it decides nothing and "
        "hardly learns. Look at its bias, and try smaller weights or inputs; some models begin so on purpose."
    )
    return [finding("saturated gate", first, low + high, STUCK, n, sentence)]


def slot_findings(records: Sequence[TensorRecord], reader: Reader) -> Iterator[list[Finding]]:
    """Slots of a memory that get no weight: of its writes, or of its reads where no memory of as many slots is written.

    A slot counts as unused when its mass is below ``UNUSED_SHARE / S`` of all mass. With fewer than ``S ln(S / 0.01)``
    weightings nothing is said: then even fair addressing of one slot at a time leaves some out (the coupon
    collector's union bound).
    """
    written = {_slots(record) for record in records if record.kind == "write_weights"}
    for group in places(records, "write_weights", "read_weights"):
        first = group[0]
        clean = [record for record in group if is_clean(record) and record.dtype in FLOATS]
        if clean and "slot" in first.dims and (first.kind == "write_weights" or _slots(first) not in written):
            yield _unused(clean, reader)


def _slots(record: TensorRecord) -> int:
    """Number of slots, 0 without such an axis."""
    return record.shape[record.dims.index("slot")] if "slot" in record.dims else 0


def _unused(group: list[TensorRecord], reader: Reader) -> list[Finding]:
    """Slots (S,) of one place whose ``sum of weights / sum of all weights`` is next to nothing."""
    first = group[0]
    rows = reader.units(group, "slot") if len({record.shape for record in group}) == 1 else None
    if rows is None:
        return []
    slots, n = rows.shape
    mass = np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0).sum(1, dtype=np.float64)
    total = float(mass.sum())
    if slots < 2 or total <= 0 or n < slots * math.log(slots / MISSED_BY_CHANCE):
        return []
    bound = UNUSED_SHARE / slots
    unused = [int(slot) for slot in np.flatnonzero(mass / total < bound)]
    if not unused:
        return []
    share = float(mass[unused].max()) / total
    does = "written to" if first.kind == "write_weights" else "read"
    sentence = (
        f"{len(unused)} of {counted(slots, 'slot')} of {first.memory or first.label!r} are never {does} "
        f"({named(unused)}; {n} weightings looked at). Give the memory fewer slots, or look how it is addressed."
    )
    return [finding("unused slots", first, share, bound, n, sentence, slots=unused)]
