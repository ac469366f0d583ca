"""Saving the parts of several ranks that are together in one cache: each as its rank would have saved it.

In: a capture that was gathered, or opened from a store of several ranks. Out: such a store.
"""

from __future__ import annotations

import os

from ..errors import SaveError
from .joined_ranks import JoinedRanks
from .opening import Opened
from .ranks_store import check_free, gathered_place, part_place, write_label
from .saving import writing
from .store_files import StorePlace, store_place


def save_parts(ranks: JoinedRanks, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write all parts that are here, chunk by chunk, and the label of the whole.

    Rank 0 writes what it gathered of others beside their own parts, which they may be writing now: these come first
    when the store is opened, since they hold no less.

    Raises:
        SaveError: when the path is taken, or cannot be written.
        FormatError: when a chunk of a part cannot be read.
    """
    place = store_place(path)
    if ranks.place is not None and ranks.place.root == place.root:
        raise SaveError(f"{place.text!r} is what this cache reads its values from; give another path.")
    parts = [(opened, opened.part) for opened in ranks.parts.values() if opened.part is not None]
    check_free(place, parts[0][1], overwrite=overwrite)
    gathered = ranks.place is None
    for opened, part in parts:
        target = gathered_place(place, part.rank) if gathered and part.rank else part_place(place, part.rank)
        if target.exists() and not overwrite:
            raise SaveError(f"{target.text!r} exists; give another path, or overwrite=True to replace a saved part.")
        _copy(opened, target, overwrite=overwrite)
    write_label(place, parts[0][1])


def _copy(opened: Opened, target: StorePlace, *, overwrite: bool) -> None:
    """Write one part: the same chunks, the same index."""
    dims = {
        number: record.dims
        for record, value in zip(opened.index.records, opened.index.values, strict=True)
        if value is not None
        for name, number in value.arrays.items()
        if not name
    }
    with writing(target, overwrite=overwrite) as writer:
        for array in opened.index.arrays:
            for place in array.places():
                writer.chunk(array, place, bytes(opened.saved.chunk_bytes(array, place)))
            writer.array(array, dims.get(array.number, ()))
        writer.finish(opened.index.as_json(), overwrite=overwrite)
