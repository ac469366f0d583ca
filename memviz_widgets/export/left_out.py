"""What a page says about what it lacks: the catalog of the views, and a list in words.

In: a filled shelf. Out: the catalog with the records as they are in the page; a line for each thing that is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..frames.entries import Catalog, RecordEntry
from .coarser import coarser_entry, factors
from .inclusion import COARSENED, Shelf
from .page_names import ORDERED, PageName, geometry, page_count

MAP_WORDS = {
    "sheet": "tiles of all channels",
    "series": "lines over time",
    "channels": "measures of the channels",
    "histogram": "histograms",
    "tiles": "small maps of all heads",
    "heads": "measures of the heads",
    "row": "maps of each row in shares of its largest",
    "log": "maps of logarithmic weights",
    "mean": "maps of the mean of all heads",
    "max": "maps of the largest of all heads",
    "difference": "maps of a head minus another",
    "rollout": "maps of attention rollout",
    "flow": "maps of attention flow",
    "timescale": "units ordered by timescale",
    "similarity": "units ordered by similarity",
    "wrote": "maps of who wrote what is held",
    "wrote_unit": "maps of who wrote what one unit holds",
    "reads": "maps of who wrote what is read",
    "units": "measures of the units",
    "saturation": "saturation of gates",
    "retention": "retention curves",
    "entries": "measures of the entries",
}
MAIN = ("frame", "time")
"""Kinds without which a record counts as left out."""
MOST_LINES = 400
FEW_LINES = 2
"""So many stand in the headline itself, where no record is missing."""
NOT_HERE = "not in this page, for which it is too large"


@dataclass(slots=True)
class Missing:
    """Lines of the list, and how many records are missing and how many are here in part."""

    lines: list[str] = field(default_factory=list)
    records: int = 0
    parts: int = 0
    of: int = 0

    @property
    def headline(self) -> str:
        """How much is missing, in words; "" = nothing."""
        found = [
            f"{self.records:,} of {_records(self.of)}" if self.records else "",
            f"parts of {_records(self.parts)}" if self.parts else "",
        ]
        few = "; ".join(self.lines) if len(self.lines) <= FEW_LINES else "some maps"
        return " and ".join(filter(None, found)) or few


def describe(shelf: Shelf, missing: Missing) -> Catalog:
    """The catalog of a shelf as its page has it; adds to ``missing`` what is not there."""
    wanted = _wanted(shelf)
    entries = list(shelf.catalog["records"])
    if not any(look.kinds for look in shelf.looks):  # no view draws anything: none is to say that it lacks a picture
        entries = [{**entry, "frame": None, "sheet": None, "series": None} for entry in entries]
    lacking: dict[tuple[str, bool], int] = {}
    names = _names(shelf.catalog)
    for record, kinds in wanted.items():
        main = next((kind for kind in MAIN if kind in kinds), None)
        there = {kind: _there(shelf, record, kind) for kind in kinds}
        missing.of += 1
        if main and not any(there[kind] for kind in kinds if kind in MAIN):
            reason = shelf.refused.get(record, NOT_HERE)
            missing.records += 1
            missing.lines.append(f"{names[record]}: {reason}")
            entries[record] = _absent(entries[record], reason)
            continue
        entries[record], facts = _in_part(shelf, record, there)
        missing.parts += bool(facts)
        missing.lines += [f"{names[record]}: {fact}" for fact in facts]
        for kind in kinds:
            if kind not in MAIN and there[kind] < page_count(shelf.catalog["records"][record], kind):
                lacking[kind, there[kind] > 0] = lacking.get((kind, there[kind] > 0), 0) + 1
    for (kind, partly), count in lacking.items():
        missing.lines.append(f"{'some of the ' if partly else ''}{MAP_WORDS.get(kind, kind)}, of {_records(count)}")
    if len(missing.lines) > MOST_LINES:
        missing.lines[MOST_LINES:] = [f"and {len(missing.lines) - MOST_LINES:,} more"]
    return {**shelf.catalog, "records": entries}


def _wanted(shelf: Shelf) -> dict[int, list[str]]:
    """Kinds of pages that the views reach, by record, as far as there are any."""
    found: dict[int, list[str]] = {}
    for look in shelf.looks:
        for record in look.records(shelf.catalog):
            entry = shelf.catalog["records"][record]
            kinds = found.setdefault(record, [])
            kinds += [kind for kind in look.kinds if kind not in kinds and page_count(entry, kind)]
    return {record: kinds for record, kinds in sorted(found.items()) if kinds}


def _there(shelf: Shelf, record: int, kind: str) -> int:
    """How many pages of a kind were taken."""
    count = page_count(shelf.catalog["records"][record], kind)
    return sum(PageName(record, kind, page) in shelf.taken for page in range(count))  # type: ignore[arg-type]


def _absent(entry: RecordEntry, reason: str) -> RecordEntry:
    """The entry of a record that is not there: the view says why in place of the picture."""
    message = "; ".join(filter(None, (reason, entry["message"])))
    nothing = {"frame": None, "sheet": None, "series": None}
    return {**entry, **nothing, "message": message, "on_demand": False}  # type: ignore[typeddict-item]


def _in_part(shelf: Shelf, record: int, there: dict[str, int]) -> tuple[RecordEntry, list[str]]:
    """The entry of a record with the geometry that its pages have, and what the user must know."""
    entry = shelf.catalog["records"][record]
    made: RecordEntry = {**entry, "on_demand": False}
    facts = []
    for kind in (kind for kind in MAIN if there.get(kind)):
        if there[kind] < page_count(entry, kind):
            several = entry["extents"].get("sample", 1) > 1
            facts.append(f"only pictures of {'one sample' if several else 'some positions'} are in this page")
            break
    for kind, count in there.items():
        factor = shelf.coarse.get((record, "time" if kind in ORDERED else kind), 1)
        if count and factor > 1 and kind in COARSENED:
            made, fact = _coarse(made, kind, factor, shelf.source.pooled_by)
            facts += [fact] if kind in MAIN and fact and fact not in facts else []
    if facts:
        made = {**made, "message": "; ".join(filter(None, (_without_pooling(made["message"]), *facts)))}
    return made, facts


def _coarse(entry: RecordEntry, kind: str, factor: int, pooled_by: str) -> tuple[RecordEntry, str]:
    picture = geometry(entry, kind)
    if picture is None or factors(picture, factor) == (1, 1):
        return entry, ""
    smaller = coarser_entry(picture, factor)
    of_means = pooled_by == "mean" and picture["pool_rows"] * picture["pool_cols"] > 1
    loudest = "largest |x| of means" if of_means else "largest |x|"
    fact = f"1 of {smaller['pool_rows']} x {smaller['pool_cols']} cells in this page: {loudest}"
    if kind == "frame":
        return {**entry, "frame": smaller}, fact
    if kind == "sheet":
        return {**entry, "sheet": smaller}, fact
    if kind in ORDERED or kind in ("wrote", "reads"):
        memory = {**(entry["memory"] or {}), "time" if kind in ORDERED else kind: smaller}
        return {**entry, "memory": memory}, fact  # type: ignore[typeddict-item]
    attention = {**(entry["attention"] or {}), kind: smaller}
    return {**entry, "attention": attention}, fact  # type: ignore[typeddict-item]


def _without_pooling(message: str) -> str:
    """A message without how many cells of the record were shown before they became fewer."""
    return "; ".join(part for part in message.split("; ") if not re.match(r"1 of \d+ x \d+ cells shown", part))


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _names(catalog: Catalog) -> dict[int, str]:
    """Each record's layer, with the step and the call where there are several."""
    found: dict[int, str] = {}
    for layer in catalog["layers"]:
        for step, calls in enumerate(layer["records"]):
            for call, record in enumerate(calls):
                words = [layer["label"]]
                words += [f"step {step}"] if len(layer["records"]) > 1 else []
                words += [f"call {call}"] if len(calls) > 1 else []
                found.setdefault(record, ", ".join(words))
    return found
