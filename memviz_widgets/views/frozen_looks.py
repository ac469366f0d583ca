"""What the views on a page show of each recording: which kinds of pages, in which layers, at which cursor.

In: widgets. Out: looks (export.looks.Look), one per cursor.
"""

from __future__ import annotations

from typing import Any

from ipywidgets import Widget

from ..export.looks import Look
from ..frames.entries import Catalog
from ..frames.page import PageKind
from ..selection import AXES, Selection, nearest_calls
from .attention_layer_link import AttentionLayerLink
from .cache_entries import CacheEntries
from .channel_series import ChannelSeries
from .color_bar import ColorBar
from .contact_sheet import ContactSheet
from .gate_saturation import GateSaturation
from .head_grid import HeadGrid
from .layer_picker import LayerPicker
from .memory_choice import MEMORY_MAPS, MemoryChoice
from .memory_link import MemoryLink
from .memory_panels import MemoryPanels
from .picture_choice import PICTURE_KINDS, PictureChoice
from .quiz_form import QuizForm
from .retention_lines import RetentionLines
from .tensor_image import TensorImage
from .unit_text import UnitText

DRAWN: dict[type[Widget], tuple[PageKind, ...]] = {
    ContactSheet: ("frame", "sheet", "channels"),
    ChannelSeries: ("series",),
    ColorBar: ("histogram",),
    HeadGrid: ("tiles", "heads"),
    UnitText: ("series", "time"),
    MemoryPanels: ("time", "units", "timescale", "similarity"),
    RetentionLines: ("retention", "units"),
    GateSaturation: ("saturation",),
    CacheEntries: ("entries",),
}
"""Pages that a view draws, beside those of a choice of maps."""
ORDERED: dict[str, PageKind] = {"index": "time", "timescale": "timescale", "similarity": "similarity"}
MOST_CARDS = 16
"""Memory cards of a page, some 0.1 s and 1 KiB each."""
SCREEN = ("tiles", "heads", "series", "histogram", "channels", "sheet", "units", "retention", "saturation", "entries")
"""Kinds that are on the screen beside the main picture."""


def looks_at(widgets: list[Widget]) -> dict[Selection, Look]:
    """What is shown at each cursor, in the order of the widgets."""
    by_cursor: dict[Selection, list[Widget]] = {}
    for widget in widgets:
        if isinstance(widget, Selection):
            by_cursor.setdefault(widget, [])
        followed = widget.colors if isinstance(widget, ColorBar) else widget
        selection = getattr(followed, "selection", None)
        if isinstance(selection, Selection):
            by_cursor.setdefault(selection, []).append(widget)
    for form in widgets:
        if isinstance(form, QuizForm):  # what is hidden is shown there once it is revealed
            by_cursor[form.ahead] = by_cursor[form.selection]
    return {selection: _look(selection, parts) for selection, parts in by_cursor.items()}


def cards_looked_at(selection: Selection) -> list[tuple[int, int]]:
    """Records and samples whose measures may be looked at: of every memory at the cursor's step and call.

    Of the sample on the screen; of the first few memories of the first few samples.
    """
    catalog: dict[str, Any] = selection.store.catalog
    places = []
    for memory in catalog["memories"][:MOST_CARDS]:
        calls = nearest_calls(catalog["layers"][content_layer(memory)]["records"], int(selection.step))
        record = calls[min(int(selection.call), len(calls) - 1)]
        samples = catalog["records"][record]["extents"].get("sample", 1)
        shown = min(int(selection.sample), samples - 1)
        places += [(record, sample) for sample in dict.fromkeys((shown, *range(samples)))]
    places.sort(key=lambda place: place[1] != int(selection.sample))
    return places[:MOST_CARDS]


def _look(selection: Selection, parts: list[Widget]) -> Look:
    indices = {axis: int(getattr(selection, axis)) for axis in AXES}
    main, others = _maps(parts)
    for part in parts:
        if isinstance(part, PictureChoice):
            indices["other"] = part.other_head
    drawn = [kind for part in parts for kind in DRAWN.get(type(part), ())]
    shown = dict.fromkeys([*main, *(kind for kind in drawn if kind in SCREEN)])
    kinds = dict.fromkeys([*shown, *drawn, *others])
    return Look(indices, _reached(selection, parts), tuple(kinds), len(shown), _anchors(selection, parts))


def _maps(parts: list[Widget]) -> tuple[list[PageKind], list[PageKind]]:
    """The kinds of the pictures on the screen, and those that their choices offer besides."""
    main: list[PageKind] = []
    others: list[PageKind] = []
    if any(isinstance(part, TensorImage) and part.choice is None for part in parts):
        main.append("frame")
    for part in parts:
        if isinstance(part, PictureChoice):
            kinds: list[Any] = ["frame" if kind == "weights" else kind for kind in PICTURE_KINDS]
            main.append(kinds[PICTURE_KINDS.index(part.kind)])
            others += kinds
        elif isinstance(part, MemoryChoice):
            main.append(_memory_kind(part.map, part))
            others += [_memory_kind(name, part) for name in MEMORY_MAPS]
            others += [*ORDERED.values(), "wrote_unit"]
    return main, others


def _memory_kind(name: str, choice: MemoryChoice) -> PageKind:
    """The pages of a map of a memory. Who wrote what a KV cache holds is in the frames of its attention."""
    kinds: dict[str, PageKind] = {
        "time": ORDERED[choice.order],
        "cursor": "frame",
        "wrote": "wrote" if choice.whole else "wrote_unit",
        "reads": "reads",
    }
    return kinds[name]


def _reached(selection: Selection, parts: list[Widget]) -> tuple[int, ...]:
    """Positions of the layers that the controls lead to; without any the selected one."""
    catalog: Catalog = selection.store.catalog
    layers = catalog["layers"]
    if any(isinstance(part, LayerPicker) for part in parts):
        return tuple(range(len(layers)))
    found: set[int] = set()
    if any(isinstance(part, AttentionLayerLink) for part in parts):
        found |= {place for place, layer in enumerate(layers) if layer["kind"] == "attention"}
    if any(isinstance(part, MemoryLink) for part in parts):
        memories = catalog["memories"]
        found |= {place for memory in memories for place in (*memory["layers"], memory["attention"]) if place >= 0}
    if not found and layers:
        found = {int(selection.layer)}
    return tuple(sorted(found))


def _anchors(selection: Selection, parts: list[Widget]) -> tuple[int, ...]:
    """Of the parts of memories those that stand for their memory; () = every layer stands for itself."""
    if not any(isinstance(part, MemoryLink) for part in parts):
        return ()
    memories = selection.store.catalog["memories"]
    return tuple(sorted(content_layer(memory) for memory in memories))


def content_layer(memory: dict[str, Any]) -> int:
    """The layer that stands for a memory: what it holds, else its first part."""
    return int(memory["content"] if memory["content"] >= 0 else memory["layers"][0])
