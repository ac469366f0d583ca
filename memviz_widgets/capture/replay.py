"""Replay: values that were not kept, computed again by running the smallest saved call around them.

In: the index of a record. Out: its live value, handed to a function while the model runs. Nobody may take it for the
recorded one before it was compared with what the record says (the cache does that).
The model is protected as in a capture: buffers, flags, grads and random generators are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from torch import Tensor, nn

from ..records import Draft, TensorRecord
from .anchors import Anchor, Anchors
from .attached import attached
from .collectives import CollectiveError, without_collectives
from .derived import Derived
from .hooks import Recorder
from .memory import MemoryAdapter
from .run_context import cheap_collections, deeper_stack, uncompiled
from .state import kept_state
from .surroundings import TrainingFlags
from .trace import Modules, Site, Trace, is_compiled_wrapper, walk
from .what_if import WhatIf

Value = Tensor | Derived
Take = Callable[[int, Value], bool]
"""Looks at a live value of a record, given by its index; True when it is the recorded one (and was copied)."""


class ReplayFailedError(Exception):
    """No saved call gave the recorded value; the text says what happened. Never leaves the cache."""


class _Found(BaseException):
    """Stops a replay. Not an Exception, which a model may catch."""


class Replay:
    """What is needed to run parts of a recording again. Holds the model.

    Args:
        modules: Those of the recorded model, itself first.
        sites: Its modules with their paths.
        chosen: Paths that were recorded, None = all.
        anchors: The saved calls.
        memories: Id of a module -> the adapter that knew its memory.
        what_if: What was changed by hand in the recorded forward, and is changed again.
    """

    def __init__(
        self,
        modules: Modules,
        sites: list[Site],
        chosen: frozenset[str] | None,
        anchors: Anchors,
        memories: Mapping[int, MemoryAdapter],
        what_if: WhatIf | None = None,
    ) -> None:
        self._model = modules[0][1]
        self._what_if = what_if
        self._sites = {id(site.module): site for site in sites}
        self._chosen = chosen
        self._anchors = anchors
        self._memories = memories
        self._flags = TrainingFlags(modules)
        # Whoever moves weights around a forward (accelerate) must see its end, or they stay where they were moved.
        of_each_class = {type(part): part for _, part in modules}.values()
        moved = any("_hf_hook" in part.__dict__ for _, part in modules)
        self._early_stop = not moved and not any(map(_is_sharded, of_each_class))

    def close(self) -> None:
        """Give up the saved inputs."""
        self._anchors.clear()

    def settle(self) -> None:
        """The recording is over: weights that are written to from now on are not those of the recording."""
        self._anchors.settle()

    def length_around(self, index: int) -> int:
        """Number of records that the replay of this one would make."""
        return self._anchors.length_around(index)

    def block_around(self, index: int) -> range:
        """Indices of the records of the block that a fetch of this one runs; none when it is the whole forward."""
        smallest = next(self._anchors.around(index), None)
        return range(smallest.first, smallest.stop or 0) if smallest and smallest.level else range(0)

    def fetch(self, record: TensorRecord, take: Take, beside: Sequence[TensorRecord] = ()) -> None:
        """Run saved calls, smallest first, until ``take`` recognises the record's value.

        Args:
            record: The record that is wanted.
            take: Is shown its value.
            beside: Records of the same block, shown to ``take`` as they come by; whether they are recognised or not.

        Raises:
            ReplayFailedError: when none gave it.
        """
        reason = "no call around it could be saved"
        for anchor in self._anchors.around(record.index):
            reason = self._try(anchor, _Place(record, anchor.first, take, beside, self._early_stop))
            if not reason:
                return
        raise ReplayFailedError(reason)

    def _try(self, anchor: Anchor, place: _Place) -> str:
        """Run one saved call; "" when it gave the value, else why not."""
        if not self._anchors.same_weights(anchor):
            return "the model's weights were written to since"
        try:
            return "" if self._run(anchor, place) else "another run gave other values"
        except CollectiveError as error:
            return str(error)
        except Exception as error:
            return f"another run raised {type(error).__name__}: {error}"

    def _run(self, anchor: Anchor, place: _Place) -> bool:
        """Run one saved call; whether it gave the value."""
        root = self._model if anchor.module is None else anchor.module
        modules = walk(root)
        sites = [self._sites[id(module)] for _, module in modules if id(module) in self._sites]
        trace = Trace()
        unsaved = self._anchors.unsaved_around(place.wanted, anchor)
        refill = _Refill(self._anchors, unsaved, anchor.first) if unsaved else None
        recorder = Recorder(sites, place, None, trace, self._chosen, anchors=refill, memories=self._memories)
        with ExitStack() as stack:
            stack.enter_context(cheap_collections())
            stack.enter_context(kept_state(modules, trace))
            stack.enter_context(self._flags.restored())
            if self._what_if is not None:
                stack.enter_context(self._what_if.attached(sites, recorder, again=True))
            stack.enter_context(attached(sites, recorder, trace))
            stack.enter_context(uncompiled(modules))
            stack.enter_context(deeper_stack())
            if anchor.surroundings is not None:
                stack.enter_context(anchor.surroundings.restored())
            run = anchor.entry or _call(root, anchor)
            stack.enter_context(suppress(_Found))
            stack.enter_context(without_collectives())
            run()
        if place.error is not None:
            raise place.error
        return place.found


class _Refill:
    """Saves the inputs of one block that a replay of a larger call comes by: its other layers then need it alone."""

    def __init__(self, anchors: Anchors, wanted: Anchor, offset: int) -> None:
        self._anchors = anchors
        self._wanted = wanted
        self._offset = offset

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], index: int) -> bool:
        """A call begins; never asks to be told of its end."""
        if module is self._wanted.module and index + self._offset == self._wanted.first and not self._wanted.saved:
            self._anchors.refill(self._wanted, args, kwargs)
        return False

    def begin_outermost(self, *args: object) -> None:
        """A replay has no outermost calls of its own."""

    def end(self, index: int) -> None:
        """Nothing was begun."""

    def end_all(self, index: int) -> None:
        """Nothing was begun."""


class _Place:
    """Sink of a replay: counts records, and shows the wanted one and those beside it to ``take``."""

    def __init__(
        self, record: TensorRecord, first: int, take: Take, beside: Sequence[TensorRecord], early_stop: bool
    ) -> None:
        self.found = False
        self.error: Exception | None = None
        self.wanted = record.index
        self._records = {each.index: each for each in (record, *beside)}
        self._last = max(self._records)
        self._next = first
        self._take = take
        self._early_stop = early_stop

    def __call__(self, draft: Draft, live: Value | None) -> None:
        here, self._next = self._next, self._next + 1
        record = self._records.get(here)
        if record is not None and live is not None and _same_place(draft, record):
            try:
                taken = self._take(here, live)
                self.found = self.found or (taken and here == self.wanted)
            except Exception as error:  # inside a hook it would be written into a note
                self.error = error
        failed = here == self.wanted and not self.found
        if self._early_stop and (failed or here >= self._last):
            raise _Found


def _same_place(one: Draft, other: TensorRecord) -> bool:
    fields = ("path", "kind", "item", "shape", "dtype", "memory")
    return all(getattr(one, name) == getattr(other, name) for name in fields)


def _call(root: nn.Module, anchor: Anchor) -> Callable[[], Any]:
    assert anchor.inputs is not None
    args, kwargs = anchor.inputs.rebuild()
    return lambda: root(*args, **kwargs)


def _is_sharded(module: nn.Module) -> bool:
    return hasattr(type(module), "_get_fsdp_state") or is_compiled_wrapper(module)
