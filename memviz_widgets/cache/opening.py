"""Opening: a saved capture as records and lazy values, without the model and without running anything.

In: a path or URL that ``cache.save`` wrote. Out: an Opened; or FormatError, which says what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..capture import QueryKey, Trace
from ..errors import FormatError
from ..records import TensorRecord
from .held import Entry, Value
from .opening_values import ChunkBytes, FileBytes, FolderBytes, SavedValues, as_header, header_starts
from .store_files import StorePlace, damaged
from .store_format import Index, is_ours, read_index, read_label
from .store_format_arrays import StoredArray
from .store_format_fields import Fields, parsed
from .store_format_ranks import RankPart
from .store_format_records import StoredValue
from .values import ValueStore

MOST_HEADER_BYTES = 100_000_000
"""Bytes of a safetensors header; the limit of the format."""
MOST_LABEL_BYTES = 1 << 16
INDEX_NAME = "memviz.json"
LABEL_NAME = "zarr.json"
LABEL_KEY = "memviz"

_NOTHING = torch.empty(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a cache is made of.

    Attributes:
        values: Where its values are.
        records: All records.
        trace: Names of modules, and what the recording said.
        tokens: Texts of the input tokens, or None.
        image: The input's picture, or None.
        saved: Where the elements of its arrays are.
        index: All of it but those.
    """

    values: ValueStore
    records: tuple[TensorRecord, ...]
    trace: Trace
    tokens: Any
    image: Any
    saved: SavedValues
    index: Index

    @property
    def step_labels(self) -> tuple[str, ...]:
        """What the steps are called; () where they have numbers only."""
        return tuple(self.index.step_labels)

    @property
    def part(self) -> RankPart | None:
        """Which rank's part of a capture of several it is."""
        return self.index.part


def open_place(place: StorePlace, budget_bytes: int) -> Opened:
    """Read the index of a saved capture. Elements of tensors are read when they are looked at.

    Raises:
        FormatError: when there is nothing, or it is foreign, newer, cut off, damaged or tampered with.
    """
    try:
        index, chunks = _read_file(place) if place.is_file else _read_folder(place)
        saved = SavedValues(place, chunks, index.arrays)
    except FileNotFoundError as error:
        raise damaged(place, _missing(place, error)) from error
    except (FormatError, OSError) as error:
        raise damaged(place, error) from error
    return opened_of(index, saved, budget_bytes)


def opened_of(index: Index, saved: SavedValues, budget_bytes: int) -> Opened:
    """What an index and its arrays make."""
    values = ValueStore(budget_bytes)
    values.saved = saved
    values.recorded_bytes = index.recorded_bytes
    _adopt(values, saved, index)
    picture = _image_of(index, saved)
    return Opened(values, tuple(index.records), index.trace, _tokens_of(index), picture, saved, index)


def is_capture(place: StorePlace) -> bool:
    """Whether there is a saved capture of any version, whole or damaged: something that may be replaced."""
    try:
        label = _file_label(place)[0] if place.is_file else folder_label(place)
        return is_ours(label)
    except (FormatError, OSError):
        return False


def _missing(place: StorePlace, error: OSError) -> str:
    if not place.exists():
        return "there is nothing at this path"
    if LABEL_NAME in str(error):
        return f"there is no {LABEL_NAME} in it: it is no saved capture, or its saving was interrupted"
    return f"a file of it is missing ({error})"


def folder_label(place: StorePlace) -> Fields:
    """The label of a folder. Raises FormatError, OSError."""
    text = place.read(LABEL_NAME, MOST_LABEL_BYTES)
    attributes = parsed(text, LABEL_NAME).inner("attributes")
    label = attributes.inner(LABEL_KEY) if attributes is not None and attributes.has(LABEL_KEY) else None
    if label is None:
        raise FormatError("it was not saved by memviz_widgets")
    return label


def _read_folder(place: StorePlace) -> tuple[Index, ChunkBytes]:
    nbytes, checksum = read_label(folder_label(place))
    return read_index(place.read(INDEX_NAME, nbytes + 1), nbytes, checksum), FolderBytes(place)


def _file_label(place: StorePlace) -> tuple[Fields, Fields, dict[str, Any], int]:
    """The label, what stands beside it, the whole header, and where the elements begin."""
    length = int.from_bytes(place.read("", 8), "little")
    if not 2 <= length <= MOST_HEADER_BYTES or length > place.size("") - 8:
        raise FormatError(f"it is no safetensors file, or cut off: its header would have {length} bytes")
    header = as_header(place.read("", length, 8))
    entries = Fields(header.get("__metadata__", {}), "__metadata__")
    if not entries.has(LABEL_KEY):
        raise FormatError("it was not saved by memviz_widgets")
    label = parsed(entries.text(LABEL_KEY).encode("utf-8", "replace"), "the label")
    return label, entries, header, 8 + length


def _read_file(place: StorePlace) -> tuple[Index, ChunkBytes]:
    label, beside, header, data_start = _file_label(place)
    nbytes, checksum = read_label(label)
    index = read_index(beside.text("index").encode("utf-8", "replace"), nbytes, checksum)
    return index, FileBytes(place, header_starts(header, index.arrays, data_start))


def _adopt(values: ValueStore, saved: SavedValues, index: Index) -> None:
    """Give the store the value of each record; arrays of several records once."""
    known: dict[int, Value] = {}
    for record, stored in zip(index.records, index.values, strict=True):
        if stored is None:
            continue
        for number in stored.arrays.values():
            if number not in known:
                known[number] = _value(saved, index.arrays[number])
        if not stored.is_attention:
            known[stored.arrays[""]].stats = record.stats
        parts = {name: known[number] for name, number in stored.arrays.items()}
        values.adopt(record.index, Entry(parts, _template(stored) if stored.is_attention else None))


def _value(saved: SavedValues, array: StoredArray) -> Value:
    return Value(array.nbytes, dense=True, recorded=True, looked_at=True, spilled=saved.value(array.number))


def _template(stored: StoredValue) -> QueryKey:
    return QueryKey(_NOTHING, _NOTHING, None, stored.is_causal, stored.scale, note=stored.note)


def _tokens_of(index: Index) -> Any:
    if not index.tokens:
        return None
    return dict(zip(index.token_names, index.tokens, strict=True)) if index.token_names else index.tokens[0]


def _image_of(index: Index, saved: SavedValues) -> Any:
    pictures = [_picture(saved, *each) for each in index.image]
    return pictures if index.several else pictures[0] if pictures else None


def _picture(saved: SavedValues, number: int, tensor: bool) -> Any:
    value = saved.value(number).load()
    return value if tensor else value.numpy()
