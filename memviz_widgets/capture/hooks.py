"""The hooks: from a running model to records, one per tensor, in the order in which modules finish.

In: modules that start and end. Out: calls of the sink with (record without stats, live tensor).
Hooks return None always (a value would replace the model's output) and never raise into the user's forward.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..records import TensorRecord
from .dims import DimsGuide, tensors_in
from .outputs import Leaf, leaves
from .tensors import NO_VALUES, look
from .trace import Site, Trace

Sink = Callable[[TensorRecord, "Tensor | None"], None]
"""Takes a record without stats and its live tensor (None when there are no values); copies what it keeps, at once."""


@dataclass(slots=True)
class Frame:
    """A call that has begun and not ended."""

    module: nn.Module
    path: str
    call: int
    handled: BaseException | None
    """The exception that was being handled already when the call began; not this call's failure."""

    def text(self) -> str:
        """The call as a reader names it: ``'encoder.0' (Linear, call 2)``."""
        return f"{self.path or '(model)'!r} ({type(self.module).__name__}, call {self.call})"


class Recorder:
    """Follows the calls of one forward in the thread that made it."""

    def __init__(self, sites: list[Site], sink: Sink, guide: DimsGuide, trace: Trace, chosen: frozenset[str] | None):
        self._paths = {id(site.module): site.path for site in sites}
        self._sink = sink
        self._guide = guide
        self._trace = trace
        self._chosen = chosen
        self._thread = threading.get_ident()
        self._frames: list[Frame] = []
        self._calls: dict[str, int] = {}
        self._failure: tuple[BaseException, str] | None = None
        self.last_finished = ""
        self.count = 0

    def close(self) -> None:
        """Forget the modules. Copies of the hooks that a deepcopy took along do nothing from now on."""
        self._paths = {}
        self._frames = []

    def failed_in(self, error: BaseException) -> str:
        """Text of the innermost module call in which this error was raised; "" when it was raised outside of all."""
        return self._failure[1] if self._failure and self._failure[0] is error else ""

    def entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook: open a frame. The call number is given here, so that recursion counts from the outside in."""
        path = self._paths.get(id(module))
        if path is None or threading.get_ident() != self._thread:
            return
        call = self._calls[path] = self._calls.get(path, -1) + 1
        self._trace.fired.add(path)
        self._frames.append(Frame(module, path, call, sys.exc_info()[1]))
        try:
            self._guide.enter(module, args, kwargs)
        except Exception as error:
            self._trace.remark(f"dims of the input of {path!r}: {type(error).__name__}: {error}")

    def left(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Post-hook, called also when the forward raised (then without a result)."""
        if id(module) not in self._paths or threading.get_ident() != self._thread:
            return
        frame = self._close_frame(module)
        if frame is None:
            return
        error = sys.exc_info()[1]
        if error is not None and error is not frame.handled and result is None:
            if self._failure is None or self._failure[0] is not error:
                self._failure = (error, frame.text())  # the innermost call sees its error first
            return
        self.last_finished = frame.text()
        self._record_result(frame, args, kwargs, result)

    def _close_frame(self, module: nn.Module) -> Frame | None:
        """Pop the frame of this module, and those above it whose end was never announced (KeyboardInterrupt)."""
        if not any(frame.module is module for frame in self._frames):
            return None
        while self._frames[-1].module is not module:
            self._frames.pop()
        return self._frames.pop()

    def _record_result(self, frame: Frame, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """A record per leaf. Under no_grad: an op that saves tensors for autograd would break checkpointing."""
        item = ""
        with torch.no_grad():
            try:
                inputs = tensors_in(args, kwargs)
                for position, leaf in enumerate(leaves(result)):
                    item = leaf.item
                    self._try_leaf(frame, leaf, inputs, first=position == 0)
            except Exception as error:  # an object that raises when it is looked at
                self._emit(frame, item, note=f"could not be opened: {type(error).__name__}: {error}")

    def _try_leaf(self, frame: Frame, leaf: Leaf, inputs: list[Tensor], first: bool) -> None:
        try:
            self._record_leaf(frame, leaf, inputs, first)
        except Exception as error:
            self._emit(frame, leaf.item, note=f"could not be recorded: {type(error).__name__}: {error}")

    def _record_leaf(self, frame: Frame, leaf: Leaf, inputs: list[Tensor], first: bool) -> None:
        """Name the dims of one leaf (also of layers that are not chosen: others follow from them) and emit it."""
        if leaf.tensor is None:
            self._emit(frame, leaf.item, note=leaf.note)
            return
        sight = look(leaf.tensor)
        caller = type(self._frames[-1].module).__name__ if self._frames else ""
        dims = self._guide.name(frame.module, frame.path, leaf.item, leaf.tensor, sight.shape, inputs, first, caller)
        note = "; ".join(text for text in (leaf.note, sight.note) if text)
        live = None if sight.kind in NO_VALUES else leaf.tensor
        self._emit(frame, leaf.item, dims, sight.shape, sight.dtype, sight.device, sight.nbytes, note, live)

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
        live: Tensor | None = None,
    ) -> None:
        """Hand one record to the sink, if its layer was chosen."""
        if self._chosen is not None and frame.path not in self._chosen:
            return
        record = TensorRecord(
            index=self.count,
            path=frame.path,
            module_type=type(frame.module).__name__,
            call=frame.call,
            kind="output",
            item=item,
            dims=dims,
            shape=shape,
            dtype=dtype,
            device=device,
            nbytes=nbytes,
            stats=None,
            kept=False,
            note=note,
        )
        self._sink(record, live)
        self.count += 1


def ignore(*args: object) -> None:
    """The hook that a copied or pickled model gets instead of ours."""


def _ignoring() -> Callable[..., None]:
    return ignore


class _Hook:
    """A hook that stays behind when the model is copied: a copy gets :func:`ignore`, and pickle works."""

    __slots__ = ("_act",)

    def __init__(self, act: Callable[..., None]) -> None:
        self._act = act

    def __call__(self, *args: Any) -> None:
        self._act(*args)

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return _ignoring, ()


@contextmanager
def attached(sites: list[Site], recorder: Recorder, trace: Trace) -> Iterator[None]:
    """Hooks on every site while the block runs. They are registered last, so they see what the user's hooks changed."""
    handles: list[RemovableHandle] = []
    before, after = _Hook(recorder.entered), _Hook(recorder.left)
    try:
        for site in sites:
            _attach(site, before, after, handles, trace)
        yield
    finally:
        for handle in handles:
            handle.remove()
        recorder.close()


def _attach(site: Site, before: _Hook, after: _Hook, handles: list[RemovableHandle], trace: Trace) -> None:
    """Hook one module; each handle goes to ``handles`` at once, so that a refusal half way leaves none behind."""
    try:
        handles.append(site.module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(site.module.register_forward_hook(after, with_kwargs=True, always_call=True))
    except RuntimeError as error:
        trace.opaque[site.path] = f"{site.path!r} takes no hooks: {error}"
