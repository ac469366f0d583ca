"""What-if: a forward in which some tensors are changed by hand on the way.

In: changes by path, kind and item, and the hooks of a recording. Out: contexts in which the model's modules return,
take, attend with or remember the changed tensors. Hooks of the changes come before those of the recorder, which then
records what the rest of the model sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import EditError
from .attached import Hook
from .calls import Frame
from .cell_call import CELLS
from .dims_rules import dims_by_rank, input_dims
from .hooks import Recorder
from .memory import MemoryAdapter
from .recurrent_cells import Key, RecurrentError
from .sequence_call import SEQUENCES
from .trace import Site
from .what_if_attention import EditedWeights
from .what_if_edits import Edit
from .what_if_memory import carried
from .what_if_places import exchanged, tensor_at
from .what_if_prefix import Prefix
from .what_if_recurrent import EditedMemory, rerun

_NO_PARTS = ("input", "output", "attention")
"""Kinds that are no parts of a memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One edit of one tensor of a module.

    Attributes:
        path, kind, item: Of the record; kind "input" is what the module is called with.
        label: As the user wrote it, for errors.
        edit: What is changed, without the axes call and step.
        dims: Names of the axes; () where they are guessed when the tensor is there.
        calls, steps: In which it is changed; None in all.
    """

    path: str
    kind: str
    item: str
    label: str
    edit: Edit
    dims: tuple[str, ...] = ()
    calls: frozenset[int] | None = None
    steps: frozenset[int] | None = None

    def fits(self, step: int, call: int) -> bool:
        """Whether this call is one of those that are changed."""
        return (self.calls is None or call in self.calls) and (self.steps is None or step in self.steps)


class WhatIf:
    """The changes of one forward.

    Args:
        changes: In the order in which they are made.
        prefix: Gives recorded results in place of computed ones; None computes all.

    Attributes:
        error: The first edit that did not fit, also when the model caught it.
        applied: Changes that were made at least once.
    """

    def __init__(self, changes: Sequence[Change], prefix: Prefix | None = None) -> None:
        self.error: EditError | None = None
        self.applied: set[Change] = set()
        self.prefix = prefix
        self._changes = changes
        self._own_readers: dict[int, MemoryAdapter] = {}
        self._shown: dict[int, EditedMemory] = {}

    @property
    def counts_calls(self) -> bool:
        """Whether it matters which call of a module runs: then only the whole forward can be run again."""
        return any(change.calls is not None or change.steps is not None for change in self._changes)

    def adapters(
        self, sites: Iterable[Site], found: dict[int, MemoryAdapter], others: dict[int, MemoryAdapter]
    ) -> dict[int, MemoryAdapter]:
        """The adapters of a recording; those of edited recurrent modules show the edited values.

        ``others``: another set of the same, which the edits read with, since adapters remember what they have read.
        """
        self._own_readers = others
        paths = {change.path for change in self._changes}
        for module, path in sites:
            if path in paths and isinstance(module, (*SEQUENCES, *CELLS)) and id(module) in found:
                found[id(module)] = self._shown[id(module)] = EditedMemory(found[id(module)])
        return found

    @contextmanager
    def attached(self, sites: list[Site], recorder: Recorder, *, again: bool = False) -> Iterator[None]:
        """The changes, while the block runs. ``again``: it is a replay, which takes nothing from the recording."""
        owners = self._owners(sites)
        run = _Run(self, self._changes, recorder, self._own_readers, self._shown, owners)
        with ExitStack() as stack:
            if self.prefix is not None and not again:
                stack.enter_context(self.prefix.skipped(sites))
            for module, path in sites:
                writes_elsewhere = bool(owners) and id(module) in self._own_readers
                if writes_elsewhere or any(change.path == path for change in self._changes):
                    stack.enter_context(_hooked(module, path, run))
            recorder.taps.editor = run.attention
            yield

    def _owners(self, sites: list[Site]) -> dict[Change, nn.Module]:
        """Changes of memories whose module tells nothing itself: those who read and write it do, such as heads."""
        modules = {path: module for module, path in sites}
        parts = [change for change in self._changes if change.kind not in _NO_PARTS and change.path in modules]
        return {change: modules[change.path] for change in parts if id(modules[change.path]) not in self._own_readers}


@contextmanager
def _hooked(module: nn.Module, path: str, run: _Run) -> Iterator[None]:
    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return run.before(path, module, args, kwargs)

    handles = [
        module.register_forward_pre_hook(Hook(before), with_kwargs=True),
        module.register_forward_hook(Hook(run.after), with_kwargs=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Run:
    """The changes of one run of the model or of a part of it."""

    def __init__(
        self,
        what_if: WhatIf,
        changes: Sequence[Change],
        recorder: Recorder,
        readers: Mapping[int, MemoryAdapter],
        shown: Mapping[int, EditedMemory],
        owners: Mapping[Change, nn.Module],
    ) -> None:
        self._what_if = what_if
        self._changes = changes
        self._recorder = recorder
        self._readers = readers
        self._shown = shown
        self._owners = owners

    def before(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Pre-hook: the arguments with the edited inputs, or None when none is edited."""
        found = [change for change in self._changes if change.path == path and change.kind == "input"]
        found = [change for change in found if change.fits(*self._recorder.next_call(path))]
        if not found:
            return None
        with self._failing(), torch._C.DisableTorchFunction():
            for change in found:
                args, kwargs = _with_input(module, args, kwargs, change)
                self._what_if.applied.add(change)
        return args, kwargs

    def after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
        """Forward hook: the result with the edits, or None when nothing of it is edited."""
        frame = self._recorder.innermost
        if frame is None or frame.module is not module:
            return None
        found = self._of(frame, lambda change: change.kind not in ("input", "attention") and change not in self._owners)
        given = result
        if self._owners and id(module) in self._readers and id(module) not in self._shown:
            with self._failing(), torch._C.DisableTorchFunction():
                result = self._edit_elsewhere(frame, args, kwargs, result)
        if not found:
            return None if result is given else result
        parts = [change for change in found if change.kind != "output"]
        with self._failing(), torch._C.DisableTorchFunction():
            if parts:
                result = self._with_memory(module, args, kwargs, result, parts)
            for change in found:
                if change.kind == "output":
                    value = _plain(tensor_at(result, change.item, change.label), change)
                    result = exchanged(result, change.item, _edited(value, change), change.label)
            self._what_if.applied.update(found)
        return result

    def _edit_elsewhere(self, frame: Frame, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
        """Edit memories of other modules, as this call left them; the result with what it has of them."""
        step, module = self._recorder.step, frame.module
        for change, owner in self._owners.items():
            edits = {(change.kind, change.item): [change.edit]} if change.fits(step, frame.call) else {}
            # Read in every call: an adapter may count the calls of the heads of a memory.
            result, made = carried(self._readers[id(module)], module, args, kwargs, result, edits, change.label, owner)
            if made:
                self._what_if.applied.add(change)
        return result

    def attention(self) -> EditedWeights | None:
        """The edits of the attention that the innermost call is about to compute."""
        frame = self._recorder.innermost
        if frame is None:
            return None
        item = str(frame.attentions) if frame.attentions else ""
        found = self._of(frame, lambda change: change.kind == "attention" and change.item == item)
        return _Noted(found, self._what_if) if found else None

    def _of(self, frame: Frame, wanted: Any) -> list[Change]:
        step = self._recorder.step
        return [
            change
            for change in self._changes
            if change.path == frame.path and wanted(change) and change.fits(step, frame.call)
        ]

    def _with_memory(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, parts: list[Change]
    ) -> Any:
        edits: dict[Key, list[Edit]] = {}
        for change in parts:
            edits.setdefault((change.kind, change.item), []).append(change.edit)
        label = parts[0].label
        if id(module) in self._shown:
            try:
                result, values = rerun(module, args, kwargs, result, edits, label)
            except RecurrentError as error:
                raise EditError(f"{label!r} cannot be edited: {error}") from None
            self._shown[id(module)].values = values
            return result
        result, _ = carried(self._readers[id(module)], module, args, kwargs, result, edits, label)
        return result

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Keep the first error: the model may catch it."""
        try:
            yield
        except EditError as error:
            self._what_if.error = self._what_if.error or error
            raise


class _Noted(EditedWeights):
    """Edits of weights; once they are used, that is known, and so is why they cannot be."""

    def __init__(self, changes: list[Change], what_if: WhatIf) -> None:
        super().__init__([change.edit for change in changes], changes[0].label)
        self._changes = changes
        self._what_if = what_if

    def used(self) -> None:
        """The attention was made with them."""
        self._what_if.applied.update(self._changes)

    def failed(self, error: EditError) -> None:
        """It could not be."""
        self._what_if.error = self._what_if.error or error


def _edited(value: Tensor, change: Change) -> Tensor:
    if change.edit.function is None and len(change.dims) != value.dim():
        raise EditError(
            f"{change.label!r} has {value.dim()} axes in this call; expected {len(change.dims)}: "
            f"{', '.join(change.dims)}. Pick the call with call=."
        )
    return change.edit.apply(value, change.dims, change.label)


def _plain(value: Tensor, change: Change) -> Tensor:
    if value.is_nested or value.is_quantized or value.layout is not torch.strided:
        raise EditError(f"{change.label!r} is no plain tensor in this call; edit it with a function of your own model.")
    return value


def _with_input(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], change: Change
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with one of them edited."""
    name, *rest = change.item.split(".") if change.item else (_first_tensor(args, kwargs, change.label),)
    is_position = name.isdigit() and int(name) < len(args)
    if not is_position and name not in kwargs:
        known = [*map(str, range(len(args))), *kwargs]
        raise EditError(f"{change.label!r}: the call has no argument {name!r}; it has {', '.join(known) or 'none'}.")
    given = args[int(name)] if is_position else kwargs[name]
    place = ".".join(rest)
    value = _plain(tensor_at(given, place, change.label), change)
    dims = _dims_of_input(module, int(name) if is_position else 0, value)
    new = exchanged(given, place, change.edit.apply(value, dims, change.label), change.label)
    if is_position:
        return (*args[: int(name)], new, *args[int(name) + 1 :]), kwargs
    return args, {**kwargs, name: new}


def _first_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any], label: str) -> str:
    for name, value in (*enumerate(args), *kwargs.items()):
        if isinstance(value, Tensor):
            return str(name)
    raise EditError(f"{label!r}: the call has no tensor among its arguments; name one as 'input[0]' or 'input[name]'.")


def _dims_of_input(module: nn.Module, position: int, value: Tensor) -> tuple[str, ...]:
    """Names of the axes of an input: whole numbers in two axes are tokens, else as the module's type or rank tells."""
    shape = tuple(value.shape)
    if not value.is_floating_point() and not value.is_complex() and len(shape) <= 2:
        return ("batch", "time")[2 - len(shape) :]
    return input_dims(module, position, shape) or dims_by_rank(module, shape, shape[0] if shape else None)
