"""What the statistics of the records alone tell: NaN and Inf, scale across layers, and numbers near the end of a dtype.

In: records in order of execution, which have their statistics from the capture; one value, to place the first NaN.
Out: findings. Nothing else is read, so these checks are exact, and hold for values that were not kept.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..records import TensorRecord, TensorStats
from .health_findings import Finding, counted, finding
from .health_samples import FLOATS, Reader, is_main

LEAST_VALUES = 32
"""Convention: fewer values than this are no evidence of anything but NaN and Inf."""

SCALE_RATIO = 1e4
"""Convention: a standard deviation this many times above or below the median of the layers before is worth a look."""

NEAR = 0.5
"""Convention: the part of a dtype's largest number from which an overflow is near: one doubling away."""

HALF_LIMIT = NEAR * torch.finfo(torch.float16).max
"""32752: what float32 values should stay below if the model is to run in float16."""


def first_non_finite(records: Sequence[TensorRecord], reader: Reader) -> list[Finding]:
    """The first record with NaN or Inf, everything before which is finite. One finding, or none.

    A record of nothing but 0 and -Inf is a mask and not meant, nor are parts of memories, in which NaN is "no data".
    The inputs of modules are not recorded, so the cause is the operation between ``before`` and this record, or,
    where this is the first record, perhaps the model's input.
    """
    outputs = [(record, record.stats) for record in records if record.kind == "output" and record.stats]
    ill = [(record, stats) for record, stats in outputs if _is_ill(stats)]
    if not ill:
        return []
    record, stats = ill[0]
    earlier = [each for each, _ in outputs if each.index < record.index]
    later = {each.path for each, _ in outputs if each.index > record.index}
    hit = {each.path for each, _ in ill[1:]}
    count = stats.nan + stats.posinf + stats.neginf
    at = _first_place(record, reader)
    sentence = (
        f"The first {_what(stats)}: {count} of {stats.count} values of {record.label!r}; {_origin(record, earlier)}. "
        f"It reached {len(hit)} of {counted(len(later), 'later layer')}. Look there for a division by zero, a log of 0 "
        "or less, an overflow, or a parameter that is NaN itself."
    )
    before = earlier[-1].index if earlier else None
    reached = len(hit)
    return [
        finding(
            *("non-finite", record, count, 0, stats.count, sentence),
            channels=(at["channel"],) if "channel" in at else (),
            time=at.get("time"),
            sample=at.get("batch"),
            before=before,
            reached=reached,
        )
    ]


def scale_findings(records: Sequence[TensorRecord]) -> list[Finding]:
    """The first layer whose scale leaves that of the layers before it by ``SCALE_RATIO``. One finding, or none.

    The ratio is ``std / median of the std of all earlier layers that vary``. Only the first is reported: from there on
    the layers before are no measure any more. A small branch beside a residual is harmless, so vanishing is a hint.
    """
    spreads = [(record, record.stats.std) for record in records if record.stats and _has_scale(record)]
    earlier: list[float] = []
    for record, std in spreads:
        ratio = std / earlier[len(earlier) // 2] if std and earlier else 1.0  # the upper median
        if std and not 1 / SCALE_RATIO <= ratio <= SCALE_RATIO:
            return [_left_scale(record, ratio, len(earlier))]
        if std:
            insort(earlier, std)
    return []


def _left_scale(record: TensorRecord, ratio: float, n: int) -> Finding:
    large = ratio > 1
    advice = (
        "Try a smaller initialisation, a normalisation layer, or a smaller learning rate."
        if large
        else "Try a larger initialisation or a normalisation before it; a branch beside a residual may begin so."
    )
    sentence = (
        f"The values of {record.label!r} spread {ratio:.3g} times as far as those of the layers before it (median of "
        f"{counted(n, 'record')}). {advice}"
    )
    kind = "exploding scale" if large else "vanishing scale"
    return finding(kind, record, ratio, SCALE_RATIO if large else 1 / SCALE_RATIO, n, sentence)


def overflow_findings(records: Sequence[TensorRecord]) -> list[Finding]:
    """The first layer near the end of its own dtype, and the first float32 layer near the end of float16."""
    sized = [(record, _largest(record)) for record in records if not record.parts and record.dtype in FLOATS]
    found = []
    for kind, dtypes in (("overflow near", ("float16", "bfloat16")), ("float16 range", ("float32",))):
        over = [(each, size) for each, size in sized if each.dtype in dtypes and size > _limit(each.dtype)]
        if not over:
            continue
        record, size = over[0]
        what = (
            f"{record.label!r} has values up to {size:.3g}, more than half of the largest number of {record.dtype}. "
            "Scale them down, or compute this layer in float32."
            if kind == "overflow near"
            else f"{record.label!r} has values up to {size:.3g}: in float16, which ends at 65504, they would be Inf or "
            "nearly so. Keep this layer in float32 or bfloat16."
        )
        n = record.stats.count if record.stats else 0
        found.append(finding(kind, record, size, _limit(record.dtype), n, what, reached=len(over) - 1))
    return found


def _is_ill(stats: TensorStats) -> bool:
    mask = not stats.nan and not stats.posinf and stats.min == 0 and stats.max == 0
    return bool(stats.nan + stats.posinf + stats.neginf) and not mask


def _what(stats: TensorStats) -> str:
    if not stats.nan:
        return "Inf"
    return "NaN and Inf" if stats.posinf + stats.neginf else "NaN"


def _origin(record: TensorRecord, earlier: Sequence[TensorRecord]) -> str:
    """Where it may come from, in words."""
    if not earlier:
        return "it is the first record, so look at the model's input as well"
    inside = [each for each in earlier if each.caller == (record.path, record.call) and each.step == record.step]
    if inside:
        return "all layers inside it are finite, so it comes from the module's own forward"
    return f"all {counted(len(earlier), 'record')} before it are finite, the last of them {earlier[-1].label!r}"


def _first_place(record: TensorRecord, reader: Reader) -> dict[str, int]:
    """Index by dim of the first value that is not finite; empty where the values cannot be read."""
    value = reader.value(record)
    if not isinstance(value, Tensor) or not value.numel():
        return {}
    wrong = (~value.detach().isfinite()).cpu().numpy()
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return {dim: int(index) for dim, index in zip(record.dims, place, strict=True)}


def _has_scale(record: TensorRecord) -> bool:
    """Whether a standard deviation of the record may be compared with that of others."""
    stats = record.stats
    return (
        is_main(record)
        and not record.parts
        and len(record.shape) > 1
        and not {"query", "key"} & set(record.dims)
        and record.dtype in FLOATS
        and stats is not None
        and stats.count >= LEAST_VALUES
        and stats.std is not None
        and math.isfinite(stats.std)
        and not _is_filled(record)
    )


def _largest(record: TensorRecord) -> float:
    """Largest magnitude of the finite values; a mask's fill value, which is the dtype's own limit, does not count."""
    stats = record.stats
    if stats is None or stats.min is None or stats.max is None:
        return 0.0
    return abs(stats.max) if _is_filled(record) else max(abs(stats.min), abs(stats.max))


def _is_filled(record: TensorRecord) -> bool:
    """Whether the smallest value is the smallest number of a float dtype, by which masks say "not this one"."""
    least = record.stats.min if record.stats else None
    return least is not None and least in {torch.finfo(getattr(torch, name)).min for name in FLOATS}


def _limit(dtype: str) -> float:
    return HALF_LIMIT if dtype == "float32" else NEAR * torch.finfo(getattr(torch, dtype)).max
