"""Measuring: when the statistics of a value are taken: while it is alive, or of its copy when somebody asks.

In: live values and what is held of them. Out: their stats. Of a tensor on an accelerator nothing is read while the
recording runs, since each read waits for all that the accelerator was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..capture import on_host, read_samples, read_together, stream_of, tensor_stats, wait_for
from .held import Entry, Value
from .holdings import Holdings

MEASURED_LATER = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
"""Dtypes of which statistics are certain to exist; of others it is known at once whether they have any."""
WRITTEN_TO = "not kept: it was written to without a trace after it was recorded elsewhere"


class Measuring:
    """Takes statistics of the values of one store.

    Between a model's operations as few as possible: a copy can be measured later, in a loop over all copies, which
    takes half the time, and none at all as long as nobody looks. Holdings measure what they give up before.
    """

    def __init__(self, held: Holdings) -> None:
        self._held = held
        self._later: list[Value] = []
        self._doubts: list[tuple[int, Value, Tensor]] = []

    def take(self, value: Value, live: Tensor) -> None:
        """A value that is to be measured; ``live`` may change right after this returns."""
        if value.looked_at:
            return
        value.looked_at = True
        if not on_host(live):
            self._held.streams.add((live.device, stream_of(live.device)))
        source = live if value.tensor is None else value.tensor
        certain = value.dense and source.dtype in MEASURED_LATER
        if certain and (value.tensor is not None or self._add_up(value, live)):
            self._later.append(value)
        else:
            self._measure(value, live)

    def doubt(self, index: int, value: Value, right: Tensor) -> None:
        """Record ``index`` is of this value, if ``right`` turns out to be true."""
        self._doubts.append((index, value, right))

    def settle(self) -> None:
        """The recording is over: what was copied and summed on other streams than the caller's is there."""
        wait_for({device for device, _ in self._held.streams})
        self._held.streams.clear()

    def finish(self, entries: Mapping[int, Entry]) -> None:
        """Read what accelerators have computed, and measure the copies that are held."""
        for value in self._later:
            if value.tensor is not None and value.stats is None and not self._add_up(value, value.tensor):
                self._measure(value, value.tensor)
        self._held.summing.read()
        for value in self._later:
            if value.stats is None and value.sums is not None:
                value.stats, value.sums = value.sums.stats, None
        _read_marks(value for entry in entries.values() for value in entry.parts.values())
        self._settle_doubts(entries)
        self._later.clear()

    def clear(self) -> None:
        """Forget what was not measured."""
        self._later.clear()
        self._doubts.clear()
        self._held.summing.clear()

    def _settle_doubts(self, entries: Mapping[int, Entry]) -> None:
        """A record whose tensor was changed without a trace has no value: that of before is not its own."""
        flags = read_together([each[2].view(1) for each in self._doubts])
        for (index, value, _), right in zip(self._doubts, flags, strict=True):
            if not right and index in entries:
                parts = entries[index].parts
                wrong = replace(value, tensor=None, stats=None, mark=None, note=WRITTEN_TO, pins=0, spilled=None)
                parts.update({name: wrong for name, part in parts.items() if part is value})
        self._doubts.clear()

    def _add_up(self, value: Value, live: Tensor) -> bool:
        """Begin to measure a tensor where it is; whether that is possible without waiting."""
        if value.sums is None:
            value.sums = self._held.summing.add(live, changes=live is not value.tensor)
        return value.sums is not None

    def _measure(self, value: Value, live: Tensor) -> None:
        """Statistics of a value. Of the copy if there is one, since it is contiguous, but not of a stand-in."""
        source = value.tensor if value.tensor is not None and value.dense else live
        try:
            value.stats = tensor_stats(source)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            dtype = str(live.dtype).removeprefix("torch.")
            value.note = f"no arithmetic for {dtype} in this torch, shape only ({error})"
            self._held.give_up(value)


def _read_marks(values: Iterable[Value]) -> None:
    found = {id(value): value for value in values if isinstance(value.mark, Tensor)}
    marks = read_samples([value.mark for value in found.values() if isinstance(value.mark, Tensor)])
    for value, mark in zip(found.values(), marks, strict=True):
        value.mark = mark
