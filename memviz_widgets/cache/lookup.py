"""Lookup: one record by what a user calls it, or the error that says what there is instead.

In: all records and the names of the model. Out: a record.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..capture import Trace
from ..errors import UnknownRecordError, nearest_hint
from ..records import TensorRecord

MOST_LISTED = 12
"""Values that an error lists."""


def find_record(
    records: Sequence[TensorRecord], trace: Trace, path: str, kind: str, step: int, call: int | None, item: str | None
) -> TensorRecord:
    """The record with these names; ``item`` None is the first tensor of the result.

    ``call`` None is the record over all calls where there is one, as of parts of memories, else call 0.

    Raises:
        UnknownRecordError: when there is none; it names the nearest path, or the kinds, steps, calls, items there are.
    """
    found = _of_path(records, trace, path)
    found = _narrow(found, "kind", kind, f"{path!r} has no kind")
    found = _narrow(found, "step", step, f"{path!r} has no step")
    joined = [record for record in found if record.parts and record.memory]
    if call is None and joined:
        found = joined
    else:
        call = call or 0
        apart = [each for each in found if not (each.parts and each.memory)]
        found = _narrow(apart, "call", call, f"{path!r} has no call")
    if item is None:
        # A note about an item that is no tensor must not hide the tensor after it.
        return next((record for record in found if record.dtype), found[0])
    return _narrow(found, "item", str(item), f"call {call} of {path!r} has no item")[0]


def find_step(labels: Sequence[str], label: str) -> int:
    """Number of the step with this label.

    Raises:
        UnknownRecordError: when there is none; it names the nearest.
    """
    if label in labels:
        return labels.index(label)
    there = f"there are {len(labels)} labels{nearest_hint(label, labels)}" if labels else "steps have numbers here"
    raise UnknownRecordError(f"no step {label!r}; {there}. See cache.step_labels.")


def _of_path(records: Sequence[TensorRecord], trace: Trace, path: str) -> list[TensorRecord]:
    """Records of a module, or the error that says why there are none."""
    known = trace.names.get(path, path)
    found = [record for record in records if record.path == known]
    if found:
        return found
    if known in trace.opaque:
        raise UnknownRecordError(f"no record {path!r}: {trace.opaque[known]}. List records with cache.names().")
    if known in trace.types:
        ran = known in trace.fired
        why = "it ran, but layers= left it out or it returned no tensor" if ran else "this module did not run"
        raise UnknownRecordError(f"no record {path!r}: {why}. List records with cache.names().")
    names = list(dict.fromkeys(record.path for record in records))
    raise UnknownRecordError(
        f"no record {path!r} ({len(names)} recorded){nearest_hint(str(path), names)}. List them with cache.names()."
    )


def _narrow(records: list[TensorRecord], field: str, wanted: object, complaint: str) -> list[TensorRecord]:
    """Records whose field has the wanted value, or an error that lists the values there are."""
    found = [record for record in records if getattr(record, field) == wanted]
    if found:
        return found
    there = list(dict.fromkeys(getattr(record, field) for record in records))
    shown = ", ".join(repr(value) for value in there[:MOST_LISTED]) + (", ..." if len(there) > MOST_LISTED else "")
    raise UnknownRecordError(f"{complaint} {wanted!r}; there is {shown}. See cache.records.")
