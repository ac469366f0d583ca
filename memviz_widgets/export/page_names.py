"""Which pages a record has, and which of them a cursor is at: what js/src/prefetch.ts knows, on this side.

In: entries of the catalog, indices of a cursor. Out: names of pages and their bytes. No values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..frames.entries import Catalog, PictureEntry, RecordEntry
from ..frames.page import ATTENTION_KINDS, MEMORY_KINDS, PageKind

ORDERED = ("time", "timescale", "similarity")
"""Kinds that share the geometry of a memory over time."""
TABLES = ("heads", "units", "saturation", "retention", "entries")
"""Measures with a page per sample."""
ZERO_CODED = ("tiles", "row", "log", "mean", "max", "rollout", "flow", "wrote", "wrote_unit", "reads")
"""Kinds whose code 253 is exactly 0; that of attention weights themselves is, too."""
HISTOGRAM_BYTES = 600


@dataclass(frozen=True, slots=True, order=True)
class PageName:
    """A page of a record; see frames.page.Page."""

    record: int
    kind: PageKind
    page: int


def geometry(entry: RecordEntry, kind: str) -> PictureEntry | None:
    """The geometry of a record's pictures of one kind; None: it has none, or they are measures."""
    if kind in ("frame", "sheet", "series"):
        own: PictureEntry | None = entry[kind]  # type: ignore[literal-required]
        return own
    part = entry["memory"] if kind in MEMORY_KINDS else entry["attention"]
    if part is None or kind in TABLES or kind in ("channels", "histogram"):
        return None
    shape: PictureEntry | None = part["time" if kind in ORDERED else kind]  # type: ignore[literal-required]
    return shape


def page_count(entry: RecordEntry, kind: str) -> int:
    """How many pages of a kind a record has, 0 = none."""
    picture = geometry(entry, kind)
    if picture is not None:
        return math.ceil(picture["frames"] / picture["frames_per_page"])
    samples = max(1, entry["extents"].get("sample", 1))
    memory = entry["memory"]
    if entry["frame"] is None:
        return 0
    if kind in ("histogram", "channels"):
        return int(kind == "histogram" or entry["channels"] > 0)
    if kind == "heads":
        return samples if entry["attention"] is not None else 0
    if memory is None or kind not in TABLES:
        return 0
    there = {"units": memory["time"], "saturation": memory["saturation"], "retention": memory["lags"]}
    return samples if there.get(kind, memory["entries"]) else 0


def page_at(entry: RecordEntry, kind: str, indices: Mapping[str, int]) -> int:
    """The page of a kind that a cursor is at. The record must have pages of it."""
    picture = geometry(entry, kind)
    if picture is None:
        last = max(1, entry["extents"].get("sample", 1)) - 1
        return min(indices.get("sample", 0), last) if kind in TABLES else 0
    return flat(picture, indices) // picture["frames_per_page"]


def pages_of_sample(entry: RecordEntry, kind: str, indices: Mapping[str, int]) -> range:
    """The pages of a kind that the sliders other than the sample's reach."""
    picture = geometry(entry, kind)
    if picture is None:
        page = page_at(entry, kind, indices)
        return range(page, page + 1)
    others = {axis["trait"] for axis in picture["axes"]} - {"sample"}
    first = flat(picture, {**indices, **dict.fromkeys(others, 0)})
    last = flat(picture, {**indices, **dict.fromkeys(others, picture["frames"])})
    return range(first // picture["frames_per_page"], last // picture["frames_per_page"] + 1)


def flat(picture: PictureEntry, indices: Mapping[str, int]) -> int:
    """Flat index of the frame at these indices, each moved inside its axis."""
    place = 0
    for axis in picture["axes"]:
        place = place * axis["size"] + min(indices.get(axis["trait"], 0), axis["size"] - 1)
    return place


def page_bytes(catalog: Catalog, name: PageName) -> int:
    """Bytes of a page before it is deflated, about."""
    entry = catalog["records"][name.record]
    picture = geometry(entry, name.kind)
    if picture is not None:
        frames = min(picture["frames_per_page"], picture["frames"] - name.page * picture["frames_per_page"])
        return frames * (picture["rows"] * picture["cols"] * (4 if name.kind == "series" else 1) + 16)
    if name.kind == "channels":
        return 12 * entry["channels"]
    memory = entry["memory"]
    if name.kind == "histogram" or name.kind in ATTENTION_KINDS or memory is None or memory["time"] is None:
        return HISTOGRAM_BYTES
    units, steps = memory["time"]["full_rows"], memory["time"]["full_cols"]
    cells = {
        "units": 3 * units,
        "saturation": 2 * units,
        "retention": (units + 1) * memory["lags"],
        "entries": len(catalog["entry_measures"]) * memory["entries"] * steps,
    }
    return 4 * cells[name.kind]


def zero_coded(entry: RecordEntry, kind: str) -> bool:
    """Whether code 253 is exactly 0 on pages of this kind, instead of -Inf."""
    return kind in ZERO_CODED or (kind == "frame" and entry["attention"] is not None)
