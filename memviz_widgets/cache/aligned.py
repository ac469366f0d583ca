"""Twins: two recordings side by side, record by record, and their difference as a recording of its own.

In: two caches. Out: which records stand for the same place and which do not, with the reason; three caches of the same
records (the first, the second, their difference), whose values are read from the two when they are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..capture import LazyValue
from ..errors import AlignmentError
from ..records import TensorRecord
from .aligned_difference import DifferenceValue, difference_dtype
from .recorded_cache import RecordedCache

ATTENTION_DIFFERENCE = "attention difference"
"""Kind of the difference of two attentions: it is no weights any more, rows sum to 0."""

MOST_NAMED = 3
"""Paths of each side that an error names."""

Key = tuple[str, str, str, int, int, bool, int]
"""path, kind, item, call, step, whether it joins others, and which of several it is."""


@dataclass(frozen=True, slots=True)
class Unaligned:
    """A record that is not compared.

    Attributes:
        label, call, step: Which record it is, as in its cache.
        side: "a", "b", or "both" when both have it and the two cannot be compared.
        reason: A sentence without its full stop.
    """

    label: str
    call: int
    step: int
    side: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """Indices of the records that stand for the same place, in the order of the first cache, and all others."""

    pairs: tuple[tuple[int, int], ...]
    unaligned: tuple[Unaligned, ...]


def align(a: RecordedCache, b: RecordedCache) -> Alignment:
    """Records of the same path, kind, item, call and step, of the same shape, with values on both sides.

    Raises:
        AlignmentError: when there is no such pair; it says what each side has.
    """
    ones, others = _keyed(a.records), _keyed(b.records)
    places = {key[:3] for key in ones}, {key[:3] for key in others}
    pairs: list[tuple[int, int]] = []
    unaligned: list[Unaligned] = []
    for key, one in ones.items():
        other = others.get(key)
        if other is None:
            unaligned.append(_unaligned(one, "a", _missing(key, places[1], "b")))
        elif reason := _reason(one, other):
            unaligned.append(_unaligned(one, "both", reason))
        else:
            pairs.append((one.index, other.index))
    unaligned += [
        _unaligned(other, "b", _missing(key, places[0], "a")) for key, other in others.items() if key not in ones
    ]
    if not pairs:
        raise AlignmentError(_nothing_text(a, b, unaligned))
    return Alignment(tuple(pairs), tuple(unaligned))


class AlignedCache(RecordedCache):
    """The aligned records of one cache, counted anew; its values stay in that cache, which this one never closes."""

    def __init__(self, source: RecordedCache, records: Sequence[TensorRecord], originals: Sequence[int]) -> None:
        super().__init__(source.budget_bytes)
        self.tokens, self.image = source.tokens, source.image
        self._token_texts, self._step_labels = source.token_texts, source.step_labels
        self._source = source
        self._originals = tuple(originals)
        self._records = tuple(records)
        self._seen: tuple[TensorRecord, ...] | None = None  # of the source: another tuple when one of them changed

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """The aligned records. The residual of a recovered value is there once the value was looked at."""
        sources = self._source.records
        if sources is not self._seen and any(
            record.residual != sources[at].residual for record, at in zip(self._records, self._originals, strict=True)
        ):
            self._records = tuple(
                replace(record, residual=sources[at].residual, note=sources[at].note)
                for record, at in zip(self._records, self._originals, strict=True)
            )
        self._seen = sources
        return self._records

    @property
    def held_bytes(self) -> int:
        """Bytes that the cache behind it holds."""
        return self._source.held_bytes

    @property
    def recorded_bytes(self) -> int:
        """Bytes of everything that the cache behind it recorded."""
        return self._source.recorded_bytes

    @property
    def summary(self) -> str:
        """That of the cache behind it."""
        return self._source.summary

    @property
    def closed(self) -> bool:
        """Whether this one or the cache behind it was closed."""
        return self._closed or self._source.closed

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value in the cache behind it; raises as there."""
        self._check_open()
        return self._source.value(self._source.records[self._originals[record.index]])

    def value_or_none(self, record: TensorRecord) -> Tensor | LazyValue | None:
        """The value where it is held now."""
        if self._closed:
            return None
        return self._source.value_or_none(self._source.records[self._originals[record.index]])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._records)} aligned records{', closed' if self.closed else ''}>"


class DifferenceCache(RecordedCache):
    """a - b, record by record. Values are computed for what is looked at, and held nowhere."""

    def __init__(self, a: AlignedCache, b: AlignedCache) -> None:
        super().__init__(a.budget_bytes)
        self.tokens, self._token_texts, self._step_labels = a.tokens, a.token_texts, a.step_labels
        self._a, self._b = a, b
        self._dtypes = [_dtype_of(one, other) for one, other in zip(a.records, b.records, strict=True)]
        self._records = tuple(map(_difference, a.records, b.records, self._dtypes))
        self._seen: tuple[tuple[TensorRecord, ...] | None, ...] = (None, None)  # of both sides, as in AlignedCache

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """The differences, without statistics: those are of no value that is held. Residual: the larger of the two."""
        sides = self._a.records, self._b.records
        if all(side is seen for side, seen in zip(sides, self._seen, strict=True)):
            return self._records
        self._seen = sides
        residuals = [_larger(one.residual, other.residual) for one, other in zip(*sides, strict=True)]
        if any(record.residual != residual for record, residual in zip(self._records, residuals, strict=True)):
            self._records = tuple(
                replace(record, residual=residual) for record, residual in zip(self._records, residuals, strict=True)
            )
        return self._records

    @property
    def summary(self) -> str:
        """How many records there are."""
        return f"{len(self._records)} records of the same place and shape, subtracted where they are looked at"

    @property
    def closed(self) -> bool:
        """Whether this one or a cache behind it was closed."""
        return self._closed or self._a.closed or self._b.closed

    def value(self, record: TensorRecord) -> DifferenceValue:
        """The difference, read from both sides piece by piece; raises as the caches behind it."""
        self._check_open()
        a, b = self._a.value(self._a.records[record.index]), self._b.value(self._b.records[record.index])
        return DifferenceValue(a, b, self._dtypes[record.index])

    def value_or_none(self, record: TensorRecord) -> DifferenceValue | None:
        """The difference where both sides are held now."""
        if self.closed:
            return None
        a = self._a.value_or_none(self._a.records[record.index])
        b = self._b.value_or_none(self._b.records[record.index])
        return None if a is None or b is None else DifferenceValue(a, b, self._dtypes[record.index])

    def __repr__(self) -> str:
        return f"<DifferenceCache: {len(self._records)} records{', closed' if self.closed else ''}>"


def aligned_caches(
    a: RecordedCache, b: RecordedCache, alignment: Alignment
) -> tuple[AlignedCache, AlignedCache, DifferenceCache]:
    """Caches of the same records in the same order: of a, of b, of a - b. Dims, memories and names are those of a."""
    new = {one: index for index, (one, _) in enumerate(alignment.pairs)}
    ones: list[TensorRecord] = []
    others: list[TensorRecord] = []
    for index, (of_a, of_b) in enumerate(alignment.pairs):
        one, other = a.records[of_a], b.records[of_b]
        parts = tuple(new[part] for part in one.parts if part in new)
        ones.append(replace(one, index=index, parts=parts))
        others.append(replace(other, index=index, parts=parts, dims=one.dims, memory=one.memory))
    first = AlignedCache(a, ones, [of_a for of_a, _ in alignment.pairs])
    second = AlignedCache(b, others, [of_b for _, of_b in alignment.pairs])
    return first, second, DifferenceCache(first, second)


def _keyed(records: Iterable[TensorRecord]) -> dict[Key, TensorRecord]:
    """The records by what they stand for."""
    found: dict[Key, TensorRecord] = {}
    for record in records:
        number = 0
        while (key := _key(record, number)) in found:
            number += 1
        found[key] = record
    return found


def _key(record: TensorRecord, number: int) -> Key:
    return record.path, record.kind, record.item, record.call, record.step, bool(record.parts), number


def _reason(one: TensorRecord, other: TensorRecord) -> str:
    """Why two records of the same place are not compared, "" when they are."""
    if not one.dtype or not other.dtype:
        sides = [name for name, record in (("a", one), ("b", other)) if not record.dtype]
        return f"no tensor in {' and '.join(sides)}"
    if one.shape != other.shape:
        return f"shape {_sizes(one.shape)} in a, {_sizes(other.shape)} in b"
    for name, record in (("a", one), ("b", other)):
        if not record.available:
            return f"no values in {name}: {record.note or 'not kept'}"
    if difference_dtype(one.dtype, other.dtype) is None:
        return f"{one.dtype} in a, {other.dtype} in b: there is no difference of these"
    return ""


def _missing(key: Key, there: set[tuple[str, str, str]], name: str) -> str:
    """Why the other side has no such record."""
    path, kind, item, call, step, *_ = key
    if (path, kind, item) in there:
        return f"no call {call} in step {step} of it in {name}"
    if any(path == other for other, *_ in there):
        return f"no {kind}{f' [{item}]' if item else ''} of this module in {name}"
    return f"no module of this path in {name}"


def _nothing_text(a: RecordedCache, b: RecordedCache, unaligned: Sequence[Unaligned]) -> str:
    shared = next((each for each in unaligned if each.side == "both"), None)
    if shared is not None:
        return (
            f"none of the records of the two caches can be compared: {shared.label!r} has {shared.reason}. "
            "Capture both with inputs of the same size."
        )
    ones, others = (", ".join(map(repr, cache.names()[:MOST_NAMED])) or "nothing" for cache in (a, b))
    return (
        f"none of the records of the two caches have the same path, kind, call and step: a has {ones} ..., b has "
        f"{others} .... Compare captures of the same model, or of models whose modules have the same names."
    )


def _unaligned(record: TensorRecord, side: str, reason: str) -> Unaligned:
    return Unaligned(record.label, record.call, record.step, side, reason)


def _dtype_of(one: TensorRecord, other: TensorRecord) -> torch.dtype:
    dtype = difference_dtype(one.dtype, other.dtype)
    assert dtype is not None  # else they were not aligned
    return dtype


def _difference(one: TensorRecord, other: TensorRecord, dtype: torch.dtype) -> TensorRecord:
    """The record of the difference of two, without statistics."""
    kept = one.kept and other.kept
    types = dict.fromkeys((one.module_type, other.module_type))
    return replace(
        one,
        kind=ATTENTION_DIFFERENCE if one.kind == "attention" else one.kind,
        module_type=" / ".join(types),
        dtype=str(dtype).removeprefix("torch."),
        nbytes=math.prod(one.shape) * dtype.itemsize,
        stats=None,
        kept=kept,
        on_demand=not kept,
        note=_note(one, other),
        residual=_larger(one.residual, other.residual),
    )


def _note(one: TensorRecord, other: TensorRecord) -> str:
    """What the user must know about the difference of two."""
    facts = []
    if one.dtype != other.dtype:
        facts.append(f"{one.dtype} minus {other.dtype}")
    bad = [_not_finite(record) for record in (one, other)]
    if any(bad):
        facts.append(f"NaN where a side is NaN, and for Inf minus Inf ({bad[0]} not finite in a, {bad[1]} in b)")
    return "; ".join(facts)


def _not_finite(record: TensorRecord) -> int:
    stats = record.stats
    return 0 if stats is None else stats.nan + stats.posinf + stats.neginf


def _larger(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return max(known) if known else None


def _sizes(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
