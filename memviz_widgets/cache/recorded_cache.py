"""RecordedCache: what was recorded, and how it is read: names, records, values.

In: a ValueStore that a recording has filled, and what brings back the values that are not held. Out: records, copies
of values, held values for drawing. How records are made is ActivationCache's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from .. import capture as capturing
from ..capture import LazyValue, RecoveredValue
from ..errors import ClosedError, NotKeptError, RecordingError
from ..records import TensorRecord
from .bringing_back import BringingBack
from .budget import format_bytes, parse_budget
from .joined_ranks import JoinedRanks
from .joining import joined_value, memories_of
from .launch import part_of
from .lookup import find_record, find_step
from .recovered import with_findings
from .saving import SaveOptions, save_capture
from .saving_ranks import save_parts
from .spill import Spill
from .tokens import TokenTexts, token_texts
from .values import ValueStore


class RecordedCache:
    """Records and values that are there, from whatever recording or file."""

    def __init__(
        self,
        budget: object = "1 GiB",
        *,
        tokens: Any = None,
        image: Any = None,
        spill: str | os.PathLike[str] | None = None,
    ) -> None:
        budget_bytes = parse_budget(budget)
        self._values = ValueStore(budget_bytes, None if spill is None else Spill(spill))
        self._settled: tuple[TensorRecord, ...] | None = ()
        self._trace = capturing.Trace()
        self._again = BringingBack(self._values, None)
        self._closed = False
        self._token_texts = token_texts(tokens)
        self._step_labels: tuple[str, ...] = ()
        self._ranks: JoinedRanks | None = None
        self.tokens = tokens
        self.image = image

    @property
    def _records(self) -> tuple[TensorRecord, ...]:
        """The records. Those of a recording are made when they are first read, since that reads every value held."""
        if self._settled is None:
            self._settled = self._make_records()
        return self._settled

    @_records.setter
    def _records(self, records: tuple[TensorRecord, ...]) -> None:
        self._settled = records

    def _make_records(self) -> tuple[TensorRecord, ...]:
        """The records of a recording that has ended."""
        return ()

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """All records in the order in which modules finished; after them those that join parts of memories over time.

        The residual of a recovered value is there once the value was looked at.
        """
        if news := self._values.recoveries.news():
            self._records = with_findings(self._records, news)
        return self._records

    @property
    def budget_bytes(self) -> int:
        """Bytes that values may occupy."""
        return self._values.budget_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes of the values that are held, each once however many names it has.

        With those of inputs while values may have to be computed again. When all are held, the model's input stays for
        ``what_if``, within the budget, and counts in :attr:`input_bytes` alone.
        """
        if self._ranks is not None:
            return self._ranks.held_bytes
        return self._values.held_bytes - (self.input_bytes if self._again.replay is None else 0)

    @property
    def input_bytes(self) -> int:
        """Bytes of inputs that are held to run the model or parts of it again, and are no value of a record."""
        return self._values.saved_bytes

    @property
    def recorded_bytes(self) -> int:
        """Bytes of all recorded values, held or not, each once: the budget that would keep everything."""
        return self._values.recorded_bytes

    @property
    def summary(self) -> str:
        """What was recorded and what of it is held, as one line: ``"1.0 GiB recorded, 256.0 MiB kept, ..."``."""
        if self._ranks is not None:
            return self._ranks.summary
        total, held = self._values.recorded_bytes, self._values.kept_bytes
        if not any(record.on_demand for record in self._records):
            lost = sum(not record.available for record in self._records)
            missing = f", {lost} of {len(self._records)} tensors not kept" if lost else ", all kept"
            return f"{format_bytes(total)} recorded{missing}"
        rest = "rest on disk" if self._values.spills else "rest on demand"
        lost_text = f", {self._again.lost} not reproducible" if self._again.lost else ""
        return f"{format_bytes(total)} recorded, {format_bytes(held)} kept, {rest}{lost_text}"

    @property
    def token_texts(self) -> TokenTexts:
        """The texts of ``tokens`` by sequence, sample and position; no sequence when none were given."""
        return self._token_texts

    @property
    def step_labels(self) -> tuple[str, ...]:
        """What the steps are called, as in "epoch 3" (see ``record_step``); () where they have numbers only."""
        return self._step_labels

    @property
    def recording(self) -> bool:
        """Whether a recording has not ended yet (see ``mv.record``): nothing can be looked at."""
        return False

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def opaque(self) -> dict[str, str]:
        """Path -> a sentence, for modules that take no hooks."""
        return dict(self._trace.opaque)

    @property
    def reproducible(self) -> bool | None:
        """False once a replay gave other values than the recorded ones; None while none was needed."""
        return False if self._again.lost else None if not self._again.used else True

    @property
    def never_called(self) -> tuple[str, ...]:
        """Paths of modules with a forward that did not run."""
        return self._trace.never_called

    @property
    def remarks(self) -> tuple[str, ...]:
        """What could not be recorded or put back, a sentence each."""
        return tuple(self._trace.remarks)

    def names(self) -> tuple[str, ...]:
        """Paths of the recorded modules, in execution order, each once."""
        outputs = (record.path for record in self._records if record.kind == "output")
        return tuple(dict.fromkeys((*outputs, *(record.path for record in self._records))))

    def __len__(self) -> int:
        return len(self.names())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and any(
            record.path == self._trace.names.get(path, path) for record in self._records
        )

    def __getitem__(self, path: str) -> Tensor:
        """A copy of the first tensor that the module's first call returned."""
        return self.get(path)

    def get(
        self, path: str, kind: str = "output", call: int | None = None, item: str | None = None, step: int | str = 0
    ) -> Tensor:
        """A copy of one recorded value.

        Args:
            path: Module path, any of its names if it is registered under several; "" is the model.
            kind: "output"; "attention": all weights of an attention that ran in the module (see :meth:`attention`); or
                a part of a memory: "hidden", "cell", "gate.f", "memory", "read_weights" ... (see :meth:`memories`).
            call: Which call of the module within the step, 0 = the one entered first; None is the first, of a part of
                a memory all of them, joined along the axis "time".
            item: Place in the result ("0", "1.0", "logits"); None is the first tensor of the result.
            step: Which outermost call of the model, 0 = the first; or the label of a recorded step, as in "epoch 3".

        Raises:
            ClosedError: after :meth:`close`.
            UnknownRecordError: when there is no such record; it names the nearest or those that exist.
            NotKeptError: when the values were not kept; it says how to get them.
            NotReproducibleError: when they were dropped and a replay gave other values.
        """
        self._check_open()
        value = self.value(self.find(path, kind, call, item, step))
        # Like clone(), but an expanded tensor stays small.
        return capturing.snapshot(value) if isinstance(value, Tensor) else value.load()

    def attention(
        self,
        path: str,
        *,
        head: int | None = None,
        queries: slice | int | None = None,
        batch: int | None = None,
        call: int = 0,
        item: str | None = None,
        step: int | str = 0,
    ) -> Tensor:
        """Attention weights of a module, computed from q and k for the asked part only.

        Args:
            path: Path of the module in which the attention ran.
            head: One head, or None for all; one axis less when given. ``batch`` and ``queries`` likewise.
            queries: One query position or a slice of them.
            batch: One sample.
            call, item, step: As in :meth:`get`; item "1" is the second attention within one call.

        Returns:
            (batch, head, query, key), rows sum to 1 (0 where everything is masked), float32 or float64.

        Raises:
            As :meth:`get`; IndexError for a head, query or sample that does not exist.
        """
        self._check_open()
        value = self.value(self.find(path, "attention", call, item, step))
        index = (*(slice(None) if wanted is None else wanted for wanted in (batch, head, queries)), slice(None))
        for wanted, size, name in zip((batch, head), value.shape, ("sample", "head"), strict=False):
            if wanted is not None and not -size <= wanted < size:
                raise IndexError(f"no {name} {wanted}; the attention of {path!r} has {size}, counted from 0.")
        return capturing.snapshot(value[index]) if isinstance(value, Tensor) else value.read(index)

    def memories(self) -> dict[str, tuple[TensorRecord, ...]]:
        """The memories that were found: label -> records of their parts, joined over time where they are."""
        return memories_of(self.records)

    def find(
        self, path: str, kind: str = "output", call: int | None = None, item: str | None = None, step: int | str = 0
    ) -> TensorRecord:
        """The record that :meth:`get` would read. Raises UnknownRecordError."""
        number = find_step(self.step_labels, step) if isinstance(step, str) else step
        return find_record(self.records, self._trace, path, kind, number, call, item)

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The held value itself, without a copy: for drawing, never to be handed to users or written to.

        What is not held is computed again first, by running the smallest part of the model that gives it.

        Returns:
            A tensor; or, for attention weights and for values on disk, a LazyValue.

        Raises:
            ClosedError: after :meth:`close`.
            NotKeptError: when the values were not kept and cannot be had.
            NotReproducibleError: when they were dropped and a replay gave other values.
        """
        self._check_open()
        if self._ranks is not None:
            return self._ranks.value(record)
        if record.parts:
            return joined_value(record, self._records, lambda index: self.value(self._records[index]))
        try:
            value = self._values.get(record.index)
            if value is None and record.available:
                self._again.fetch(record)
                value = self._values.get(record.index)
        except capturing.RecurrentError as error:
            raise NotKeptError(f"{record.label!r} (call {record.call}) cannot be recovered: {error}") from error
        if value is None:
            raise NotKeptError(f"{record.label!r} (call {record.call}) has no values here: {record.note}")
        return value

    def recoveries(self, record: TensorRecord) -> tuple[RecoveredValue, ...]:
        """The calls that a recovered value comes from, with their inputs and weights: one per call, in order.

        () where a part of it was read and not recovered, or its tensors are not held. Brings nothing back by itself.

        Raises:
            ClosedError: after :meth:`close`.
        """
        self._check_open()
        if self._ranks is not None:
            return ()
        found = [self._values.recovery(index) for index in record.parts or (record.index,)]
        known = tuple(value for value in found if value is not None)
        return known if len(known) == len(found) else ()

    def value_or_none(self, record: TensorRecord) -> Tensor | LazyValue | None:
        """The held value without a copy, or None when it is not held now or the cache is closed."""
        if self._closed or record.parts:
            return None
        if self._ranks is not None:
            return self._ranks.value(record) if record.available else None
        return self._values.get(record.index)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        values: str = "all",
        overwrite: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        """Write everything to a folder or file, from which ``ActivationCache.open`` reads it without the model.

        What is not held is brought back one value at a time; memory stays within the budget. A value that cannot be had
        is left out, and its record says why. Attention is written as query and key, recovered values as they are
        computed.

        In a process of several (a process group of torch.distributed) each rank saves its own part, to the same path,
        without waiting for the others; ``open`` puts the parts together. A capture that was gathered, or opened from
        such a store, is saved with the parts of all its ranks.

        Args:
            path: ``"run.zarr"``: a folder, of any size, with a file per MiB. ``"run.safetensors"``: one file, for small
                ones. Of this machine, or a URL of any file system that fsspec knows, such as ``"s3://bucket/run.zarr"``.
            values: "all"; or "held": only what is in memory or on disk now, without running the model.
            overwrite: Replace what is there, if it is a saved capture. On this machine it goes when the new one is
                complete; elsewhere before that is written. Of several ranks each replaces its own part only.
            rank, world_size: Which of how many processes this is, for launchers without torch.distributed; None asks
                the process group.

        Raises:
            SaveError: when the path is taken, or cannot be written. Nothing is left there then.
            MissingExtraError: when the URL needs a package that is not installed.
            ClosedError, RecordingError: after :meth:`close`, and while a recording runs.
        """
        self._check_open()
        if self._ranks is not None:
            save_parts(self._ranks, path, overwrite=overwrite)
            return
        part = part_of(rank, world_size)
        options = SaveOptions(values=values, overwrite=overwrite, part=part)
        save_capture(self, self._values, self._trace, path, options)

    def _take_ranks(self, ranks: JoinedRanks) -> None:
        """Become the recording of several ranks; what this cache had is let go."""
        self._again.close()
        self._values.clear()
        self._values = ValueStore(self.budget_bytes)
        self._values.recorded_bytes = ranks.recorded_bytes
        self._again = BringingBack(self._values, None)
        self._ranks, self._records, self._trace = ranks, ranks.records, ranks.trace
        self.tokens, self.image, self._step_labels = ranks.tokens, ranks.image, ranks.step_labels
        self._token_texts = token_texts(ranks.tokens)

    def _check_open(self) -> None:
        if self.recording:
            raise RecordingError("this cache is still recording; call cache.stop() first, or leave the with block.")
        if self._closed:
            raise ClosedError("this cache was closed and its values are gone; records remain. Capture again.")

    def close(self) -> None:
        """Free all values and let the model go. Records stay readable; asking for a value raises ClosedError."""
        _ = self._records  # the statistics of what is held
        self._again.close()
        self._values.clear()
        if self._ranks is not None:
            self._ranks.close()
        self._closed = True

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{format_bytes(self.held_bytes)} of {format_bytes(self.budget_bytes)}"
        lost = sum(not record.available for record in self._records)
        again = sum(record.on_demand for record in self._records)
        missing = (f", {again} on demand" if again else "") + (f", {lost} not kept" if lost else "")
        return f"<ActivationCache: {len(self)} modules, {len(self._records)} records{missing}, {state}>"
