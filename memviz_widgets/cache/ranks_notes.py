"""What a record of several ranks says of itself: how it was put together, and what of it is not there.

In: a Layout and who is missing. Out: texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..records import Placement, TensorRecord
from .ranks_boxes import Box, Layout
from .store_format_records import sharded_axis

MOST_GAPS = 4
"""Parts that nobody recorded and that a note lists."""


def ranks_text(ranks: Sequence[int]) -> str:
    """ "rank 2", "ranks 0, 1", "ranks 0 to 31"."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    if len(ranks) > 4 and list(ranks) == list(range(ranks[0], ranks[-1] + 1)):
        return f"ranks {ranks[0]} to {ranks[-1]}"
    return f"ranks {', '.join(map(str, ranks))}"


def missing_text(lost: Sequence[int], world_size: int) -> str:
    """ "rank 1 of 4 missing"; "" when all are there."""
    return f"{ranks_text(lost)} of {world_size} missing" if lost else ""


def apart_note(note: str, rank: int, reason: str) -> str:
    """Of a record of one rank."""
    where = f"rank {rank}"
    why = f"local shard, {where}: not joined, {reason}" if reason else "" if note.endswith(where) else where
    return "; ".join(filter(None, (note, why)))


def layout_note(
    layout: Layout,
    placement: Placement,
    dims: Sequence[str],
    lost: frozenset[int],
    members: Mapping[int, TensorRecord],
) -> str:
    """Of a record that was put together: "4 ranks: batch", and who is missing."""
    ranks = placement.ranks
    gone = [rank for rank in ranks if rank in lost]
    unkept = [rank for rank in ranks if rank in members and not members[rank].available]
    facts = [
        *dict.fromkeys(record.note for record in members.values() if record.available or len(unkept) == len(members)),
        f"{len(ranks)} ranks: {_over(placement, dims)}" if len(ranks) > 1 else ranks_text(ranks),
        missing_text(gone, len(ranks)),
        f"not kept on {ranks_text(unkept)}" if unkept and len(unkept) < len(members) else "",
        _gaps(layout, dims),
        f"what {ranks_text(layout.skipped)} had is left out, since its size is not known" if layout.skipped else "",
    ]
    return "; ".join(filter(None, facts))


def _over(placement: Placement, dims: Sequence[str]) -> str:
    """ "batch (dp), channel (tp)"."""
    found = []
    for text, name, size in zip(placement.placements, placement.mesh_dims, placement.mesh, strict=True):
        axis = sharded_axis(text)
        if size > 1 and (text != "replicate" or set(placement.placements) == {"replicate"}):
            what = text if axis is None else dims[axis]
            found.append(f"{what} ({name})" if name and len(placement.mesh) > 1 else what)
    return ", ".join(dict.fromkeys(found)) or "replicate"


def _gaps(layout: Layout, dims: Sequence[str]) -> str:
    """What nobody recorded."""
    gaps = [box for box in layout.boxes if not box.ranks]
    if not gaps or len(gaps) == len(layout.boxes):
        return ""
    listed = ", ".join(_span(box, layout, dims) for box in gaps[:MOST_GAPS])
    more = f" and {len(gaps) - MOST_GAPS} more" if len(gaps) > MOST_GAPS else ""
    taken = ", taken to be as large as the others" if layout.assumed else ""
    return f"not recorded: {listed}{more}{taken} (drawn as NaN)"


def _span(box: Box, layout: Layout, dims: Sequence[str]) -> str:
    """ "channel 4 to 7"."""
    found = []
    for dim, start, size, whole in zip(dims, box.start, box.shape, layout.shape, strict=True):
        if size < whole:
            found.append(f"{dim} {start}" if size == 1 else f"{dim} {start} to {start + size - 1}")
    return " ".join(found) or "all"
