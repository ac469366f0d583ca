"""The twin of a recording: the same forward with some tensors changed by hand.

In: a cache of one forward, edits by place. Out: what fills another cache with the same records, of the forward with
the edits; or an error that says which edit does not fit, or why the forward cannot be run again.

A place is written as a record's label: ``"conv1"``, ``"enc[1]"``, ``"block.attn attention"``, ``"lstm[l0] gate.f"``;
``"input"`` and ``"input[mask]"`` are what the model is called with, ``"block input"`` what a module is called with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from .. import capture as capturing
from ..capture import Change, Edit, Origin, Prefix, WhatIf
from ..errors import EditError, ForwardError, UnknownRecordError, WhatIfError
from ..records import TensorRecord
from .lookup import find_record
from .recorded_cache import RecordedCache

_PLACE = re.compile(r"(?P<path>.*?)(?:\[(?P<item>[^\[\]]*)\])?(?: (?P<kind>\S+))?")
_COUNTED = ("call", "step")
"""Axes of a what-if that no tensor has: in which calls of a module, in which calls of the model."""


class WhatIfPlan:
    """A forward with edits that is ready to be run.

    Args:
        cache: Of the forward without them.
        trace: Of that cache.
        origin: What that forward started from.
        edits: Place -> edit or edits.
        model, x, call: As in :meth:`ActivationCache.what_if`.

    Attributes:
        model: To be run.
        layers, dims: As the cache was made with.
        what_if: The edits, for the session.

    Raises:
        EditError, UnknownRecordError, WhatIfError: As :meth:`ActivationCache.what_if`.
    """

    def __init__(
        self,
        cache: RecordedCache,
        trace: capturing.Trace,
        origin: Origin | None,
        edits: Mapping[str, Any],
        *,
        model: nn.Module | None,
        x: object,
        call: Callable[[Any], Any] | None,
    ) -> None:
        changes = changes_of(cache, trace, edits)
        self.model, unchanged = _model_for(origin, model)
        if reason := capturing.why_collective(self.model):
            raise WhatIfError(f"a what-if runs the model on this rank alone, and {reason}.")
        is_same_input = x is None and call is None
        self._x: object
        self._x, self._call = _input_for(origin) if is_same_input else (x, call)
        self._changes = changes
        self._origin = origin
        self.layers = None if origin is None else origin.layers
        self.dims = None if origin is None else origin.dims
        safe = unchanged and is_same_input
        self.what_if = WhatIf(changes, Prefix(_known_before(cache, changes)) if safe else None)

    def run(self, session: capturing.Session) -> None:
        """Run it, and remark what was changed.

        Raises:
            EditError: when an edit does not fit what was computed, or nothing of the kind was.
            InputError, DimsError, ForwardError: As a capture.
            WhatIfError: when the model asks other ranks, which do not run it.
        """
        restored = nullcontext() if self._origin is None else self._origin.restored(self.model)
        try:
            with restored, capturing.without_collectives():
                capturing.run(session, self._x, self._call)
        except capturing.CollectiveError as error:
            raise WhatIfError(f"a what-if runs the model on this rank alone, and {error}.") from None
        except ForwardError:
            if self.what_if.error is not None:
                raise self.what_if.error from None
            raise
        _check_applied(self._changes, self.what_if)
        for change in self._changes:
            session.trace.remark(f"what-if: {change.label!r} is changed by {change.edit}")
        skipped = 0 if self.what_if.prefix is None else self.what_if.prefix.count
        if skipped:
            session.trace.remark(f"what-if: {skipped} calls gave what was recorded, and were not computed again")


def _check_applied(changes: Sequence[Change], what_if: WhatIf) -> None:
    if what_if.error is not None:
        raise what_if.error
    missed = [change for change in changes if change not in what_if.applied]
    if missed:
        raise EditError(
            f"the edit of {missed[0].label!r} was never made: no such call or attention ran this time. See "
            "cache.records."
        )


def _model_for(origin: Origin | None, model: nn.Module | None) -> tuple[nn.Module, bool]:
    """The model to run, and whether it is certainly the one that was recorded."""
    if model is not None:
        return model, origin is not None and origin.unchanged(model)
    if origin is None:
        raise WhatIfError(
            "this cache was not made by ActivationCache.capture, so it knows no forward to run again (of a twin, ask "
            "the cache that it was made of). Pass model= and x= (or call=)."
        )
    found = origin.model
    if found is None:
        raise WhatIfError(
            "the model is gone: a cache that holds all values does not keep it alive. Keep a reference to it, or pass "
            "model=."
        )
    if not origin.unchanged(found):
        raise WhatIfError(
            "the model's weights or buffers were written to since the capture, so a twin would differ by more than the "
            "edits. Capture again, or pass model= to run it as it is now."
        )
    return found, True


def _input_for(origin: Origin | None) -> tuple[Any, Callable[[Any], Any] | None]:
    """What the recorded forward was run with: its input, or what ran it."""
    if origin is not None and origin.call is not None:
        return None, origin.call
    saved = origin.arguments() if origin is not None else None
    if saved is None:
        raise WhatIfError(
            "the input of the model was not kept: it had no room in the budget, values were spilled, or call= held a "
            "module. Pass x= or call= again."
        )
    args, kwargs = saved
    return (kwargs if kwargs else args), None  # never both, as x is a tuple or a mapping


def changes_of(cache: RecordedCache, trace: capturing.Trace, edits: Mapping[str, Any]) -> list[Change]:
    """The edits, compared with what was recorded.

    Raises:
        EditError: when one does not fit its record, or is no edit.
        UnknownRecordError: when there is no such record.
    """
    given_edits: object = edits
    if not isinstance(given_edits, Mapping) or not given_edits:
        what = "empty" if isinstance(given_edits, Mapping) else f"a {type(edits).__name__}"
        raise EditError(f"the edits are {what}; expected a mapping such as {{'conv1': mv.edit.zero(channel=3)}}.")
    found: list[Change] = []
    for label, given in edits.items():
        place = _place(trace, str(label))
        found += [_change(cache, trace, *place, str(label), edit) for edit in capturing.as_edits(given, str(label))]
    return found


def _place(trace: capturing.Trace, label: str) -> tuple[str, str, str | None]:
    """(path, kind, item or None) of a label."""
    names = trace.names
    if label in names:
        return names[label], "output", None
    match = _PLACE.fullmatch(label)
    path, item, kind = match.group("path", "item", "kind") if match else (label, None, None)
    if path == "input" and kind is None and path not in names:
        return "", "input", item
    path = "" if path == "(model)" else path
    return names.get(path, path), kind or "output", item


def _change(
    cache: RecordedCache, trace: capturing.Trace, path: str, kind: str, item: str | None, label: str, edit: Edit
) -> Change:
    counted = {axis: edit.places[axis] for axis in _COUNTED if axis in edit.places}
    rest = edit
    for axis in counted:
        rest = rest.without(axis)
    if kind == "input":
        if path not in trace.types:
            find_record(cache.records, trace, path, "output", 0, None, None)  # raises, and says what is near
        picked = {axis: _count(pick, axis, label) for axis, pick in counted.items()}
        return Change(path, kind, item or "", label, rest, (), picked.get("call"), picked.get("step"))
    found = _records(cache, trace, path, kind, item)
    if "time" in rest.places and "time" not in found[0].dims and found[0].memory:
        # Of a cell, a timestep is a call.
        counted["call"], rest = rest.places["time"], rest.without("time")
    numbers = {axis: {getattr(record, axis) for record in found} for axis in counted}
    picked = {
        axis: frozenset(capturing.positions(pick, max(numbers[axis]) + 1, axis, label))
        for axis, pick in counted.items()
    }
    change = Change(path, kind, found[0].item, label, rest, found[0].dims, picked.get("call"), picked.get("step"))
    for record in found:
        if change.fits(record.step, record.call):
            rest.check(record.dims, record.shape, label)
    return change


def _count(pick: Any, axis: str, label: str) -> frozenset[int]:
    """Numbers of calls; of an input nobody knows how many there are, so they count from the first."""
    given = [pick] if isinstance(pick, int) else pick
    if isinstance(given, slice) or any(each < 0 for each in given):
        raise EditError(f"{axis}={pick!r} of {label!r}: expected a number or a list of numbers from 0.")
    return frozenset(given)


def _records(
    cache: RecordedCache, trace: capturing.Trace, path: str, kind: str, item: str | None
) -> list[TensorRecord]:
    """All calls of one place, without those that join calls over time."""
    apart = [record for record in cache.records if not record.parts]
    first = find_record(apart, trace, path, kind, 0, None, item)
    found = [
        record
        for record in apart
        if (record.path, record.kind, record.item) == (first.path, first.kind, first.item) and record.dtype
    ]
    if not found:
        raise UnknownRecordError(f"{first.label!r} has no values that could be edited: {first.note}")
    return found


def _known_before(cache: RecordedCache, changes: Sequence[Change]) -> Callable[[str, int], dict[str, Tensor] | None]:
    """What calls returned that ended before the first change, as far as it is held."""
    first = min(_first_index(cache, change) for change in changes)
    outputs: dict[tuple[str, int], list[TensorRecord]] = {}
    for record in cache.records:
        if record.kind == "output" and not record.parts and record.step == 0:
            outputs.setdefault((record.path, record.call), []).append(record)

    def known(path: str, call: int) -> dict[str, Tensor] | None:
        records = outputs.get((path, call), [])
        if not records or records[-1].index > first:
            return None
        found: dict[str, Tensor] = {}
        for record in records:
            value = cache.value_or_none(record)
            if not isinstance(value, Tensor) or record.note:
                return None
            found[record.item] = value
        return found

    return known


def _first_index(cache: RecordedCache, change: Change) -> int:
    """Index of the first record that a change reaches; -1 for an input, before which nothing is certain."""
    if change.kind == "input":
        return -1
    return min(
        record.index
        for record in cache.records
        if not record.parts
        and (record.path, record.kind, record.item) == (change.path, change.kind, change.item)
        and change.fits(record.step, record.call)
    )
