"""What a picture shows at a cursor: which record, page and frame, and the words for it, as the browser decides it too.

In: a catalog and a cursor (index per trait of the selection). Out: a ShownMap. No tensor, no widget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .entries import Catalog, LayerEntry, PictureEntry, RecordEntry, TokensEntry
from .page import ATTENTION_KINDS

Cursor = Mapping[str, int]
"""Index per trait of the selection: layer, step, call, channel ..."""

TextAt = Callable[[int], "str | None"]
"""The text at a position; None: there is none, the index stands for itself."""

TIME_DIMS = ("time", "read at", "written at")
PROVENANCE = ("wrote", "wrote_unit", "reads")
"""Maps of which step wrote what."""
SIGNED_KINDS = ("difference", "time", "timescale", "similarity")
"""Of a record of attention, pages whose code 253 is no exact 0."""
REORDERED = ("timescale", "similarity")


@dataclass(frozen=True, slots=True)
class Place:
    """A record at the cursor: its index, itself, its layer and that one's position."""

    index: int
    record: RecordEntry
    layer: LayerEntry
    position: int


@dataclass(frozen=True, slots=True)
class ShownMap:
    """One map of one record.

    ``kind``: of its pages. ``picture``: its geometry, None: there is no such map and ``absence`` says why. ``flat``:
    which frame of the pages. ``words``: which of the record's maps it is, as "channel 17 of 64". ``times``: the index
    that each row stands for, None: its own. ``order``: how the rows are ordered, "" = by their own index.
    """

    place: Place | None
    kind: str = "frame"
    picture: PictureEntry | None = None
    flat: int = 0
    words: tuple[str, ...] = ()
    absence: str = ""
    times: tuple[int, ...] | None = None
    order: str = ""

    @property
    def empty_zeros(self) -> bool:
        """Whether code 253 stands for what is exactly 0: masked weights, no share."""
        weights = self.place is not None and bool(self.place.record["attention"]) and self.kind not in SIGNED_KINDS
        return weights or self.kind in PROVENANCE

    @property
    def zero_reason(self) -> str:
        """Why such a cell is exactly 0."""
        return "nothing that was written then is in it" if self.kind in PROVENANCE else "masked or never attended"


def shown_frame(catalog: Catalog, cursor: Cursor) -> ShownMap:
    """The frame of the selected record."""
    place = place_at(catalog, cursor.get("layer", 0), cursor)
    if place is None:
        layers = catalog["layers"]
        label = layers[cursor.get("layer", 0)]["label"] if layers else ""
        return ShownMap(None, absence=not_run(label, cursor) if layers else "nothing was recorded")
    picture = place.record["frame"]
    if picture is None:
        return ShownMap(place, absence=place.record["message"] or "nothing to show")
    return ShownMap(place, picture=picture, flat=flat_index(picture, cursor), words=tuple(axis_words(picture, cursor)))


def place_at(catalog: Catalog, position: int, cursor: Cursor) -> Place | None:
    """The record of a layer at the step and call of the cursor, or at its last call; None: it did not run."""
    layers = catalog["layers"]
    if not 0 <= position < len(layers):
        return None
    layer, step = layers[position], cursor.get("step", 0)
    calls = layer["records"][step] if step < len(layer["records"]) else []
    if not calls:
        return None
    index = calls[min(cursor.get("call", 0), len(calls) - 1)]
    return Place(index, catalog["records"][index], layer, position)


def not_run(label: str, cursor: Cursor) -> str:
    """Why there is no record."""
    return f"{label} did not run in step {cursor.get('step', 0)}"


def picture_of(record: RecordEntry, kind: str) -> PictureEntry | None:
    """Geometry of a record's pages of a kind that is drawn as a heatmap; None: it has none."""
    if kind == "frame":
        return record["frame"]
    attention, memory = record["attention"], record["memory"]
    found: Any = None
    if kind in ATTENTION_KINDS:
        found = None if attention is None else cast("dict[str, Any]", attention).get(kind)
    elif memory is not None:
        found = cast("dict[str, Any]", memory).get("time" if kind in REORDERED else kind)
    return cast("PictureEntry | None", found)


def index_along(cursor: Cursor, trait: str, size: int) -> int:
    """The index that the cursor holds for ``trait``, within 0 .. size - 1."""
    return max(0, min(size - 1, cursor.get(trait, 0)))


def flat_index(picture: PictureEntry, cursor: Cursor, replace: Cursor | None = None) -> int:
    """Number of the frame at the cursor among those of a picture, row-major over its axes."""
    flat, at = 0, {**cursor, **(replace or {})}
    for axis in picture["axes"]:
        flat = flat * axis["size"] + index_along(at, axis["trait"], axis["size"])
    return flat


def axis_words(picture: PictureEntry, cursor: Cursor) -> list[str]:
    """ "channel 17 of 64" for each slider axis with more than one position."""
    return [
        f"{axis['dim']} {index_along(cursor, axis['trait'], axis['size'])} of {axis['size']:,}"
        for axis in picture["axes"]
        if axis["size"] > 1
    ]


def is_within(path: str, outer: str) -> bool:
    """Whether a module is another one or inside it."""
    return path == outer or path.startswith(f"{outer}.")


def nearest_layer(catalog: Catalog, found: list[int], selected: int) -> int:
    """Of the layers ``found``, in execution order, the one that belongs to the selected one; -1: there is none.

    The first inside its module, else the last around it, else the next one in execution order, else the last.
    """
    if not found or not 0 <= selected < len(catalog["layers"]):
        return found[0] if found else -1
    path = catalog["layers"][selected]["path"]
    paths = {position: catalog["layers"][position]["path"] for position in found}
    inside = [position for position in found if is_within(paths[position], path)]
    around = [position for position in found if is_within(path, paths[position])]
    after = [position for position in found if position > selected]
    # The model itself is around everything: then the next one in execution order says more.
    related = [] if path == "" else inside[:1] or around[-1:]
    return (related or after[:1] or found[-1:])[0]


def texts_along(catalog: Catalog, shown: ShownMap, dim: str, cursor: Cursor) -> TextAt | None:
    """The texts that stand along a dim of what is shown; None: the recording has none for it."""
    entry, picture = _tokens_along(shown, dim), shown.picture
    if entry is None or picture is None or not 0 <= entry["sequence"] < len(catalog["tokens"]):
        return None
    samples = next((axis["size"] for axis in picture["axes"] if axis["trait"] == "sample"), 1)
    sequence, sample = catalog["tokens"][entry["sequence"]], index_along(cursor, "sample", samples)
    texts = sequence[sample] if sample < len(sequence) else []
    offset = entry["offset"]

    def text_at(index: int) -> str | None:
        return texts[index + offset] if 0 <= index + offset < len(texts) else None

    return text_at


def only_query(picture: PictureEntry, cursor: Cursor) -> int | None:
    """The query whose row alone the picture shows; None: it shows all queries, or none."""
    axis = None if picture["row_dim"] else next((each for each in picture["axes"] if each["trait"] == "query"), None)
    return None if axis is None else index_along(cursor, "query", axis["size"])


def _tokens_along(shown: ShownMap, dim: str) -> TokensEntry | None:
    attention = shown.place.record["attention"] if shown.place else None
    memory = shown.place.record["memory"] if shown.place else None
    if attention is not None and dim in ("query", "key"):
        return attention["query_tokens" if dim == "query" else "key_tokens"]
    return memory["tokens"] if memory is not None and dim in TIME_DIMS else None
