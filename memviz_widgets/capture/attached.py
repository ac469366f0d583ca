"""Hooks on the modules of a model while a recording runs, and off again whatever happens.

In: modules with their paths, and the Recorder. Out: a context. A copy or a pickle of the model made meanwhile gets
hooks that do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .hooks import Recorder
from .trace import Site, Trace


def ignore(*args: object) -> None:
    """The hook that a copied or pickled model gets instead of ours."""


def _ignoring() -> Callable[..., None]:
    return ignore


class Hook:
    """A hook that stays behind when the model is copied: a copy gets :func:`ignore`, and pickle works."""

    __slots__ = ("_act",)

    def __init__(self, act: Callable[..., Any]) -> None:
        self._act = act

    def __call__(self, *args: Any) -> Any:
        """What the function does; of a recorder's hooks nothing comes back."""
        return self._act(*args)

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return _ignoring, ()


@contextmanager
def attached(sites: list[Site], recorder: Recorder, trace: Trace) -> Iterator[None]:
    """Hooks on every site while the block runs. They are registered last, so they see what the user's hooks changed."""
    hooks = _Hooks(Hook(recorder.entered), Hook(recorder.left))
    try:
        for site in sites:
            if refusal := hooks.attach(site.module):
                trace.opaque[site.path] = f"{site.path!r} takes no hooks: {refusal}"
        with recorder.taps.patches():
            yield
    finally:
        hooks.remove()
        recorder.close()


_WITH_KWARGS = ("_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")
"""Where torch notes that a hook takes keywords, or is called after an error too."""
_TABLES = ("_forward_pre_hooks", "_forward_hooks", *_WITH_KWARGS)


class _Hooks:
    """Two hooks on many modules. What is attached is known at once, so a refusal half way leaves nothing behind.

    torch's own ``register_forward_hook`` makes a handle with weak references for each, which takes as long as a small
    layer runs. The same entries are made here under one key, which torch gives to nobody else.
    """

    def __init__(self, before: Hook, after: Hook) -> None:
        self._before = before
        self._after = after
        self._key = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        self._plain: dict[type, bool] = {}
        self._attached: list[tuple[dict[str, Any], tuple[dict[int, Any], ...]]] = []
        self._handles: list[RemovableHandle] = []

    def attach(self, module: nn.Module) -> str:
        """Hook one module; "", or why it takes no hooks."""
        kind = type(module)
        plain = self._plain.get(kind)
        if plain is None:
            plain = self._plain[kind] = _registers_as_torch(kind)
        if not plain:
            return self._register(module)
        key, attributes = self._key, module.__dict__
        tables = _tables_of(attributes)
        self._attached.append((attributes, tables))
        before, after, *flags = tables
        before[key], after[key] = self._before, self._after
        for flag in flags:
            flag[key] = True
        return ""

    def _register(self, module: nn.Module) -> str:
        """Hook one module by its own methods."""
        try:
            self._handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._after, with_kwargs=True, always_call=True))
        except RuntimeError as error:
            return str(error)
        return ""

    def remove(self) -> None:
        """Take them off, also from tables that the model's code has put in the place of those that were there."""
        key = self._key
        for attributes, tables in self._attached:
            for table in tables:
                table.pop(key, None)
            for name in _TABLES:
                if key in attributes.get(name, ()):
                    del attributes[name][key]
        for handle in self._handles:
            handle.remove()


_tables_of = itemgetter(*_TABLES)


def _registers_as_torch(kind: type) -> bool:
    """Whether a class takes hooks the way nn.Module does: not TorchScript, and nothing that its author wrote."""
    return (
        getattr(kind, "register_forward_pre_hook", None) is nn.Module.register_forward_pre_hook
        and getattr(kind, "register_forward_hook", None) is nn.Module.register_forward_hook
        and not issubclass(kind, torch.jit.ScriptModule)
    )
