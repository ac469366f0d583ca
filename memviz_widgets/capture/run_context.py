"""What must hold in the process while a model runs under hooks: room on the stack, no compiled code, cheap collections.

In: the model. Out: contexts around its run.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from .trace import COMPILED_PREFIX, Modules, is_compiled_wrapper


@contextmanager
def deeper_stack() -> Iterator[None]:
    """Room for the frame that hooks add to each nested call: a recursion that fits without hooks fits with them."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@contextmanager
def cheap_collections() -> Iterator[None]:
    """Leave what exists out of Python's garbage collections for a while.

    Records and hooks are thousands of new objects, which would set off a collection of everything; with torch and
    transformers loaded that takes longer than the forward. New objects are collected as ever. A process that has
    frozen objects of its own is left alone: only all of them can be unfrozen.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def python_module(model: nn.Module) -> nn.Module:
    """The module inside torch.compile's wrapper, for torch before 2.6, where no stance makes the wrapper run it."""
    if hasattr(torch.compiler, "set_stance") or not is_compiled_wrapper(model):
        return model
    inner: nn.Module = model._modules[COMPILED_PREFIX]  # type: ignore[assignment]
    return inner


def uncompiled(modules: Modules) -> AbstractContextManager[Any]:
    """Compiled code ignores hooks that came after its compilation; this makes torch run the Python code for the call.

    Nothing is recompiled afterwards. Loading the compiler takes seconds, so a process that never did is left alone.
    """
    if "torch._dynamo" not in sys.modules and not any(_is_compiled(module) for _, module in modules):
        return nullcontext()
    return _forced_eager() if hasattr(torch.compiler, "set_stance") else nullcontext()


def _is_compiled(module: nn.Module) -> bool:
    return is_compiled_wrapper(module) or module.__dict__.get("_compiled_call_impl") is not None


_EAGER: list[AbstractContextManager[Any]] = []
"""The stance that is in force, once for each recording that needs it."""


@contextmanager
def _forced_eager() -> Iterator[None]:
    """The stance, counted: torch puts back what was there on entry, which is wrong when recordings end crosswise."""
    if not _EAGER:
        stance = torch.compiler.set_stance("force_eager")
        stance.__enter__()
    else:
        stance = _EAGER[0]
    _EAGER.append(stance)
    try:
        yield
    finally:
        _EAGER.pop()
        if not _EAGER:
            stance.__exit__(None, None, None)
