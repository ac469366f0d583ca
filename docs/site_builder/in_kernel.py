"""Runs in the kernel of a lesson: writes the views that a cell shows as pages of their own.

In: a widget's id, a file without suffix. Out: the file, as a page or, for a view that needs a kernel, as a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ipywidgets import FloatProgress, Widget
from ipywidgets.widgets.widget import _instances

import memviz_widgets as mv

BUDGETS = ("2 MB", "4 MB", "8 MB")
"""The first that holds the picture on the screen is taken."""


def save(model_id: str, file: str, title: str) -> str:
    """Write a widget beside the lesson. Returns the name of what was written; "" for a bar of progress."""
    view = _instances[model_id]
    if is_progress(view):
        return ""
    target = Path(file)
    try:
        return _page(view, target.with_suffix(".html"), title)
    except mv.errors.FrozenError:
        return Path(view.save_png(target.with_suffix(".png"))).name


def _page(view: Widget, target: Path, title: str, budgets: Sequence[str] = BUDGETS) -> str:
    try:
        return mv.save_html(view, target, budget=budgets[0], title=title).name
    except mv.errors.BudgetError:
        if not budgets[1:]:
            raise
        return _page(view, target, title, budgets[1:])


def is_progress(view: Widget) -> bool:
    """Whether a bar of progress is what a widget is for, as those of tqdm are: it holds no view of ours."""
    parts = [view, *getattr(view, "children", ())]
    return any(isinstance(part, FloatProgress) for part in parts) and not any(
        type(part).__module__.startswith(mv.__name__) for part in parts
    )
