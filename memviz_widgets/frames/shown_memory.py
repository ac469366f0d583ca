"""Which map of a memory is shown while the cursor is anywhere in the model, and the strips of its parts over time.

In: a catalog, a cursor, the choice of a map. Out: ShownMap, one or one per strip. The browser's twins are
js/src/memory_choice.ts, memory_map.ts and memory_panels_rows.ts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .entries import AxisEntry, Catalog, MemoryEntry, PictureEntry, RecordEntry
from .shown import (
    PROVENANCE,
    Cursor,
    Place,
    ShownMap,
    axis_words,
    flat_index,
    index_along,
    nearest_layer,
    not_run,
    picture_of,
    place_at,
)

NO_MEMORY = "No memory was found in this recording: no recurrent layer, and no module whose memory is known."
ORDER_WORDS = {
    "index": "",
    "timescale": "by time constant, longest first",
    "similarity": "by similarity, neighbours are alike",
}
ORDER_PAGES = {"index": "time", "timescale": "timescale", "similarity": "similarity"}
MOST_HEADS = 4
"""Of a part with more heads only the selected one has a strip."""

_PARTS = {
    "hidden": "hidden state",
    "cell": "cell state",
    "gate.i": "input gate i",
    "gate.f": "forget gate f",
    "gate.g": "candidate g",
    "gate.o": "output gate o",
    "gate.r": "reset gate r",
    "gate.z": "update gate z",
    "gate.n": "candidate n",
    "gate.free": "free gate",
    "gate.allocation": "allocation gate",
    "gate.write": "write gate",
    "memory": "content",
    "read": "read vectors",
    "erase": "erase vectors",
    "add": "add vectors",
}
_LIMITS = {
    "wrote": "which step wrote what it holds, in shares of each row",
    "reads": "which step wrote what is read from it, in shares of each row",
}
_SHORT_LAW = "See mv.analysis.memory for what else can be measured."


@dataclass(frozen=True, slots=True)
class Strip:
    """A part of a memory over time. ``name``: of the part. ``which``: which of its pictures, "" = there is one.

    ``shown``: its picture, or why there is none. ``pinned``: the range that its colours keep to.
    """

    name: str
    which: str
    shown: ShownMap
    pinned: tuple[float, float] | None


def part_name(kind: str) -> str:
    """ "forget gate f" for "gate.f"; the kind itself where it has no other name."""
    return _PARTS.get(kind, kind.replace("_", " "))


def memory_layer(catalog: Catalog, selected: int) -> int:
    """Position of the part of a memory to show; -1: the recording has no memory."""
    if any(selected in memory["layers"] for memory in catalog["memories"]):
        return selected
    contents = (content_layer(memory) for memory in catalog["memories"])
    found = sorted(position for position in contents if 0 <= position < len(catalog["layers"]))
    return nearest_layer(catalog, found, selected)


def content_layer(memory: MemoryEntry) -> int:
    """The layer that stands for a memory: what it holds, else its first part."""
    return memory["content"] if memory["content"] >= 0 else next(iter(memory["layers"]), -1)


def memory_at(catalog: Catalog, cursor: Cursor) -> MemoryEntry | None:
    """The memory to show; None: the recording has none."""
    position = memory_layer(catalog, cursor.get("layer", 0))
    return next((memory for memory in catalog["memories"] if position in memory["layers"]), None)


def shown_memory(catalog: Catalog, cursor: Cursor, name: str, order: str, whole: bool) -> ShownMap:
    """A map of the memory at the cursor.

    Args:
        catalog: What was recorded.
        cursor: Index per trait of the selection.
        name: "time", "cursor", "wrote" or "reads".
        order: Of the rows of the map "time": "index", "timescale" or "similarity".
        whole: Of the map "wrote": of the whole memory instead of the selected unit.
    """
    memory = memory_at(catalog, cursor)
    own = memory_layer(catalog, cursor.get("layer", 0))
    if memory is None or place_at(catalog, own, cursor) is None:
        label = catalog["layers"][own]["label"] if own >= 0 else ""
        return ShownMap(None, absence=not_run(label, cursor) if label else NO_MEMORY)
    attended = name == "wrote" and memory["form"] == "kv"
    kind = _page_kind(name, order, whole, attended)
    found = _find(catalog, memory, cursor, name, kind)
    if found is None:
        place = place_at(catalog, own, cursor)
        assert place is not None
        return ShownMap(place, kind, absence=_absence(name, place, memory, whole))
    place, picture = found
    flat = flat_index(picture, cursor, _head_of(cursor, memory, picture, place.record))
    named = _content(catalog, memory, cursor, place) if kind in PROVENANCE else place
    limits = _LIMITS.get(name, "") if name != "time" else _order_limits(picture["row_dim"], order)
    words = (part_words(catalog, named), *axis_words(picture, cursor), limits)
    shown = ShownMap(place, kind, picture, flat, tuple(filter(None, words)))
    if attended:
        return replace(shown, times=_times(catalog, memory, cursor, place))
    return replace(shown, order=ORDER_WORDS[order] if name == "time" else "")


def strips(catalog: Catalog, cursor: Cursor, order: str) -> list[Strip]:
    """A strip per part of the shown memory, in its order; one per head where there are a few."""
    memory = memory_at(catalog, cursor)
    layers = [] if memory is None else memory["layers"]
    kinds = [catalog["layers"][position]["kind"] for position in layers]
    found = []
    for position in layers:
        layer = catalog["layers"][position]
        several = kinds.count(layer["kind"]) > 1 and layer["item"]
        name = f"{part_name(layer['kind'])} {layer['item']}" if several else part_name(layer["kind"])
        found += _strips_of(catalog, position, name, cursor, ORDER_PAGES[order])
    return found


def part_words(catalog: Catalog, place: Place) -> str:
    """ "cell of enc l0", "write weights of ntm.memory": a part of a memory."""
    part = place.record["memory"]
    if part is None or not 0 <= part["memory"] < len(catalog["memories"]):
        return place.layer["label"]
    kind = place.layer["kind"].replace(".", " ").replace("_", " ")
    return f"{kind} of {catalog['memories'][part['memory']]['label']}"


def _page_kind(name: str, order: str, whole: bool, attended: bool) -> str:
    if name == "wrote":
        return "frame" if attended else "wrote" if whole else "wrote_unit"
    return {"time": ORDER_PAGES[order], "cursor": "frame", "reads": "reads"}[name]


def _find(
    catalog: Catalog, memory: MemoryEntry, cursor: Cursor, name: str, kind: str
) -> tuple[Place, PictureEntry] | None:
    """The selected part's map; of all but the map over time that of another part, where the selected one has none."""
    own = memory_layer(catalog, cursor.get("layer", 0))
    others = [] if name == "time" else [memory["content"], *memory["layers"]]
    attended = name == "wrote" and memory["form"] == "kv"
    for position in [memory["attention"]] if attended else [own, *others]:
        place = place_at(catalog, position, cursor)
        picture = None if place is None else picture_of(place.record, kind)
        if name == "cursor" and picture is not None and "time" in (picture["row_dim"], picture["col_dim"]):
            picture = None  # one number per unit, which the map over time shows already
        if place is not None and picture is not None:
            return place, picture
    return None


def _head_of(cursor: Cursor, memory: MemoryEntry, picture: PictureEntry, record: RecordEntry) -> dict[str, int]:
    """Query heads share the heads of a KV cache in groups: the head of ``picture`` that belongs to the cursor's."""
    heads = next((axis["size"] for axis in picture["axes"] if axis["trait"] == "head"), 1)
    selectable, head = record["extents"].get("head", 0), cursor.get("head", 0)
    if memory["form"] != "kv" or selectable == 0:
        return {}
    if selectable > heads and selectable % heads == 0:
        return {"head": head // (selectable // heads)}
    return {"head": head * (heads // selectable)} if heads > selectable and heads % selectable == 0 else {}


def _times(catalog: Catalog, memory: MemoryEntry, cursor: Cursor, place: Place) -> tuple[int, ...] | None:
    """The timestep of each query of the attention that reads a cache; None: its number."""
    attention, content = place.record["attention"], place_at(catalog, memory["content"], cursor)
    queries, keys = (attention["queries"], attention["keys"]) if attention else (0, 0)
    entries = keys if content is None else content.record["extents"].get("time", keys)
    before = max(0, entries - queries)  # entries of the cache from earlier calls
    return tuple(query + before for query in range(queries)) if before else None


def _content(catalog: Catalog, memory: MemoryEntry, cursor: Cursor, place: Place) -> Place:
    """The part that says what the memory holds, of the direction or item that is shown."""
    layers = catalog["layers"]
    kind = layers[memory["content"]]["kind"] if memory["content"] >= 0 else ""
    alike = (
        position
        for position in memory["layers"]
        if layers[position]["kind"] == kind and layers[position]["item"] == place.layer["item"]
    )
    return place_at(catalog, next(alike, memory["content"]), cursor) or place


def _order_limits(units: str, order: str) -> str:
    return f"{units}s {ORDER_WORDS[order]}" if ORDER_WORDS[order] else ""


def _strips_of(catalog: Catalog, position: int, name: str, cursor: Cursor, kind: str) -> list[Strip]:
    place = place_at(catalog, position, cursor)
    memory = place.record["memory"] if place else None
    picture = memory["time"] if memory else None
    if place is None or memory is None or picture is None:
        note = not_run("it", cursor) if place is None else _why_none(place.record)
        return [Strip(name, "", ShownMap(place, kind, absence=note), None)]
    heads = next((axis["size"] for axis in picture["axes"] if axis["trait"] == "head"), 1)
    each = [{"head": head} for head in range(heads)] if 1 < heads <= MOST_HEADS else [{}]
    pinned = None if memory["pinned"] is None else (memory["pinned"][0], memory["pinned"][1])
    chosen: list[AxisEntry] = [axis for axis in picture["axes"] if axis["trait"] != "sample" and axis["size"] > 1]
    found = []
    for fixed in each:
        at = {**cursor, **fixed}
        which = ", ".join(
            f"{axis['dim']} {index_along(at, axis['trait'], axis['size'])} of {axis['size']:,}" for axis in chosen
        )
        found.append(Strip(name, which, ShownMap(place, kind, picture, flat_index(picture, at)), pinned))
    return found


def _why_none(record: RecordEntry) -> str:
    """Why a part has no picture over time: a sentence."""
    steps = record["shape"][record["dims"].index("time")] if "time" in record["dims"] else None
    if record["message"]:
        return record["message"]
    if steps is None:
        return "it has no time"
    if steps <= 1:
        return f"{steps} timestep: nothing to see over time"
    return "it has no picture over time" if record["frame"] else "its values were not kept"


def _absence(name: str, place: Place, memory: MemoryEntry, whole: bool) -> str:
    """Why a part of a memory has no picture of this kind."""
    layer, record = place.layer["label"], place.record
    part = record["memory"]
    if record["frame"] is None and (part is None or part["time"] is None):
        return record["message"] or "nothing to show"
    if name == "time":
        return record["message"] or f"{layer} has no time: it is there once"
    if name == "cursor":
        return f"{layer} has one number per unit at a step: the map over time shows all of them"
    return _provenance_absence(name, place, memory, whole)


def _provenance_absence(name: str, place: Place, memory: MemoryEntry, whole: bool) -> str:
    layer, label, part = place.layer["label"], memory["label"], place.record["memory"]
    if name == "wrote" and memory["form"] == "kv":
        return f"The attention that reads {label} was not recorded in this step: nothing says which entries are read."
    if not memory["law"]:
        no_gate = f"{label} has no gate that says what it keeps, so who wrote what cannot be told exactly."
        return " ".join(filter(None, (no_gate, memory["note"], _SHORT_LAW)))
    if name == "reads":
        return f"{label} has no read weights: nothing says what is read from it. Show who wrote what it holds."
    if not whole and part is not None and part["wrote"] is not None:
        return f"{layer} has too many steps for a map of each unit. Show the whole memory."
    return f"{layer} is too long for a map of who wrote what: ask mv.analysis.memory.provenance for a part of it."
