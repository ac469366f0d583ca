"""JoinedRanks: the recordings of several ranks as one, of which values are put together when they are looked at.

In: the part of each rank that is there, opened. Out: records, values, tokens and pictures of the whole, and what is
missing in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..capture import LazyValue, Trace
from ..errors import ClosedError, NotKeptError
from ..records import TensorRecord
from .budget import format_bytes
from .joining import joined_value
from .opening import Opened
from .ranks_inputs import joined_image, joined_tokens
from .ranks_notes import missing_text
from .ranks_records import RanksRecords
from .ranks_values import RanksValue
from .store_files import StorePlace


class JoinedRanks:
    """A capture of several ranks.

    Args:
        parts: Rank -> its part. Ranks that are lost are not in it.
        world_size: Number of ranks.
        place: Where it was saved, for messages; None when it was gathered.

    Attributes:
        records: All records.
        trace: Names of modules, and what the recordings said.
        tokens, image: Of all samples, in the order of the ranks; None when none were given.
        step_labels: What the steps are called; () where they have numbers only.
        recorded_bytes: Bytes of all recorded values of all parts.
        missing: "rank 1 of 4 missing"; "" when all are there.

    Raises:
        FormatError: when parts contradict each other.
    """

    def __init__(self, parts: Mapping[int, Opened], world_size: int, place: StorePlace | None = None) -> None:
        self.parts = dict(sorted(parts.items()))
        self.world_size = world_size
        self.place = place
        self.missing = missing_text([rank for rank in range(world_size) if rank not in parts], world_size)
        joined = RanksRecords({rank: part.records for rank, part in self.parts.items()}, world_size, self._sameness)
        self.records = tuple(joined.records)
        self._values = joined.values
        self.trace = Trace()
        for part in self.parts.values():
            self.trace.add(part.trace)
        if self.missing:
            self.trace.remark(f"{self.missing}: nothing was saved there; the records say what they lack")
        self.tokens = joined_tokens(self.parts, self.records, self.trace)
        self.image = joined_image(self.parts, self.records, self.trace)
        self.step_labels = max((part.step_labels for part in self.parts.values()), key=len)
        self.recorded_bytes = sum(part.index.recorded_bytes for part in self.parts.values())
        self.closed = False

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value of a record, without a copy.

        Raises:
            ClosedError: after :meth:`close`.
            NotKeptError: when no rank has values of it.
        """
        if record.parts:
            return joined_value(record, self.records, lambda index: self.value(self.records[index]))
        joined = self._values[record.index]
        if not joined.boxes:
            raise NotKeptError(f"{record.label!r} (call {record.call}) has no values here: {record.note}")
        first = joined.boxes[0]
        if len(joined.boxes) == 1 and len(first.ranks) == 1:
            return self._part(first.ranks[0], joined.indices)
        dtype = getattr(torch, record.dtype)
        return RanksValue(record.shape, dtype, joined.boxes, lambda rank: self._part(rank, joined.indices))

    def _part(self, rank: int, indices: Mapping[int, int]) -> Tensor | LazyValue:
        if self.closed:
            raise ClosedError("this cache was closed; open the saved capture again.")
        value = self.parts[rank].values.get(indices[rank])
        assert value is not None
        return value

    def _sameness(self, rank: int, index: int) -> object:
        """Equal where the values of two ranks are, by the checksums of their chunks; None where there are no values."""
        part = self.parts[rank]
        stored = part.index.values[index]
        if stored is None:
            return None
        arrays = [(name, part.index.arrays[number]) for name, number in stored.arrays.items()]
        content = tuple((name, str(each.dtype), each.full, each.once, each.checksums) for name, each in arrays)
        return (content, stored.is_causal, stored.scale, stored.note)

    @property
    def summary(self) -> str:
        """What was recorded and what of it is there, as one line."""
        lost = sum(not record.available for record in self.records)
        where = "on disk" if self.place is not None else "gathered"
        where = where if self.missing else f"all {where}"
        kept = f"{lost} of {len(self.records)} tensors not kept" if lost else where
        facts = [f"{format_bytes(self.recorded_bytes)} recorded by {self.world_size} ranks", kept, self.missing]
        return ", ".join(filter(None, facts))

    @property
    def held_bytes(self) -> int:
        """Bytes of what lies in memory: of a gathered capture all of it."""
        return sum(part.saved.held_bytes for part in self.parts.values())

    def close(self) -> None:
        """Nothing is read any more."""
        self.closed = True
        for part in self.parts.values():
            part.values.clear()
