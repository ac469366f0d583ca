"""Looks: what the views of one cursor show, now and when their controls are moved.

In: the cursor's indices, kinds of pages. Out: which pages are wanted, in the order of their worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..frames.entries import Catalog
from ..frames.page import PageKind
from .page_names import PageName, page_at, page_bytes, page_count, pages_of_sample

WORTH: dict[PageKind, int] = {
    **dict.fromkeys(("series", "mean", "max", "rollout", "timescale", "similarity", "wrote", "reads"), 1),
    **dict.fromkeys(("row", "log"), 2),
    "difference": 3,
}
"""How much later than a record's own pictures a kind comes in, 0 where it is not listed."""

ONLY_NOW = ("flow", "wrote_unit")
"""Kinds whose pages take so long to compute, one by one, that only the one on the screen is taken."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the views of one cursor show.

    ``indices``: of the selection, "other" for the head that is subtracted. ``layers``: positions of those that the
    controls reach. ``kinds``: pages that the views draw, those of the pictures on the screen first, ``shown`` of them.
    ``anchors``: layers that are shown in place of one that the views do not show; () = all that are reached.
    """

    indices: Mapping[str, int]
    layers: tuple[int, ...]
    kinds: tuple[PageKind, ...]
    shown: int
    anchors: tuple[int, ...] = ()

    def picture(self, catalog: Catalog) -> list[PageName]:
        """The pages of the pictures on the screen, the main one first."""
        record = self.record(catalog)
        return [] if record < 0 else list(self._at_cursor(catalog, record, self.kinds[: self.shown]))

    def record(self, catalog: Catalog) -> int:
        """Index of the record on the screen, -1 = none: of the selected layer, or of what stands for it."""
        selected = self.indices.get("layer", 0)
        layer = selected if selected in self.layers else _nearest(catalog, self.anchors or self.layers, selected)
        calls = _calls(catalog, layer, self.indices.get("step", 0)) if layer >= 0 else []
        return calls[min(self.indices.get("call", 0), len(calls) - 1)] if calls else -1

    def records(self, catalog: Catalog) -> list[int]:
        """Records that the controls reach, each once, in the order of the layers."""
        layers = catalog["layers"]
        found = (index for layer in self.layers for calls in layers[layer]["records"] for index in calls)
        return list(dict.fromkeys(found))

    def _at_cursor(self, catalog: Catalog, record: int, kinds: tuple[PageKind, ...]) -> Iterator[PageName]:
        entry = catalog["records"][record]
        for kind in kinds:
            if page_count(entry, kind):
                yield PageName(record, kind, page_at(entry, kind, self.indices))


@dataclass(frozen=True, slots=True)
class Piece:
    """Pages of one record that go in together, or not at all.

    ``worth``: 0 = its own pictures of the sample on the screen, 1 = those of other samples; then other maps, alike.
    """

    record: int
    worth: int
    pages: tuple[PageName, ...]


def pieces_of(catalog: Catalog, looks: list[Look]) -> list[Piece]:
    """Everything that the looks reach, the most worth first.

    That is: the sample on the screen before the others, and the pictures of all records before other maps of them. Of
    these the record on the screen, then those of its memory or layer, then those whose values are held, and of these
    the smallest: so most records are there.
    """
    wanted: dict[int, dict[PageKind, Look]] = {}
    for look in looks:
        for record in look.records(catalog):
            for kind in look.kinds:
                wanted.setdefault(record, {}).setdefault(kind, look)
    shown = {look.kinds[0] for look in looks if look.shown}
    pieces = [piece for record, kinds in wanted.items() for piece in _pieces(catalog, record, kinds, shown)]
    selected = {look.record(catalog) for look in looks}
    near = _near(catalog, selected)

    def order(piece: Piece) -> tuple[int, bool, bool, bool, int, int]:
        entry = catalog["records"][piece.record]
        size = sum(page_bytes(catalog, name) for name in piece.pages)
        elsewhere = piece.record not in selected
        return piece.worth, elsewhere, piece.record not in near, entry["on_demand"], size, piece.record

    return sorted(pieces, key=order)


def _pieces(catalog: Catalog, record: int, kinds: dict[PageKind, Look], shown: set[PageKind]) -> Iterator[Piece]:
    """The pages of a record by their worth; a kind that is on the screen is worth as much as the record's own."""
    entry = catalog["records"][record]
    by_worth: dict[int, list[PageName]] = {}
    for kind, look in kinds.items():
        if kind in ONLY_NOW or not (count := page_count(entry, kind)):
            continue
        worth = 0 if kind in shown else 2 * WORTH.get(kind, 0)
        here = pages_of_sample(entry, kind, look.indices)
        for page in range(count):
            by_worth.setdefault(worth + (page not in here), []).append(PageName(record, kind, page))
    for worth, pages in by_worth.items():
        yield Piece(record, worth, tuple(pages))


def _near(catalog: Catalog, selected: set[int]) -> set[int]:
    """Records of the memories and of the layers that are on the screen."""
    records, layers = catalog["records"], catalog["layers"]
    memories = {memory["memory"] for index in selected if index >= 0 and (memory := records[index]["memory"])}
    parts = {layer for memory in memories for layer in catalog["memories"][memory]["layers"]}
    parts |= {place for place, layer in enumerate(layers) for calls in layer["records"] if selected & set(calls)}
    return {index for place in parts for calls in layers[place]["records"] for index in calls}


def _nearest(catalog: Catalog, layers: tuple[int, ...], selected: int) -> int:
    """Of these layers the one inside the selected one, else around it, else the next, else the last; -1 = none.

    As in js/src/attention_place.ts and memory_place.ts.
    """
    if not layers or not 0 <= selected < len(catalog["layers"]):
        return layers[0] if layers else -1
    own = catalog["layers"][selected]["path"]
    paths = [(layer, catalog["layers"][layer]["path"]) for layer in layers]
    inside = [layer for layer, path in paths if _is_within(path, own)]
    around = [layer for layer, path in reversed(paths) if _is_within(own, path)]
    related = [*inside[:1], *around[:1]] if own else []
    later = [layer for layer in layers if layer > selected]
    return (*related, *later, layers[-1])[0]


def _is_within(path: str, outer: str) -> bool:
    """Whether a module is another one or inside it."""
    return path == outer or path.startswith(f"{outer}.")


def _calls(catalog: Catalog, layer: int, step: int) -> list[int]:
    """A layer's records by call in this step; where it did not run, in the nearest step before, else after."""
    steps = catalog["layers"][layer]["records"]
    before = reversed(steps[: step + 1])
    return next((calls for calls in (*before, *steps[step + 1 :]) if calls), [])
