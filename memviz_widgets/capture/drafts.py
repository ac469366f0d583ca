"""Drafts: what a call of a module gave becomes drafts of records, one per tensor, handed to the sink.

In: a call that has ended, its arguments and its result; attention and memory found in it. Out: calls of the sink with
(draft, live value). All of it runs between the model's operations, which push Python out of the processor's caches: a
step costs three times what it costs in a loop, so the one tensor that most calls give takes the shortest way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..records import Draft
from .calls import Frame, Part
from .derived import Derived
from .dims import DimsGuide, tensors_in
from .function_mode import functions_of
from .memory import MemoryAdapter, MemoryTensor
from .outputs import leaves
from .placement import NOWHERE, Found, Ranks, described
from .placement_following import waited
from .tensors import NO_VALUES, look
from .trace import Trace

Value = Tensor | Derived
Sink = Callable[[Draft, "Value | None"], None]
"""Takes the draft of a record and its live value (None when there is none); copies what it keeps, at once."""

MOST_RECORDS = 20_000
"""Records of one recording. A loop that goes on for hours must not fill the memory with shapes and statistics."""

ATTENTION_DIMS = ("batch", "head", "query", "key")
_NOTHING: AbstractContextManager[Any] = nullcontext()
OUTPUT = Part()
ATTENTION = Part("attention")


class Drafts:
    """Makes the drafts of one recording, in the order in which their calls end.

    Args:
        paths: Id of a module -> its path.
        sink: Takes the drafts.
        guide: Names the axes; None leaves them without names.
        trace: Told what could not be recorded.
        chosen: Paths to record, None = all.
        ranks: This process among others that compute the model; None of one process.
        priced: Whether tensors of the meta device are handed on too, for a sink that asks what they would cost.

    Attributes:
        count: How many drafts were made.
        step: Which outermost call of the model runs.
        without: Kinds of tensors that are handed on without a value.
    """

    def __init__(
        self,
        paths: Mapping[int, str],
        sink: Sink,
        guide: DimsGuide | None,
        trace: Trace,
        chosen: frozenset[str] | None,
        *,
        ranks: Ranks | None = None,
        priced: bool = False,
    ) -> None:
        self.count = 0
        self.step = 0
        self.without = NO_VALUES.keys() - {"meta"} if priced else NO_VALUES.keys()
        self._paths = paths
        self._sink = sink
        self._guide = guide
        self._trace = trace
        self._chosen = chosen
        self._ranks = ranks

    def wants(self, path: str) -> bool:
        """Whether the tensors of a module are recorded."""
        return self._chosen is None or path in self._chosen

    def of_result(self, frame: Frame, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """A record per leaf. Under no_grad: an op that saves tensors for autograd would break checkpointing."""
        if torch.is_grad_enabled():
            with torch.no_grad():
                self._of_leaves(frame, args, kwargs, result)
        else:
            self._of_leaves(frame, args, kwargs, result)

    def of_memory(
        self, adapter: MemoryAdapter, frame: Frame, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A record per tensor that the adapter finds in the memory. Under no_grad, as for results."""
        with torch.no_grad() if torch.is_grad_enabled() else _NOTHING:
            try:
                for found in adapter.read(frame.module, args, kwargs, result):
                    self._of_part(frame, found)
            except Exception as error:
                self._trace.remark(f"the memory of {frame.path!r}: {type(error).__name__}: {error}")

    def of_attention(self, frame: Frame, value: Value, note: str) -> None:
        """The record of an attention that ran in an open call."""
        item = str(frame.attentions) if frame.attentions else ""
        frame.attentions += 1
        shape = tuple(value.shape)
        dtype = str(value.dtype).removeprefix("torch.")
        nbytes = math.prod(shape) * value.dtype.itemsize
        device = str(value.device)
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                lies = self._ranks.attention(shape, ATTENTION_DIMS) if self._ranks is not None else NOWHERE
                self._emit(frame, item, ATTENTION_DIMS, shape, dtype, device, nbytes, note, value, ATTENTION, lies)
        except Exception as error:
            self._trace.remark(f"the attention of {frame.path!r}: {type(error).__name__}: {error}")

    def _of_leaves(self, frame: Frame, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        item = ""
        try:
            inputs = tensors_in(args, kwargs)
            if type(result) is Tensor:
                self._of_leaf(frame, "", result, "", inputs, first=True)
                return
            for position, leaf in enumerate(leaves(result)):
                item = leaf.item
                if leaf.tensor is None:
                    self._emit(frame, item, note=leaf.note)
                else:
                    self._of_leaf(frame, item, leaf.tensor, leaf.note, inputs, first=position == 0)
        except Exception as error:  # an object that raises when it is looked at
            self._emit(frame, item, note=f"could not be opened: {type(error).__name__}: {error}")

    def _of_leaf(
        self, frame: Frame, item: str, tensor: Tensor, note: str, inputs: list[Tensor], *, first: bool
    ) -> None:
        try:
            if type(tensor) is Tensor:
                self._of_tensor(frame, item, tensor, note, inputs, first)
                return
            with functions_of(tensor):
                self._of_tensor(frame, item, tensor, note, inputs, first)
        except Exception as error:
            self._emit(frame, item, note=f"could not be recorded: {type(error).__name__}: {error}")

    def _of_tensor(self, frame: Frame, item: str, given: Tensor, note: str, inputs: list[Tensor], first: bool) -> None:
        """Name the dims of one tensor (also of layers that are not chosen: others follow from them) and emit it."""
        tensor = waited(given) if self._ranks is not None else given
        kind, shape, dtype, device, nbytes, said = look(tensor)
        dims: tuple[str, ...] = ()
        if self._guide is not None:
            caller = frame.caller.module if frame.caller is not None else None
            dims = self._guide.name(frame.module, frame.path, item, tensor, shape, inputs, first, caller)
        lies = NOWHERE
        if self._ranks is not None:
            lies, said = described(self._ranks, given, dims, said)
        note = f"{note}; {said}" if note and said else note or said
        live = None if kind in self.without else tensor
        self._emit(frame, item, dims, shape, dtype, device, nbytes, note, live, found=lies)

    def _of_part(self, frame: Frame, found: MemoryTensor) -> None:
        """One tensor of a memory; its path is that of the module whose memory it is."""
        path = frame.path if found.owner is None else self._paths.get(id(found.owner), frame.path)
        memory = f"{path or '(model)'} {found.memory}".strip()
        value, part = found.value, Part(found.kind, memory, found.start, path)
        if value is None:
            self._emit(frame, found.item, note=found.note, part=part)
        elif isinstance(value, Derived):
            shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
            nbytes, device = math.prod(shape) * value.dtype.itemsize, str(value.device)
            given, ranks = value.tensors().values(), self._ranks
            lies = NOWHERE if ranks is None else ranks.computed(given, shape, found.dims)
            self._emit(frame, found.item, found.dims, shape, dtype, device, nbytes, found.note, value, part, lies)
        else:
            sight = look(waited(value))
            live = None if sight.kind in self.without else waited(value)
            lies, said = described(self._ranks, value, found.dims, sight.note)
            note = "; ".join(filter(None, (found.note, said)))
            self._emit(frame, found.item, found.dims, *sight[1:5], note, live, part, lies)

    def _emit(
        self,
        frame: Frame,
        item: str,
        dims: tuple[str, ...] = (),
        shape: tuple[int, ...] = (),
        dtype: str = "",
        device: str = "",
        nbytes: int = 0,
        note: str = "",
        live: Value | None = None,
        part: Part = OUTPUT,
        found: Found = NOWHERE,
    ) -> None:
        """Hand one record to the sink, if its layer was chosen."""
        path, caller = frame.path, frame.caller
        if not self.wants(path):
            return
        if self.count >= MOST_RECORDS:
            self._trace.remark(f"the first {MOST_RECORDS:,} records are kept; later tensors were not recorded")
            return
        self._sink(
            Draft(
                self.count,
                path if part.path is None else part.path,
                frame.kind,
                frame.call,
                part.kind,
                item,
                dims,
                shape,
                dtype,
                device,
                nbytes,
                note,
                self.step,
                None if caller is None else (caller.path, caller.call),
                part.memory,
                part.start,
                found.placement,
                None if self._ranks is None else self._ranks.rank,
                found.later,
            ),
            live,
        )
        self.count += 1
