"""One view on an empty recording, without an explorer around it; nothing of it is left afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipywidgets import Widget

from memviz_widgets.selection import Selection
from memviz_widgets.views import FrameStore
from memviz_widgets.views.lifecycle import close_all, widgets_below
from tests.frames.fake_cache import FakeCache


@contextmanager
def bare(cls: type[Widget], **options: Any) -> Iterator[Any]:
    """``with bare(TokenView, direction="to") as view``."""
    store = FrameStore(FakeCache())  # type: ignore[arg-type]
    selection = Selection(store=store)
    view = None
    try:
        view = cls(selection=selection, **options)
        yield view
    finally:
        close_all(widgets_below(view, keep=(Selection,)) if view else [])
        selection.close()
        store.close()
