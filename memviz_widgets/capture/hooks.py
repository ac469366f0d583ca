"""The hooks: they follow the calls of a running model, and have drafts of records made as modules finish.

In: modules that start and end, attention calls that the taps find. Out: what each call gave, for the drafts.
Hooks return None always (a value would replace the model's output) and never raise into the user's forward. They run
with torch's function modes off: each of our own torch calls would pass through the taps' mode.
They also run between the model's operations, which push Python out of the processor's caches: a step costs three times
what it costs in a loop, so what can wait until the end of the recording waits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from .attention_sdpa import UnreadableError
from .attention_taps import AttentionTaps
from .calls import CallKeeper, Frame, call_text, is_inside
from .dims import DimsGuide, tensors_in
from .drafts import Drafts, Sink, Value
from .followed_thread import FollowedThread
from .memory import MemoryAdapter
from .placement import Ranks
from .progress import Progress
from .tensors import NO_VALUES
from .trace import Site, Trace, class_name, single_owners


class Recorder:
    """Follows the calls of a model, in one thread at a time.

    Args:
        sites: Modules that have hooks, with their paths.
        sink: Takes the records.
        guide: Names the axes; None leaves them without names.
        trace: Filled with what the calls tell about the model.
        chosen: Paths to record, None = all.
        anchors: Saves inputs for replay; None to save none.
        outermost: Whether outermost calls are anchors of their own (a recording of the user's loop).
        progress: Told of every module that finishes.
        memories: Id of a module -> the adapter that knows its memory.
        ranks: This process among others that compute the model; None of one process.
        priced: Whether tensors of the meta device are handed on too, for a sink that asks what they would cost.
        ahead: Told of weights that the memory of a call that begins will be made of; None to tell nobody.
    """

    def __init__(
        self,
        sites: list[Site],
        sink: Sink,
        guide: DimsGuide | None,
        trace: Trace,
        chosen: frozenset[str] | None,
        *,
        anchors: CallKeeper | None = None,
        outermost: bool = False,
        progress: Progress | None = None,
        memories: Mapping[int, MemoryAdapter] | None = None,
        ranks: Ranks | None = None,
        priced: bool = False,
        ahead: Callable[[list[Tensor]], None] | None = None,
    ) -> None:
        self._paths = {id(site.module): site.path for site in sites}
        self._drafts = Drafts(self._paths, sink, guide, trace, chosen, ranks=ranks, priced=priced)
        self._guide = guide
        self._trace = trace
        self._anchors = anchors
        self._memories = dict(memories or {})
        self._ranks = ranks
        self._ahead = ahead
        self._outermost = outermost
        self._progress = progress
        self._thread = FollowedThread()
        self._frames: list[Frame] = []
        self._calls: dict[str, int] = {}
        self._root_calls = 0
        self._failure: tuple[BaseException, str] | None = None
        self._owners = single_owners(sites)
        self._last: tuple[str, str, int] | None = None
        self.taps = AttentionTaps(self._found, self._recording, self._weight_used)

    @property
    def count(self) -> int:
        """How many records were made."""
        return self._drafts.count

    @property
    def last_finished(self) -> str:
        """The call that ended last, as a reader names it; "" when none has."""
        return call_text(*self._last) if self._last else ""

    @property
    def innermost(self) -> Frame | None:
        """The innermost open call."""
        return self._frames[-1] if self._frames else None

    @property
    def step(self) -> int:
        """Which outermost call of the model runs."""
        return self._drafts.step

    def next_call(self, path: str) -> tuple[int, int]:
        """(step, call) of the call of a module that is about to begin."""
        begins_step = path == "" and not self._frames and bool(self._root_calls or self._calls)
        return (self.step + 1, 0) if begins_step else (self.step, self._calls.get(path, -1) + 1)

    def close(self) -> None:
        """Forget the modules. Copies of the hooks that a deepcopy took along do nothing from now on."""
        self._drop_frames()
        self._paths.clear()
        self._owners = {}
        self._memories = {}
        for sentence in self.taps.remarks:
            self._trace.remark(sentence)

    def failed_in(self, error: BaseException) -> str:
        """Text of the innermost module call in which this error was raised; "" when it was raised outside of all."""
        return self._failure[1] if self._failure and self._failure[0] is error else ""

    def entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook: open a frame. The call number is given here, so that recursion counts from the outside in."""
        path = self._paths.get(id(module))
        if path is None or not self._thread.ours():
            return
        with torch._C.DisableTorchFunction():
            self._drop_interrupted()
            if not self._frames and not self._begin_outermost(path, args, kwargs):
                return
            self._open_frame(module, path, args, kwargs)

    def _begin_outermost(self, path: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """A call from outside the model begins; False when it is not to be recorded."""
        if torch._C._current_graph_task_id() != -1:
            return False  # a backward recomputes a checkpointed part: these values are known
        if path == "":
            if self._root_calls or self._calls:
                self._drafts.step += 1
                self._calls.clear()
            self._root_calls += 1
        self._thread.bind()
        self.taps.enter()
        if self._ranks is not None:
            self._ranks.enter(tensors_in(args, kwargs))
        return True

    def _open_frame(self, module: nn.Module, path: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        call = self._calls[path] = self._calls.get(path, -1) + 1
        self._trace.fired.add(path)
        caller = self._frames[-1] if self._frames else None
        frame = Frame(module, path, class_name(type(module)), call, caller, sys.exc_info()[1], sys._getframe(3))
        self._frames.append(frame)
        try:
            if self._anchors and caller is None and self._outermost:
                self._anchors.begin_outermost(module, args, kwargs, self.count)
                frame.anchored = True
            elif self._anchors:
                frame.anchored = self._anchors.begin(module, args, kwargs, self.count)
            self.taps.before(module, args, kwargs)
            if self._guide is not None:
                self._guide.enter(module, args, kwargs)
            if self._ahead is not None and self._drafts.wants(path):
                weights = getattr(self._memories.get(id(module)), "weights_ahead", None)
                if weights is not None:
                    self._ahead(weights(module))
        except Exception as error:
            self._trace.remark(f"the input of {path!r}: {type(error).__name__}: {error}")

    def left(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Post-hook, called also when the forward raised (then without a result)."""
        if id(module) not in self._paths or not self._thread.ours():
            return
        with torch._C.DisableTorchFunction():
            frame = self._close_frame(module)
            if frame is None:
                return
            error = sys.exc_info()[1]
            failed = error is not None and error is not frame.handled and result is None
            self.taps.after(module)
            if failed and error is not None:
                self._note_failure(error, frame)
            else:
                self._last = frame.name()
                self._drafts.of_result(frame, args, kwargs, result)
                if (adapter := self._memories.get(id(module))) is not None:
                    self._drafts.of_memory(adapter, frame, args, kwargs, result)
            self._end_call(frame)

    def _note_failure(self, error: BaseException, frame: Frame) -> None:
        if self._failure is None or self._failure[0] is not error:
            self._failure = (error, call_text(*frame.name()))  # the innermost call sees its error first

    def _end_call(self, frame: Frame) -> None:
        """After the records of a call: close its anchor, and what was opened for an outermost call."""
        if frame.anchored and self._anchors:
            self._anchors.end(self.count)
        if self._progress is not None:
            self._progress.step(1)
        if not self._frames:
            self._leave()

    def _close_frame(self, module: nn.Module) -> Frame | None:
        """Pop the frame of this module, and those above it whose end was never announced (KeyboardInterrupt)."""
        if self._frames and self._frames[-1].module is module:
            return self._frames.pop()
        if not any(frame.module is module for frame in self._frames):
            return None
        while self._frames[-1].module is not module:
            self._end_call(self._frames.pop())
        return self._frames.pop()

    def _drop_interrupted(self) -> None:
        """Close calls that a KeyboardInterrupt ended: torch tells no hook of it, and the model may go on."""
        if not self._frames or is_inside(self._frames[-1].running):
            return
        open_calls = {id(frame.running): position for position, frame in enumerate(self._frames)}
        current: FrameType | None = sys._getframe(2)
        while current is not None and id(current) not in open_calls:
            current = current.f_back
        alive = 0 if current is None else open_calls[id(current)] + 1
        while len(self._frames) > alive:
            self._end_call(self._frames.pop())

    def _drop_frames(self) -> None:
        """Whatever is open was interrupted, if only in the end of its last call."""
        self._frames.clear()
        self._leave()
        if self._anchors:
            self._anchors.end_all(self.count)

    def _leave(self) -> None:
        """The outermost call has ended: what watched it in this thread goes."""
        if self._ranks is not None:
            self._ranks.leave()
        self.taps.leave()
        self._thread.release()

    def _recording(self) -> bool:
        """Whether this thread is inside a recorded call."""
        return bool(self._frames) and self._thread.ours()

    def _weight_used(self, function: str, parameter: nn.Parameter) -> None:
        """A function was given a weight: note it when it is not that of a module whose call is open."""
        owner = self._owners.get(id(parameter))
        if owner is None or owner == self._frames[-1].path or any(owner == frame.path for frame in self._frames):
            return
        self._trace.weights_used.setdefault(owner, f"{function} in {self._frames[-1].path or '(model)'!r}")

    def _found(self, value: Value, note: str) -> None:
        """An attention call ran in the innermost open call. Raises UnreadableError when it has no values."""
        if value.device.type == "meta" and "meta" in self._drafts.without:
            raise UnreadableError(NO_VALUES["meta"])
        self._drafts.of_attention(self._frames[-1], value, note)
