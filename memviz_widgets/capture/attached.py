"""Hooks on the modules of a model while a recording runs, and off again whatever happens.

In: modules with their paths, and the Recorder. Out: a context. A copy or a pickle of the model made meanwhile gets
hooks that do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
    handles: list[RemovableHandle] = []
    before, after = Hook(recorder.entered), Hook(recorder.left)
    try:
        for site in sites:
            _attach(site, before, after, handles, trace)
        with recorder.taps.patches():
            yield
    finally:
        for handle in handles:
            handle.remove()
        recorder.close()


def _attach(site: Site, before: Hook, after: Hook, handles: list[RemovableHandle], trace: Trace) -> None:
    """Hook one module; each handle goes to ``handles`` at once, so that a refusal half way leaves none behind."""
    try:
        handles.append(site.module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(site.module.register_forward_hook(after, with_kwargs=True, always_call=True))
    except RuntimeError as error:
        trace.opaque[site.path] = f"{site.path!r} takes no hooks: {error}"
