"""The facts about a record in a line, and what the user must know of its picture. The browser's twin: record_line.ts.

In: entries of a catalog. Out: texts.
"""

from __future__ import annotations

from ..cache.budget import format_bytes
from .entries import PictureEntry, RecordEntry, StatsEntry
from .number_text import approximately, share_text

_COUNTS = (("nan", "NaN"), ("posinf", "+Inf"), ("neginf", "\N{MINUS SIGN}Inf"))


def record_facts(record: RecordEntry) -> str:
    """ "(1, 64, 112, 112) batch x channel x height x width · float32 · 3.1 MiB · min ... · 12 % zeros"."""
    shape = ", ".join(map(str, record["shape"]))
    dims = " \N{MULTIPLICATION SIGN} ".join(record["dims"])
    facts = [
        f"({shape}{',' if len(record['shape']) == 1 else ''}) {dims}".strip(),
        record["dtype"],
        format_bytes(record["nbytes"]),
        *(_stats_facts(record["stats"]) if record["stats"] else []),
    ]
    return " \N{MIDDLE DOT} ".join(filter(None, facts))


def pooling_note(picture: PictureEntry | None, pooled_by: str = "largest") -> str:
    """What a pooled picture hides: "1 of 8 x 8 cells shown: largest |x|"; "" when every cell is there.

    ``pooled_by``: "largest" or "mean", that of the FrameStore.
    """
    if picture is None or picture["pool_rows"] * picture["pool_cols"] <= 1:
        return ""
    times = f"{picture['pool_rows']:,} \N{MULTIPLICATION SIGN} {picture['pool_cols']:,}"
    return f"1 of {times} cells shown: {'mean' if pooled_by == 'mean' else 'largest |x|'}"


def _stats_facts(stats: StatsEntry) -> list[str]:
    known = {"min": stats["min"], "max": stats["max"], "mean": stats["mean"], "std": stats["std"]}
    numbers = " ".join(f"{name} {approximately(value)}" for name, value in known.items() if value is not None)
    counts = {"nan": stats["nan"], "posinf": stats["posinf"], "neginf": stats["neginf"]}
    return [numbers, f"{share_text(stats['zeros'])} zeros", *(f"{counts[k]:,} {n}" for k, n in _COUNTS if counts[k])]
