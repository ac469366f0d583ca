"""Units that do no work of their own: dead, nearly dead and duplicated channels, and layers that never change.

In: records of outputs with a channel axis, and samples of their values. Out: findings, each at the first layer that
shows it: what a later layer only passes on is not said again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..records import TensorRecord
from .health_duplicates import Pair, equal_pairs
from .health_findings import Finding, counted, finding, named
from .health_samples import FLOATS, Numbers, Reader, is_clean, is_main, places
from .health_scale import LEAST_VALUES

RELU_TYPES = ("ReLU", "ReLU6", "Threshold", "ReLUSquaredActivation")
"""Modules that give exactly 0 for a unit that does not fire, and pass no gradient there."""

NEARLY_DEAD = 0.01
"""Convention: a unit that fires at less than this share of the positions is nearly dead."""

LEAST_POSITIONS = 300
"""Positions from which a unit that never fired fires at less than 1 % with 95 % confidence, by the rule of three
(Hanley & Lippman-Hand 1983): ``3 / n``. With fewer nothing is said about dead units."""

TABLES = ("Embedding", "Rotary", "Position")
"""Parts of type names of modules that look numbers up; repeated or constant columns are how such tables are made."""

REARRANGING = ("Flatten", "Unflatten")
"""Modules that make other channels of the same values."""


@dataclass(slots=True, eq=False)
class _Seen:
    """What earlier layers showed already."""

    values: set[tuple[object, ...]] = field(default_factory=set)
    pairs: set[tuple[int, Pair]] = field(default_factory=set)
    constant: bool = False


def unit_findings(records: Sequence[TensorRecord], reader: Reader) -> Iterator[list[Finding]]:
    """Constant layers, dead, nearly dead and duplicated units of all outputs; calls of one module count together."""
    after_relu = _after_relu(records)
    seen = _Seen()
    for group in places(filter(is_main, records), "output"):
        clean = [record for record in group if is_clean(record) and record.dtype in FLOATS]
        if not clean or clean[0].shape == () or _is_known(clean, seen):
            continue
        yield _of_place(clean, reader, seen, relu=any(record.index in after_relu for record in clean))


def _of_place(group: list[TensorRecord], reader: Reader, seen: _Seen, *, relu: bool) -> list[Finding]:
    """Findings about one place: a constant layer, or else what is wrong with single units."""
    first = group[0]
    if any(word in first.module_type for word in TABLES) or "channel" not in first.dims:
        return []
    widths = {record.shape[record.dims.index("channel")] for record in group}
    sample = reader.units(group, "channel") if len(widths) == 1 else None
    if sample is None or sample.shape[1] < LEAST_VALUES or not np.isfinite(sample).all():
        return []
    still = sample.min(1) == sample.max(1)
    was_constant, seen.constant = seen.constant, bool(still.all())
    found = _dead_units(group, sample, reader) if relu and not was_constant else []
    if seen.constant:
        return found or ([] if was_constant else [_constant(group, sample)])
    if first.module_type not in REARRANGING:
        found += _duplicates(group, sample, still, seen)
    return found


def _constant(group: list[TensorRecord], sample: Numbers) -> Finding:
    first, n = group[0], sample.shape[1]
    what = "is 0" if not sample.any() else "has the same values"
    sentence = (
        f"{first.label!r} {what} at all {n} samples and positions that were looked at: it ignores its input. "
        "Look for weights that are 0, a scale of 0, or an input that never changes."
    )
    return finding("constant", first, 0.0, 0.0, n, sentence)


def _dead_units(group: list[TensorRecord], sample: Numbers, reader: Reader) -> list[Finding]:
    """Units that never fire, and those that hardly do: ``share of values that are not 0``, per unit."""
    first, n = group[0], sample.shape[1]
    firing = np.count_nonzero(sample, axis=1) / n
    rare = np.flatnonzero(firing < NEARLY_DEAD)
    if not len(rare) or n < LEAST_POSITIONS:
        return []
    exact = [_firing(group, int(unit), float(firing[unit]), n, reader) for unit in rare]
    n = max(count for _, count in exact)
    dead = [int(unit) for unit, (share, _) in zip(rare, exact, strict=True) if share == 0]
    weak = [(int(unit), share) for unit, (share, _) in zip(rare, exact, strict=True) if 0 < share < NEARLY_DEAD]
    found = []
    if dead:
        sentence = (
            f"{len(dead)} of {counted(len(firing), 'unit')} of {first.label!r} never fire ({named(dead)}): 0 at all "
            f"{n} positions looked at, so they learn nothing from these inputs. Try other inputs, a lower "
            "learning rate, a leaky ReLU, or other biases."
        )
        found.append(finding("dead units", first, 0.0, 0.0, n, sentence, channels=dead))
    if weak:
        share = min(share for _, share in weak)
        units = [unit for unit, _ in weak]
        sentence = (
            f"{len(weak)} of {counted(len(firing), 'unit')} of {first.label!r} hardly fire ({named(units)}): one at "
            f"{share:.2%} of {n} positions. Look whether they wait for something rare, or lower the learning rate."
        )
        found.append(finding("nearly dead units", first, share, NEARLY_DEAD, n, sentence, channels=units))
    return found


def _firing(group: list[TensorRecord], unit: int, share: float, n: int, reader: Reader) -> tuple[float, int]:
    """Share of a unit's values that are not 0, and how many they are: of all values where one tensor is held."""
    value = reader.value(group[0]) if len(group) == 1 else None
    if not isinstance(value, Tensor):
        return share, n
    series = value.detach().select(group[0].dims.index("channel"), unit)
    if series.numel() == n:  # the sample was everything
        return share, n
    return int(series.count_nonzero()) / series.numel(), series.numel()


def _duplicates(group: list[TensorRecord], sample: Numbers, still: npt.NDArray[np.bool_], seen: _Seen) -> list[Finding]:
    """Channels that are the same, or the same up to a factor and an offset, and were not in an earlier layer."""
    first, (width, n) = group[0], sample.shape
    equal, alike = equal_pairs(sample, still, exact=first.dtype in {"float16", "bfloat16"})
    pairs = [pair for pair in equal + alike if (width, pair) not in seen.pairs]
    seen.pairs.update((width, pair) for pair in pairs)
    if not pairs:
        return []
    units = sorted({unit for pair in pairs for unit in pair})
    one, other = pairs[0]
    how = "equal to channel" if equal else "the same up to a factor as channel"
    sentence = (
        f"Channel {other} of {first.label!r} is {how} {one} at all {n} positions looked at "
        f"({counted(len(units), 'such channel')} in all: {named(units)}): one of them is wasted. Look for weights "
        "that were copied or began the same, and initialise them at random."
    )
    return [finding("duplicated channels", first, 1.0, 1.0, n, sentence, channels=units)]


def _after_relu(records: Sequence[TensorRecord]) -> set[int]:
    """Indices of outputs of a ReLU module, or of a layer that follows a ReLU function.

    After a function: the record before has the same shape and negative values, and this one has none but zeros. What
    has values of at most 1 may be weights, such as those of a router, and is not meant.
    """
    outputs = [record for record in records if record.kind == "output" and not record.parts]
    found = {record.index for record in outputs if record.module_type in RELU_TYPES}
    for before, record in pairwise(outputs):
        here, there = record.stats, before.stats
        if here and there and record.shape == before.shape and None not in {here.min, here.max, there.min}:
            negative, positive = (there.min or 0) < 0, here.min == 0 and (here.max or 0) > 1
            if negative and positive and here.zeros:
                found.add(record.index)
    return found


def _is_known(group: list[TensorRecord], seen: _Seen) -> bool:
    """Whether an earlier layer had the same values, as far as their statistics tell: a view, a copy, an identity."""
    known: list[object] = []
    for record in group:
        stats = record.stats
        if stats is None or stats.std is None:
            return False
        known += [stats.count, stats.min, stats.max, stats.zeros, f"{stats.std:.4g}"]
    key = tuple(known)
    before = key in seen.values
    seen.values.add(key)
    return before
