"""The taps: every attention of a model while it runs, whatever code computes it.

In: torch calls of the thread that runs the model, and which module makes them. Out: weights (or the QueryKey from which
they are computed) as the calls happen. What a call returns is never changed, and nothing is raised into the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import multi_head_attention_forward

from .attention import QueryKey
from .attention_mha import forward_weights, fused_weights
from .attention_sdpa import UnreadableError, flex_operator, flex_weights, readable, sdpa_weights
from .attention_softmax import PRODUCTS, SOFTMAXES, SUMS, Caller, SoftmaxWatch
from .attention_steps import MIXES, STEPS
from .function_mode import TapsMode, push, take_off, unnoticed
from .what_if_attention import EditedWeights, called_with

Reader = Callable[[tuple[Any, ...], Mapping[str, Any]], QueryKey]

_CALLS: dict[object, Reader] = {
    # Not by the name in nn.functional, where libraries put wrappers around it.
    torch._C._nn.scaled_dot_product_attention: sdpa_weights,
    torch.ops.aten.scaled_dot_product_attention: sdpa_weights,
    torch.ops.aten.scaled_dot_product_attention.default: sdpa_weights,
    multi_head_attention_forward: forward_weights,
    torch._native_multi_head_attention: fused_weights,
}

WEIGHED = frozenset(
    (
        nn.functional.linear,
        nn.functional.embedding,
        nn.functional.layer_norm,
        nn.functional.batch_norm,
        nn.functional.group_norm,
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.matmul,
        torch.addmm,
    )
)
"""Functions that take weights; for telling where those of a module went that was never called."""
_IN_PYTHON = {
    name: getattr(nn.functional, name) for name in ("softmax", "dropout", "layer_norm", "multi_head_attention_forward")
}
"""Functions of which torch tells a mode what their name stands for now: it may be a wrapper of another library."""
_ALWAYS = frozenset((*_CALLS, *SOFTMAXES, *WEIGHED))
_STEPS = frozenset((*STEPS, *MIXES, *PRODUCTS, *SUMS))


class AttentionTaps:
    """Finds attention in the calls of a model.

    Args:
        found: Called with (value, note) at the moment of the attention; copies what it keeps, at once.
        recording: Whether the current thread is inside a call that is recorded.
        used: Called with (name of the function, parameter) when a function is given a weight.

    Attributes:
        remarks: Sentences about attention that could not be read, each once.
        editor: Asked at each call for the edits of its weights, of a what-if; None changes nothing.
    """

    def __init__(
        self,
        found: Callable[[QueryKey | Tensor, str], None],
        recording: Callable[[], bool],
        used: Callable[[str, nn.Parameter], None] = lambda name, parameter: None,
    ) -> None:
        self.remarks: list[str] = []
        self.editor: Callable[[], EditedWeights | None] | None = None
        self._found = found
        self._recording = recording
        self._used = used
        self._open: list[Caller] = []
        self._calls: dict[object, Reader] = {}
        self._always: frozenset[object] = frozenset()
        self._wrappers: dict[object, Callable[..., Any]] = {}
        self._mode: TapsMode | None = None
        self._thread = 0
        self._softmaxes = SoftmaxWatch(self._follow)

    def patches(self) -> AbstractContextManager[None]:
        """What must hold around a recording: torch's fast paths do not notice the taps."""
        return unnoticed()

    def enter(self) -> None:
        """The outermost call of the model begins in this thread."""
        self.leave()
        flex = flex_operator()
        self._calls = _CALLS if flex is None else {**_CALLS, flex: flex_weights}
        now = {getattr(nn.functional, name, own): own for name, own in _IN_PYTHON.items()}
        self._wrappers = {wrapper: own for wrapper, own in now.items() if wrapper is not own}
        self._always = _ALWAYS.union(self._wrappers, [] if flex is None else [flex])
        self._mode = TapsMode(self._always, self._watch)
        self._thread = threading.get_ident()
        push(self._mode)

    def leave(self) -> None:
        """The outermost call has ended, or was interrupted. A second time does nothing."""
        if self._mode is None:
            return
        self._mode.table = frozenset()  # out of reach if it was entered in another thread: it lets everything pass
        if self._thread == threading.get_ident():
            take_off(self._mode)
        self._mode = None
        self._open.clear()
        self._softmaxes.clear()

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """A module's call begins."""
        self._open.append(Caller(module, args, kwargs))

    def after(self, module: nn.Module) -> None:
        """A module's call has ended, if only by an exception."""
        if self._open and self._open[-1].module is module:
            self._open.pop()
        elif any(each.module is module for each in self._open):
            while self._open.pop().module is not module:
                pass  # a call inside was interrupted, and nobody told

    def _follow(self, something: bool) -> None:
        """Look at what may become of weights only while there are weights."""
        if self._mode is not None:
            self._mode.table = self._always | _STEPS if something else self._always

    def _watch(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call, then look at it."""
        known = self._wrappers.get(func, func)
        edit = self.editor() if self.editor is not None and self._recording() else None
        if edit is not None and (known in self._calls or known in PRODUCTS or known in SUMS):
            return self._make_edited(known, args, kwargs, edit)
        result = func(*args, **kwargs)
        if self._recording():
            if known in WEIGHED:
                self._note_weights(known, args, kwargs)
                if known not in _STEPS:
                    return result
            try:
                with torch._C.DisableTorchFunction():
                    self._look(known, args, kwargs, result)
            except UnreadableError as error:
                self._remark(f"an attention was not recorded: {error}")
            except Exception as error:  # whatever it is, the model must not see it
                self._remark(f"an attention could not be recorded: {type(error).__name__}: {error}")
        return result

    def _make_edited(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], edit: EditedWeights
    ) -> Any:
        """Make a call with edited weights, if it is an attention. Here errors must reach the model: it is a what-if."""
        with torch._C.DisableTorchFunction(), edit.followed():
            if func in self._calls:
                result, weights = called_with(func, args, kwargs, edit)
                self._found(weights, self._calls[func](args, kwargs).note)
                return result
            operand = self._softmaxes.operand(args)
            caller = self._open[-1] if self._open else Caller()
            written = self._softmaxes.look(func, args, kwargs, None, caller)
            if written is None:
                result = edit.unused(func, args, kwargs)
                self._softmaxes.look(func, args, kwargs, result, caller)  # which may have mixed heads
                return result
            weights = readable(written.weights)
            self._found(edit.apply(weights), written.note)
            return func(*edit.operands(args, weights, operand), **kwargs)

    def _note_weights(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in (*args, *kwargs.values()):
            if type(value) is nn.Parameter:
                self._used(func.__name__, value)

    def _look(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        read = self._calls.get(func)
        if read is not None:
            value = read(args, kwargs)
            self._found(value, value.note)
            return
        caller = self._open[-1] if self._open else Caller()
        written = self._softmaxes.look(func, args, kwargs, result, caller)
        if written is not None:
            self._found(readable(written.weights), written.note)

    def _remark(self, sentence: str) -> None:
        if sentence not in self.remarks:
            self.remarks.append(sentence)
