"""What several ranks saved, on its way in and out: a complete capture per rank, and the label of the whole.

In: a place, and whose part is written. Out: the place of the part, the label; the parts that are there. Every rank
writes the same label, so none waits for another.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import FormatError, SaveError
from .opening import LABEL_KEY, LABEL_NAME, Opened, folder_label, is_capture, open_place
from .opening_values import LATEST_BYTES
from .ranks_notes import ranks_text
from .store_files import FOLDER, StorePlace, damaged
from .store_format_ranks import RankPart, is_ranks, read_ranks_label

LEAST_LATEST_BYTES = 2**21
"""Bytes of the chunks read last that each part keeps, however many there are."""
REQUESTS = 8
"""Parts that are opened at once where they lie elsewhere."""
PARTS = "ranks"
"""The folder of the parts."""


def part_place(place: StorePlace, rank: int) -> StorePlace:
    """Where the part of a rank lies."""
    return place.inside(f"{PARTS}/{rank}")


def gathered_place(place: StorePlace, rank: int) -> StorePlace:
    """Where rank 0 writes what it gathered of another rank. No two ranks write to one place."""
    return place.inside(f"{PARTS}/{rank}.gathered")


def is_ranks_store(place: StorePlace) -> bool:
    """Whether several ranks saved here, whole or damaged."""
    try:
        return not place.is_file and is_ranks(folder_label(place))
    except (FormatError, OSError):
        return False


def check_free(place: StorePlace, part: RankPart, *, overwrite: bool) -> None:
    """Refuse a path where a part cannot be added.

    Raises:
        SaveError: when it is of another kind, or holds something else.
    """
    if not place.root.lower().endswith(FOLDER):
        raise SaveError(
            f"path={place.text!r}: {part.world_size} ranks save into one folder; write 'run{FOLDER}' and open that."
        )
    if not place.exists() or not place.inside(LABEL_NAME).exists():
        return
    if not is_ranks_store(place):
        what = "a saved capture of one process" if is_capture(place) else "no saved capture"
        raise SaveError(f"{place.text!r} exists and is {what}, so rank {part.rank} cannot add its part; give another.")
    if overwrite:
        return
    try:
        world_size, launch = read_ranks_label(folder_label(place))
    except FormatError as error:
        raise SaveError(f"{place.text!r} exists, and {error}; give another path, or overwrite=True.") from error
    if (world_size, launch) != (part.world_size, part.launch):
        raise SaveError(
            f"{place.text!r} exists and was saved by another launch, of {world_size} ranks; give another path, or "
            "overwrite=True on all ranks to replace it."
        )


def write_label(place: StorePlace, part: RankPart) -> None:
    """The label of the whole, and what another reader of Zarr must know of the folder of the parts."""
    describe_group(place.inside(f"{PARTS}/{LABEL_NAME}"), {})
    describe_group(place.inside(LABEL_NAME), {LABEL_KEY: part.label()})


def open_parts(place: StorePlace, budget_bytes: int) -> tuple[dict[int, Opened], int]:
    """The parts that are there, by rank, and of how many ranks they are.

    Raises:
        FormatError: when no part is there, a part is damaged, or parts are of different launches.
    """
    try:
        world_size, launch = read_ranks_label(folder_label(place))
    except (FormatError, OSError) as error:
        raise damaged(place, error) from error
    folders = _there(place)
    mine = [rank for rank in range(world_size) if f"{rank}" in folders or f"{rank}.gathered" in folders]
    # Elsewhere a request takes long and costs nothing here.
    with ThreadPoolExecutor(1 if place.local else REQUESTS) as pool:
        found = pool.map(lambda rank: _newest(place, RankPart(rank, world_size, launch), folders, budget_bytes), mine)
        parts = {rank: opened for rank, opened in zip(mine, found, strict=True) if opened is not None}
    if not parts:
        raise damaged(place, f"the parts of all {world_size} ranks are missing")
    other = [rank for rank, opened in parts.items() if opened.part != RankPart(rank, world_size, launch)]
    if other:
        raise damaged(
            place,
            f"its parts are of different launches: {ranks_text(other)} saved in another one than the rest. Run all "
            f"ranks again with overwrite=True, or remove {part_place(place, other[0]).text!r} to open it without",
        )
    return parts, world_size


def _there(place: StorePlace) -> set[str]:
    """Names in the folder of the parts. One listing, however many ranks there are."""
    folder = place.inside(PARTS)
    if place.local:
        return {each.name for each in Path(folder.root).iterdir()} if Path(folder.root).is_dir() else set()
    place.files.invalidate_cache(folder.root)  # others write here
    return {str(name).rstrip("/").rpartition("/")[2] for name in _listed(folder)}


def _newest(place: StorePlace, part: RankPart, folders: set[str], budget_bytes: int) -> Opened | None:
    """The part that a rank saved; or what rank 0 gathered of it in this launch, where the rank saved none in it."""
    own = _opened(part_place(place, part.rank), part, budget_bytes) if f"{part.rank}" in folders else None
    if (own is None or own.part != part) and f"{part.rank}.gathered" in folders:
        gathered = _opened(gathered_place(place, part.rank), part, budget_bytes)
        if gathered is not None and gathered.part == part:
            return gathered
    return own


def _opened(target: StorePlace, part: RankPart, budget_bytes: int) -> Opened | None:
    """A part; None where it was begun and has no label."""
    if not target.inside(LABEL_NAME).exists():
        return None
    opened = open_place(target, budget_bytes)
    if opened.part is None or opened.part.rank != part.rank:
        raise damaged(target, f"it is not the part of rank {part.rank}")
    opened.saved.latest_bytes = max(LEAST_LATEST_BYTES, LATEST_BYTES // part.world_size)
    return opened


def _listed(folder: StorePlace) -> list[str]:
    try:
        names: list[str] = folder.files.ls(folder.root, detail=False)
    except FileNotFoundError:
        return []
    return names


def describe_group(place: StorePlace, attributes: dict[str, object]) -> None:
    """Write a group's file whole; whoever reads while it is written finds the one before."""
    text = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=2).encode("ascii")
    if not place.local:
        place.files.pipe_file(place.root, text)
        return
    beside = Path(f"{place.root}.{uuid.uuid4().hex[:8]}.part")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(text)
    beside.replace(place.root)
