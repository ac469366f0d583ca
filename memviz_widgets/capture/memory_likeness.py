"""Which series of a sweep are memories, by what they do from call to call, and what each looks like.

In: a sweep of a run. Out: the series that are carried from call to call, without those that only count, shift or copy;
for each a guess what it is. Method and limits: a guess from numbers, never to be shown as a fact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .memory_sweep import Series, Sweep

FEWEST_CALLS = 3
"""Calls after which a tensor must have been seen to be carried."""
ROUNDING = 1e-3
"""By how much a row of weights may exceed 1."""
_RUNNING = re.compile(r"running|num_batches|(^|[._])(ema|avg)([._]|$)")
"""Names of running statistics, which a training forward changes and no result depends on."""


def remembered(sweep: Sweep) -> list[Series]:
    """The series that may be memories, each tensor once, in the order in which they were seen."""
    carried = [each for each in sweep.series if _is_carried(each, sweep)]
    best: dict[tuple[int, str], Series] = {}
    for each in carried:
        key = (id(each.owner), each.name)
        if key not in best or _fitness(each) > _fitness(best[key]):
            best[key] = each
    found = [each for each in carried if best[id(each.owner), each.name] is each and not _is_bookkeeping(each)]
    return [each for each in found if not _is_copy(each, found)]


def _is_carried(series: Series, sweep: Sweep) -> bool:
    """Whether it changes from call to call and stays: in a module, or because its next call is given it back."""
    if series.count < FEWEST_CALLS or not series.same_shape or series.changed < 2 or len(series.samples) < 2:
        return False
    calls = sweep.calls
    if not series.is_output:
        # A module that is called often is read at the end of its own calls only.
        return series.owner is series.clock or calls.get(id(series.owner), 0) < FEWEST_CALLS
    # Without anything new in its calls it is a step of a repeated computation, such as a layer used again and again.
    return series.given_back >= max(2, (series.count - 1) // 2) and sweep.news.get(id(series.owner), 0) >= 2


def _fitness(series: Series) -> tuple[int, int, float, int]:
    """How well the clock of a series fits its tensor: the module itself, the one around it, the one that changes it."""
    own = series.owner is series.clock
    around = series.path.startswith(f"{series.clock_path}." if series.clock_path else "") and not own
    rank = 2 if own else int(around)
    return rank, len(series.clock_path) if around else 0, series.changed / (series.count - 1), -series.count


def _is_bookkeeping(series: Series) -> bool:
    """Counters, running statistics, shift registers."""
    if _RUNNING.search(series.name) and len(series.shape) == 1:
        return True
    samples = [each.double() for each in series.samples]
    steps = [after - before for before, after in pairwise(samples)]
    if all(bool((step == step.flatten()[0]).all()) for step in steps):
        return True  # it grows by the same number everywhere
    return any(_shifts(samples, axis) for axis in range(1, len(series.shape)))


def _shifts(samples: Sequence[Tensor], axis: int) -> bool:
    """Whether each call moves everything by one place along an axis and brings in one new place."""
    size = samples[0].shape[axis]
    if size < FEWEST_CALLS:
        return False
    for low, high in ((0, 1), (1, 0)):
        if all(
            torch.equal(after.narrow(axis, low, size - 1), before.narrow(axis, high, size - 1))
            for before, after in pairwise(samples)
        ):
            return True
    return False


def _is_copy(series: Series, found: Sequence[Series]) -> bool:
    """Whether another series has the same values in the same calls and comes first, or had them one call earlier."""
    for other in found:
        if other is series or other.shape != series.shape:
            continue
        if _same(series.samples, other.samples) and _precedence(other, found) < _precedence(series, found):
            return True
        if _same(series.samples[1:], other.samples[:-1]) and not _same(series.samples[:-1], other.samples[1:]):
            return True
    return False


def _precedence(series: Series, found: Sequence[Series]) -> tuple[bool, int]:
    """Of two series with the same values: an attribute before a result, then that which was seen first."""
    return series.is_output, next(place for place, each in enumerate(found) if each is series)


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether two lists of samples agree as far as both go, in two places at least."""
    pairs = list(zip(one, other, strict=False))
    return len(pairs) >= 2 and all(torch.equal(first, second) for first, second in pairs)


def likeness(series: Series) -> tuple[str, str]:
    """What a series looks like ("slots", "weights over slots", "link", "vector"), and why, in a few words."""
    shape = series.shape
    values = torch.stack([each.double() for each in series.samples])
    if _are_weights(values):
        if len(shape) > 2 and shape[-1] == shape[-2] > 1:
            return "link", "numbers from 0 to 1 in a square whose rows sum to at most 1"
        return "weights over slots", "numbers from 0 to 1 whose sum along the last axis is at most 1"
    inner = [size for size in shape[1:] if size > 1]
    if len(inner) > 1:
        return "slots", f"{' x '.join(map(str, inner))} numbers for each of {shape[0]} samples"
    return "vector", f"{shape[-1]} numbers in a row"


def _are_weights(values: Tensor) -> bool:
    rows = values.sum(-1)
    return values.shape[-1] > 1 and bool((values >= 0).all()) and bool((rows <= 1 + ROUNDING).all())
