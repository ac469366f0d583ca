"""Frozen: views as one HTML file that needs no kernel and no network.

In: views, a path, a budget. Out: the file, with as much of the recordings as fits.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ipywidgets import Widget

from ..cache.budget import budget_text, format_bytes, parse_budget
from ..errors import BudgetError, SaveError, SourceError
from ..export.inclusion import Shelf, drop_last, take_pictures, take_the_rest
from ..export.inlined import Inlined
from ..export.left_out import Missing, describe
from ..export.page import PageContent, render
from ..frames.packed_catalog import pack_catalog
from .frame_store import FrameStore
from .frozen_looks import cards_looked_at, looks_at
from .frozen_widgets import names_of, state_of, widgets_of
from .memory_card import MemoryCard

STATE_BYTES = "state"
"""Name of the bytes that are no pages of frames: pictures, lines."""
_KINDS = {"ExplorerTabs": "explore", "ExplorerRow": "explore"}


class Freezable:
    """A view that can be saved as a page: its ``save_html``."""

    def _settle(self) -> None:
        """Finish what the browser would ask for bit by bit: a page can ask nobody."""

    def save_html(self, path: str | os.PathLike[str], *, budget: object = "5 MB", title: str | None = None) -> Path:
        """Write this view to one HTML file that opens from disk, with no kernel and no network: see `save_html`."""
        return save_html(self, path, budget=budget, title=title)


def save_html(
    views: Widget | Iterable[Widget] | Freezable,
    path: str | os.PathLike[str],
    *,
    budget: object = "5 MB",
    title: str | None = None,
) -> Path:
    """Write views to one HTML file that opens from disk, with no kernel and no network.

    Sliders, play, links between views, the numbers under the pointer (to within 1/504 of the range of their picture),
    colours, tokens and tabs work there. The file holds as much of the recordings as fits: the pictures on the screen
    first, then what else the views can reach; it lists what was left out. The same views give the same bytes.

    Args:
        views: A view, or several, one below the other: explorers, a HealthReport, a Comparison, what ``explore``
            returns, a box of these, a bqplot figure. Views of one cache are linked in the page as they are here.
        path: The file. One that is there is replaced; its folder must be there.
        budget: Most bytes of the file, as text ("5 MB", "2 MiB") or a number; 1 MB is needed for the scripts.
        title: Of the page; None = what is shown.

    Returns:
        The path.

    Raises:
        BudgetError: when the picture on the screen does not fit; it says the smallest budget.
        ClosedError: when a view is closed.
        FrozenError: when a view holds a widget that a page cannot show.
        SourceError: when views are no widgets.
        SaveError: when the file cannot be written.
        FrontEndError: when the scripts of the page are not installed.
    """
    shown = _views(views)
    file = Path(path)
    text = page_of(shown, parse_budget(budget), title)
    _write(file, text)
    return file


def page_of(views: list[Widget], budget: int, title: str | None) -> str:
    """The text of the page, of at most ``budget`` bytes."""
    widgets = widgets_of(views)
    for widget in widgets:
        if isinstance(widget, Freezable):
            widget._settle()
    names = names_of(widgets)
    shelves = _shelves(widgets)
    page = _Page(widgets, names, [names[view.model_id] for view in views], title or _title(views, shelves), shelves)
    overhead = len(page.render().encode())
    least = overhead + take_pictures(list(shelves.values()), budget - overhead)
    if least > budget:
        raise BudgetError(
            f"budget={format_bytes(budget)} is too small: the page with nothing but the picture on the screen takes "
            f"{format_bytes(least)}. Give budget={budget_text(math.ceil(least * 1.02))!r} or more."
        )
    take_the_rest(list(shelves.values()), budget - least)
    text = page.render()
    while len(text.encode()) > budget and drop_last(list(shelves.values())):
        text = page.render()
    return text


class _Page:
    """The widgets of a page, rendered with what is on the shelves."""

    def __init__(
        self,
        widgets: list[Widget],
        names: dict[str, str],
        views: list[str],
        title: str,
        shelves: dict[FrameStore, Shelf],
    ) -> None:
        self._widgets, self._names, self._views, self._title, self._shelves = widgets, names, views, title, shelves
        cards = (widget for widget in widgets if isinstance(widget, MemoryCard))
        self._cards = {card: card.cards_at(cards_looked_at(card.selection)) for card in cards}

    def render(self) -> str:
        missing = Missing()
        data = bytearray()
        models: dict[str, Any] = {}
        for widget in self._widgets:
            instead, places = self._instead(widget, missing)
            model, buffers = state_of(widget, self._names, instead)
            for path, content in buffers:
                places.append([path, STATE_BYTES, len(data), len(content)])
                data += content
            models[self._names[widget.model_id]] = {**model, "buffers": places} if places else model
        own = [Inlined.of("bytes", STATE_BYTES, bytes(data))] if data else []
        blobs = [*own, *(block.inlined for shelf in self._shelves.values() for block in shelf.blocks)]
        return render(PageContent(self._title, models, self._views, blobs, missing.lines, missing.headline))

    def _instead(self, widget: Widget, missing: Missing) -> tuple[dict[str, Any], list[Any]]:
        """Of a store its catalog and pages as they are in the page; of other widgets nothing."""
        if widget in self._cards:
            return {"cards": self._cards[widget]}, []
        if not isinstance(widget, FrameStore):
            return {}, []
        shelf = self._shelves.get(widget)
        if shelf is None:
            return {"pages": []}, []
        pages: list[dict[str, Any]] = []
        places: list[Any] = []
        for block in shelf.blocks:
            for header, buffers in block.entries:
                places += [[["pages", len(pages), name], block.inlined.name, *where] for name, *where in buffers]
                pages.append(header)
        held = sum(block.held_bytes for block in shelf.blocks)
        instead = {"catalog": pack_catalog(describe(shelf, missing)), "pages": pages, "problem": ""}
        return {**instead, "budget_bytes": max(widget.budget_bytes, 2 * held)}, places


def _shelves(widgets: list[Widget]) -> dict[FrameStore, Shelf]:
    """A shelf per store, with what is looked at in it."""
    shelves: dict[FrameStore, Shelf] = {}
    for selection, look in looks_at(widgets).items():
        store = selection.store
        if store not in shelves:
            shelves[store] = Shelf(f"s{len(shelves)}", store.source, store.catalog, [])
        shelves[store].looks.append(look)
    return shelves


def _views(views: Any) -> list[Widget]:
    found = [views] if isinstance(views, Widget) else views
    found = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]
    wrong = [each for each in found if not isinstance(each, Widget)]
    if wrong or not found:
        what = f"a {type(wrong[0]).__name__}" if wrong else "no view"
        raise SourceError(f"views has {what}; expected a view or a list of them, as in save_html([a, b], path).")
    return found


def _title(views: list[Widget], shelves: dict[FrameStore, Shelf]) -> str:
    """What is shown, and of which model: "ActivationExplorer of Sequential"."""
    models = dict.fromkeys(
        layer["module_type"] for shelf in shelves.values() for layer in shelf.catalog["layers"] if layer["path"] == ""
    )
    names = ", ".join(dict.fromkeys(_KINDS.get(type(view).__name__, type(view).__name__) for view in views))
    return f"{names} of {', '.join(models)}" if models else names


def _write(file: Path, text: str) -> None:
    """All of the file or nothing: a page that is there stays whole until the new one is."""
    if file.is_dir():
        raise SaveError(f"{str(file)!r} is a folder; give the path of a file, as in 'lesson.html'.")
    if not file.parent.is_dir():
        raise SaveError(f"the folder {str(file.parent)!r} is not there; make it first, or give another path.")
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SaveError(f"{str(file)!r} cannot be written: {error}.") from error
