"""TimeLapse: forwards of one network at different times of its training, as the steps of one cache.

In: a model and its input, again and again. Out: records with a step per forward, the label of each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from .. import capture as capturing
from ..capture import Derived
from ..capture.drafts import MOST_RECORDS
from ..errors import RecordingError
from ..records import Draft, TensorRecord
from .joining import with_joined
from .thinned_values import ThinnedValues

MOST_CHARACTERS = 200
"""Longest label of a step."""


class TimeLapse:
    """The steps of one cache.

    Args:
        values: Where their values go.
        trace: Filled with what the forwards tell about the model.

    Attributes:
        labels: The label of each step.
        records: All records; those that join several stand behind the step that they are of.
    """

    def __init__(self, values: ThinnedValues, trace: capturing.Trace) -> None:
        self.labels: tuple[str, ...] = ()
        self.records: tuple[TensorRecord, ...] = ()
        self._values = values
        self._trace = trace
        self._joined: dict[int, int] = {}
        """Index of a record -> that of the one that joins it with others."""

    def record(
        self,
        model: nn.Module,
        x: object,
        label: object,
        layers: object,
        dims: Mapping[str, object] | None,
        call: Callable[[Any], Any] | None,
        known: tuple[TensorRecord, ...],
    ) -> None:
        """One forward as the next step, or nothing when it raises. ``known``: the records, with what was found since.

        Raises:
            RecordingError: when the label is taken, or there are too many records.
            ModelError, LayersError, DimsError, InputError, ForwardError: as in a capture.
        """
        name = self._new_label(label)
        if len(known) >= MOST_RECORDS:
            raise RecordingError(
                f"{len(known):,} records of {len(self.labels)} steps are in this cache, the most it takes; record "
                "fewer steps, or fewer layers with layers=['layer1.*']."
            )
        trace = capturing.Trace()
        sink = _StepSink(self._values, first=len(known), step=len(self.labels))
        before = len(self._values.drafts)
        try:
            session = capturing.Session(model, sink, layers=layers, dims=dims, trace=trace)
            capturing.run(session, x, call)
        except BaseException:
            self._values.discard(len(known))
            raise
        self._values.finish()
        drafts = self._values.drafts[before:]
        settled = known + tuple(self._values.records(on_demand=False, start=before))
        records = with_joined(drafts, settled, first=len(known))
        self._joined.update((part, record.index) for record in records[len(settled) :] for part in record.parts)
        self.records = self._without_lost(records)
        self.labels += (name,)
        self._trace.add(trace)

    def _new_label(self, label: object) -> str:
        name = str(len(self.labels) if label is None else label)[:MOST_CHARACTERS]
        name = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if name in self.labels:
            raise RecordingError(
                f"step {name!r} is in this cache already (number {self.labels.index(name)} of {len(self.labels)}); "
                "give the step another label, or begin again with a new mv.ActivationCache()."
            )
        return name

    def _without_lost(self, records: tuple[TensorRecord, ...]) -> tuple[TensorRecord, ...]:
        """The records, those without values that went to make room."""
        lost = self._values.lost()
        if not lost:
            return records
        changed = list(records)
        for index in lost | {self._joined[part] for part in lost if part in self._joined}:
            record = records[index]
            price = self._values.price(record if not record.parts else records[record.parts[0]])
            note = "; ".join(filter(None, (_without(record.note, "not kept"), price)))
            changed[index] = replace(record, kept=False, on_demand=False, note=note)
        return tuple(changed)


def _without(note: str, start: str) -> str:
    """The parts of a note that do not begin with a text: what is said anew."""
    return "; ".join(part for part in note.split("; ") if not part.startswith(start))


class _StepSink:
    """Takes the records of one forward into their place among those of all steps.

    Where ``call=`` runs the model several times (``generate``), these are calls of one step.
    """

    def __init__(self, values: ThinnedValues, first: int, step: int) -> None:
        self._values = values
        self._first = first
        self._step = step
        self._outermost = 0
        self._calls: dict[str, int] = {}
        self._earlier: dict[str, int] = {}
        """Path -> its calls in the runs of the model before this one."""

    def __call__(self, draft: Draft, live: Tensor | Derived | None) -> None:
        """Hand on one record."""
        if draft.step != self._outermost:
            self._outermost, self._earlier = draft.step, dict(self._calls)
        call = draft.call + self._earlier.get(draft.path, 0)
        self._calls[draft.path] = max(call + 1, self._calls.get(draft.path, 0))
        caller = draft.caller and (draft.caller[0], draft.caller[1] + self._earlier.get(draft.caller[0], 0))
        index = draft.index + self._first
        self._values.add(draft._replace(index=index, step=self._step, call=call, caller=caller), live)
