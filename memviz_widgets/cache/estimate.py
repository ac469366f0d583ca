"""Estimate: the price of a capture, from one forward that keeps nothing.

In: the arguments of a capture. Out: bytes per record and in all, each value once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .. import capture as capturing
from ..capture import Derived
from ..records import Draft, TensorRecord
from .budget import budget_text, format_bytes

MOST_LISTED = 8
"""Records that the text of an estimate lists, the largest first."""


@dataclass(frozen=True, slots=True, repr=False)
class Estimate:
    """What a capture would cost.

    Attributes:
        nbytes: Bytes of all values, each once however many names it has.
        input_bytes: Bytes of the inputs that a capture saves besides, to compute values again.
        records: Every record that a capture would have, without statistics.
        costs: Bytes per record, in the same order; 0 for a value that an earlier record has already.
    """

    nbytes: int
    input_bytes: int
    records: tuple[TensorRecord, ...]
    costs: tuple[int, ...]

    @property
    def budget(self) -> str:
        """The smallest round budget that keeps everything, as text for ``budget=``."""
        return budget_text(self.nbytes + self.input_bytes)

    def __repr__(self) -> str:
        pairs = sorted(zip(self.costs, self.records, strict=True), key=lambda pair: -pair[0])[:MOST_LISTED]
        lines = [f"  {format_bytes(cost):>10}  {record.label}" for cost, record in pairs if cost]
        head = f"{len(self.records)} records, {format_bytes(self.nbytes)}: budget={self.budget!r} keeps all"
        return "\n".join([head, *lines])


class _NotHeld:
    """In place of a saved input."""

    tensor: Tensor | None = None


class _Tally:
    """Sink that adds up what each value would cost and keeps none."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.costs: list[int] = []
        self.input_bytes = 0
        self._seen: capturing.TensorMap[tuple[int | None]] = capturing.TensorMap()

    def __call__(self, draft: Draft, live: Tensor | Derived | None) -> None:
        parts = live.tensors().values() if isinstance(live, Derived) else () if live is None else (live,)
        self.drafts.append(draft)
        self.costs.append(sum(self._cost(part) for part in parts))

    def hold(self, live: Tensor, outermost: bool) -> _NotHeld:
        """What a capture would keep for a replay: the values of records are kept already."""
        self.input_bytes += self._cost(live)
        return _NotHeld()

    def _cost(self, live: Tensor) -> int:
        version = (capturing.version_of(live),)
        if self._seen.get(live) == version:
            return 0
        self._seen.put(live, version)
        return capturing.held_nbytes(live, capturing.look(live))


def estimate(
    model: nn.Module,
    x: object,
    *,
    layers: object = None,
    dims: Mapping[str, object] | None = None,
    call: Callable[[Any], Any] | None = None,
) -> Estimate:
    """Run the model once and add up what a capture would cost. See ``ActivationCache.estimate``."""
    tally = _Tally()
    holder = capturing.Holder(tally.hold, lambda held: None)
    session = capturing.Session(
        model, tally, layers=layers, dims=dims, trace=capturing.Trace(), holder=holder, priced=True
    )
    capturing.run(session, x, call)
    records = tuple(draft.record() for draft in tally.drafts)
    return Estimate(sum(tally.costs), tally.input_bytes, records, tuple(tally.costs))
