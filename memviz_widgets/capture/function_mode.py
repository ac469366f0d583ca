"""The function mode of the attention taps: sees every torch call of its thread, and is seen by nobody.

In: a table of functions. Out: calls of those functions, handed to the taps.

torch's fast paths for transformers ask whether somebody intercepts functions and then compute another way: padded rows
come out other than 0, and nested tensors are refused. ``unnoticed`` answers them as if our mode were not there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn, overrides
from torch.compiler import is_dynamo_compiling
from torch.overrides import TorchFunctionMode

Watch = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Calls a function with (args, kwargs), looks at the call, and returns what the function returned."""


class TapsMode(TorchFunctionMode):
    """Hands calls of the functions in ``table`` to ``watch``; everything else passes at the least cost.

    Args:
        table: The functions to hand on. May be exchanged at any time.
        watch: Takes over a call. This mode is off meanwhile, so its own torch calls are not seen.
    """

    def __init__(self, table: Container[object], watch: Watch) -> None:
        self.table = table
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass a call on. The compiler, which traces this too, finds nothing in it that it cannot trace."""
        if is_dynamo_compiling() or func not in self.table:
            return func(*args, **kwargs) if kwargs else func(*args)
        return self.watch(func, args, kwargs or {})


def push(mode: TapsMode) -> None:
    """Turn a mode on in this thread."""
    overrides._push_mode(mode)


def take_off(mode: TapsMode) -> None:
    """Turn a mode off in this thread, wherever it is on its stack."""
    stack: list[TorchFunctionMode] = overrides._get_current_function_mode_stack()
    if mode in stack:
        _exchange([each for each in stack if each is not mode])


_lock = threading.Lock()
_users = 0
_has_torch_function = overrides.has_torch_function
_replaced = _has_torch_function
"""What stood in our place when the first block began; another tool may have put it there."""


@contextmanager
def unnoticed() -> Iterator[None]:
    """While any such block is open, torch's fast paths do not notice our modes."""
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    global _users, _replaced  # noqa: PLW0603
    with _lock:
        _users += 1
        if _users == 1:
            _replaced = overrides.has_torch_function
            overrides.has_torch_function = _without_ours


def _end() -> None:
    global _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        # What somebody put there in the meantime stays; below it, ours gives torch's own answer.
        if _users == 0 and overrides.has_torch_function is _without_ours:
            overrides.has_torch_function = _replaced


def _without_ours(args: Iterable[Any]) -> bool:
    """Stands for ``torch.overrides.has_torch_function``. Operators (flex_attention) ask it too: they get the truth."""
    if not _has_torch_function(args):
        return False
    if sys._getframe(1).f_globals.get("__name__") == "torch._ops":
        return True
    stack: list[TorchFunctionMode] = overrides._get_current_function_mode_stack()
    others = [mode for mode in stack if not isinstance(mode, TapsMode)]
    if len(others) == len(stack):
        return True
    try:
        _exchange(others)
        return _has_torch_function(args)
    finally:
        _exchange(stack)


def _exchange(stack: list[TorchFunctionMode]) -> None:
    """Make this the stack of modes of this thread."""
    while torch._C._len_torch_function_stack():
        overrides._pop_mode()
    for mode in stack:
        overrides._push_mode(mode)


def functions_of(tensor: Tensor | None) -> AbstractContextManager[Any]:
    """A subclass may do all its work in ``__torch_function__`` (jagged tensors): for it, functions stay on."""
    plain = tensor is None or type(tensor) in (Tensor, nn.Parameter)
    enabled = getattr(torch._C, "_EnableTorchFunction", None)
    context: AbstractContextManager[Any] = nullcontext() if plain or enabled is None else enabled()
    return context
