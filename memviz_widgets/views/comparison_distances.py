"""The distances of a comparison: measured a few records at a time, so that the kernel stays free for the pictures.

In: two aligned caches. Out: a distance per record, as numbers and as plain data for the browser.
"""

from __future__ import annotations

import math

from ..analysis.distance import Distance, cka_cost, distance
from ..cache.aligned import AlignedCache
from ..errors import MemvizError
from ..frames.entries import DistanceEntry
from ..records import TensorRecord

COST_AT_ONCE = 2**25
"""Elements read before the kernel looks at its messages again, some 0.5 s."""

MULTIPLICATIONS_PER_ELEMENT = 64
"""How many multiplications of CKA take as long as reading an element."""


class ComparisonDistances:
    """What was measured so far.

    Attributes:
        found: Index of a record -> its distance.
        failed: Index of a record -> why it cannot be measured.
    """

    def __init__(self, a: AlignedCache, b: AlignedCache) -> None:
        self._a, self._b = a, b
        self._pairs = list(zip(a.records, b.records, strict=True))
        self.found: dict[int, Distance] = {}
        self.failed: dict[int, str] = {}

    def measure(self, *, on_demand: bool = False, most: int | None = None) -> None:
        """Measure records in the order of execution, all that are held, or until ``most`` elements were read.

        ``on_demand``: also those that are not held, which runs the model again or reads the disk.
        """
        left = math.inf if most is None else most
        for one in self._waiting(on_demand=on_demand):
            self._measure(one)
            left -= _cost(one)
            if left <= 0:
                return

    def of(self, record: TensorRecord) -> Distance:
        """The distance of one record. Raises NotKeptError and what else reading its values raises."""
        if record.index not in self.found:
            self._read(record)
            self.failed.pop(record.index, None)
        return self.found[record.index]

    @property
    def pending(self) -> int:
        """Records that are held and not measured yet."""
        return len(self._waiting(on_demand=False))

    @property
    def unheld(self) -> int:
        """Records not measured yet that are not held."""
        return len(self._waiting(on_demand=True)) - self.pending

    def first_above(self, bound: float) -> TensorRecord | None:
        """The first record in execution order whose relative L2 is above ``bound``; of a's cache."""
        return next((one for one, _ in self._pairs if self._relative(one) > bound), None)

    def entries(self) -> list[DistanceEntry]:
        """What was measured, by index of the record."""
        measured = sorted((*self.found, *self.failed))
        return [self._entry(index) for index in measured]

    def _waiting(self, *, on_demand: bool) -> list[TensorRecord]:
        return [
            one
            for one, other in self._pairs
            if one.index not in self.found and one.index not in self.failed and (on_demand or (one.kept and other.kept))
        ]

    def _measure(self, record: TensorRecord) -> None:
        """One record; what it raises is written down, as a replay runs the user's model, which may raise anything."""
        try:
            self._read(record)
        except MemvizError as error:
            self.failed[record.index] = str(error)
        except Exception as error:
            self.failed[record.index] = f"{type(error).__name__}: {error}"

    def _read(self, record: TensorRecord) -> None:
        a, b = (cache.value(cache.records[record.index]) for cache in (self._a, self._b))
        self.found[record.index] = distance(a, b, features=_features(record))

    def _relative(self, record: TensorRecord) -> float:
        found = self.found.get(record.index)
        return math.nan if found is None else found.relative_l2

    def _entry(self, index: int) -> DistanceEntry:
        found = self.found.get(index) or Distance(math.nan, math.nan, math.nan, 0)
        return {
            "record": index,
            "relative_l2": _finite(found.relative_l2),
            "infinite": math.isinf(found.relative_l2),
            "cosine": _finite(found.cosine),
            "cka": _finite(found.cka),
            "rows": found.rows,
            "note": self.failed.get(index) or _note(found, self._pairs[index][0]),
        }


def _features(record: TensorRecord) -> int | None:
    return record.dims.index("channel") if "channel" in record.dims else None


def _cost(record: TensorRecord) -> int:
    multiplications = cka_cost(record.shape, _features(record))
    return math.prod(record.shape) + multiplications // MULTIPLICATIONS_PER_ELEMENT


def _note(found: Distance, record: TensorRecord) -> str:
    """What the user must know about the numbers, "" = nothing."""
    if 0 in record.shape:
        return "empty"
    facts = []
    if found.unlike:
        facts.append(f"{found.unlike:,} values are finite on one side only")
    elif math.isinf(found.relative_l2):
        facts.append("the first is all zero")
    if found.skipped:
        facts.append(f"{found.skipped:,} values that are finite on neither side are left out")
    if math.isnan(found.cosine) and not math.isnan(found.relative_l2):
        facts.append("no cosine: a side is all zero")
    wide = record.shape[-1 if (at := _features(record)) is None else at] if record.shape else 1
    if math.isnan(found.cka):
        facts.append("no CKA: it needs two examples that differ")
    elif found.rows <= wide:
        facts.append(f"CKA over {found.rows:,} examples of {wide:,} features is near 1 whatever they are")
    return "; ".join(facts)


def _finite(number: float) -> float | None:
    """JSON has no NaN and no Inf."""
    return number if math.isfinite(number) else None
