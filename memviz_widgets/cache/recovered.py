"""Recoveries: values that are recovered from the tensors of a call, together where that fits, one at a time else.

In: a value that is looked at for the first time, and how much room there is. Out: tensors to hold; residuals and notes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..capture import RecoveredValue, snapshot
from ..records import TensorRecord

WINDOW_BYTES = 2**23
"""Bytes of a value that are computed at a time, when all of it is too much to be computed at once."""
WORKING_SHARE = 2
"""Computing all values of a call takes about this many times their bytes for a moment."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a recovered value: its largest error, and what the user must know about it."""

    residual: float
    note: str


class Recoveries:
    """The values of one recording that are recovered, by the call that they belong to."""

    def __init__(self) -> None:
        self._calls: dict[int, list[tuple[int, RecoveredValue]]] = {}
        self._news: dict[int, Finding] = {}

    def add(self, index: int, value: RecoveredValue) -> None:
        """A record whose value will be recovered; kept without its tensors."""
        self._calls.setdefault(id(value.recovery), []).append((index, value.with_tensors({})))

    def compute(
        self, index: int, value: RecoveredValue, make_room: Callable[[int], bool]
    ) -> Iterator[tuple[int, Tensor]]:
        """Indices of records and their values, as far as there is room: of the whole call, of this one, or of none.

        Raises:
            RecurrentError: when they cannot be recovered.
        """
        together = self._calls[id(value.recovery)]
        total = sum(_nbytes(each) for _, each in together)
        if make_room(WORKING_SHARE * total):
            recovered = value.recovery.compute(value.given)
            self._found(together, recovered.residual, recovered.note)
            for other, each in together:
                yield other, _own(recovered.values.pop(each.key))
        elif value.time >= 0 and make_room(_nbytes(value)):
            yield index, _by_windows(value)
            self._found(together, value.recovery.residual(value.given), "")
        else:
            self._found(together, value.recovery.residual(value.given), "")

    def _found(self, together: list[tuple[int, RecoveredValue]], residual: float, note: str) -> None:
        self._news.update((index, Finding(residual, note)) for index, _ in together)

    def news(self) -> dict[int, Finding]:
        """What was found since this was asked last: index of a record -> its residual and note."""
        news, self._news = self._news, {}
        return news

    def clear(self) -> None:
        """Forget the calls."""
        self._calls.clear()


def with_findings(records: tuple[TensorRecord, ...], news: Mapping[int, Finding]) -> tuple[TensorRecord, ...]:
    """The records with what was found about them; of a joined one, the largest residual of its parts."""
    changed = list(records)
    for index, finding in news.items():
        record = changed[index]
        texts = dict.fromkeys(filter(None, (record.note, finding.note)))
        changed[index] = replace(record, residual=finding.residual, note="; ".join(texts))
    for index, record in enumerate(records):
        residuals = [residual for part in record.parts if (residual := changed[part].residual) is not None]
        if residuals:
            changed[index] = replace(record, residual=max(residuals))
    return tuple(changed)


def _nbytes(value: RecoveredValue) -> int:
    return math.prod(value.shape) * value.dtype.itemsize


def _own(tensor: Tensor) -> Tensor:
    """The tensor itself, when nothing else is in its memory; else a copy."""
    alone = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if alone else snapshot(tensor)


def _by_windows(value: RecoveredValue) -> Tensor:
    """All of a value, some timesteps at a time."""
    steps = value.shape[value.time]
    at_once = max(1, WINDOW_BYTES * steps // max(1, _nbytes(value)))
    whole = torch.empty(value.shape, dtype=value.dtype, device=value.device)
    for start in range(0, steps, at_once):
        stop = min(steps, start + at_once)
        part = value.recovery.window(value.given, value.key, start, stop)
        whole.narrow(value.time, start, stop - start).copy_(part)
    return whole
