"""Saving: a cache as a Zarr folder or a safetensors file, from which it opens without the model. See docs/format.md.

In: a cache and a path. Out: files. Values are brought back one at a time and written chunk by chunk, so that memory
stays within the budget; values that several records share are written once.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..capture import LazyValue, QueryKey, Trace
from ..capture.progress import Progress
from ..capture.tensors import without_repeats
from ..errors import NotKeptError, SaveError
from ..records import TensorRecord
from .held import Entry, Value
from .opening import is_capture
from .ranks_store import check_free, part_place, write_label
from .saving_files import FileWriter, FolderWriter, Writer, check_index
from .saving_inputs import pictures_of, token_names
from .spill import SpilledValue
from .store_files import FILE, FOLDER, StorePlace, store_place
from .store_format import Index
from .store_format_arrays import DTYPES, Place, StoredArray, planned_array
from .store_format_ranks import RankPart
from .store_format_records import StoredValue, check_value
from .values import ValueStore

if TYPE_CHECKING:
    from .recorded_cache import RecordedCache

_PART_DIMS = {
    "query": ("batch", "head", "time", "channel"),
    "key": ("batch", "head", "time", "channel"),
    "mask": ("batch", "head", "query", "key"),
}
LEFT_OUT = "not saved, since it was not held: values='held'. Save with values='all' to have it"


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How a cache is saved.

    Attributes:
        values: "all"; or "held", to leave out what would have to be computed again.
        overwrite: Replace a capture that is there.
        part: Of several ranks, whose part it is.
    """

    values: str = "all"
    overwrite: bool = False
    part: RankPart | None = None


def save_capture(
    cache: RecordedCache, store: ValueStore, trace: Trace, path: str | os.PathLike[str], options: SaveOptions
) -> None:
    """Write a cache; see :meth:`~memviz_widgets.cache.recorded_cache.RecordedCache.save`."""
    values, part, overwrite = options.values, options.part, options.overwrite
    if values not in ("all", "held"):
        raise SaveError(
            f"values={values!r}; expected 'all', or 'held' to leave out what would have to be computed again."
        )
    place = whole = store_place(path)
    if part is None:
        _check_free(place, store, overwrite=overwrite)
    else:
        check_free(whole, part, overwrite=overwrite)
        place = part_place(whole, part.rank)
        _check_replaced(place, store, overwrite=overwrite)
    with writing(place, overwrite=overwrite) as writer:
        index = Saving(cache, store, trace, writer, held_only=values == "held", part=part).run()
        text = index.as_json()
        check_index(place, text)
        writer.finish(text, overwrite=overwrite)
    if part is not None:
        write_label(whole, part)


def _check_free(place: StorePlace, store: ValueStore, *, overwrite: bool) -> None:
    """Refuse a path of another kind, and one that is taken."""
    if not place.root.lower().endswith((FOLDER, FILE)):
        raise SaveError(
            f"path={place.text!r} ends neither with {FOLDER!r} nor {FILE!r}; write 'run{FOLDER}' for any size, or "
            f"'run{FILE}' for a small one."
        )
    _check_replaced(place, store, overwrite=overwrite)


def _check_replaced(place: StorePlace, store: ValueStore, *, overwrite: bool) -> None:
    """Refuse a place where something is that may not be replaced."""
    if not place.exists():
        return
    if not overwrite:
        raise SaveError(f"{place.text!r} exists; give another path, or overwrite=True to replace a saved capture.")
    if not is_capture(place):
        raise SaveError(f"{place.text!r} exists and is no saved capture, so it is not replaced; give another path.")
    if store.saved is not None and store.saved.place.root == place.root:
        raise SaveError(f"{place.text!r} is what this cache reads its values from; give another path.")


@contextmanager
def writing(place: StorePlace, *, overwrite: bool) -> Iterator[Writer]:
    """A writer, which leaves nothing behind when it is interrupted."""
    writer: Writer | None = None
    try:
        if overwrite and not place.local and place.exists():
            place.files.rm(place.root, recursive=True)  # no file system elsewhere can rename a folder in one step
        writer = FileWriter(place) if place.is_file else FolderWriter(place)
        yield writer
    except BaseException as error:
        if writer is not None:
            writer.abort()
        if isinstance(error, OSError) and not isinstance(error, SaveError):
            reason = str(error.strerror or error).rstrip(".")
            raise SaveError(
                f"{place.text!r} could not be written: {reason}. Nothing of it is left; make room or give another path."
            ) from error
        raise


class Saving:
    """One cache on its way to a writer."""

    def __init__(
        self,
        cache: RecordedCache,
        store: ValueStore,
        trace: Trace,
        writer: Writer,
        *,
        held_only: bool,
        part: RankPart | None = None,
        left_out: Mapping[int, str] | None = None,
    ) -> None:
        self._cache = cache
        self._store = store
        self._trace = replace(trace, remarks=list(trace.remarks))
        self._writer = writer
        self._held_only = held_only
        self._part = part
        self._arrays: list[StoredArray] = []
        self._numbers: dict[int, int] = {}
        """Array of each value of the store, by id; the store keeps them as long as it is open."""
        self._left_out = dict(left_out or {})
        """Index of a record -> why its value is not written."""

    def run(self) -> Index:
        """Write all values; the index of them."""
        records = self._cache.records
        progress = Progress(len(records), "save")
        stored: list[StoredValue | None] = []
        try:
            for record in records:
                absent = record.parts or not record.available or record.index in self._left_out
                stored.append(None if absent else self._stored(record))
                progress.step(1)
        finally:
            progress.close()
        image = self._image()
        return Index(
            arrays=self._arrays,
            records=self._settled(stored),
            values=stored,
            trace=self._trace,
            tokens=self._cache.token_texts,
            token_names=token_names(self._cache.tokens),
            image=image,
            several=isinstance(self._cache.image, (list, tuple)),
            recorded_bytes=self._cache.recorded_bytes,
            step_labels=list(self._cache.step_labels),
            part=self._part,
        )

    def _stored(self, record: TensorRecord) -> StoredValue | None:
        """Write the value of a record, unless it was written before; None when it cannot be had."""
        entry = self._store.entry(record.index)
        known = self._known(entry)
        if known is None:
            try:
                value = self._value_of(record)
            except NotKeptError as error:
                self._left_out[record.index] = f"not saved: {error}"
                return None
            if value is None:
                self._left_out[record.index] = LEFT_OUT
                return None
            if value.dtype not in DTYPES.values():
                self._left_out[record.index] = f"not saved: elements of {value.dtype} are no whole bytes"
                return None
            known = self._written(record, value, entry)
        check_value(record, known, self._arrays)
        return known

    def _value_of(self, record: TensorRecord) -> Tensor | LazyValue | None:
        return self._cache.value_or_none(record) if self._held_only else self._cache.value(record)

    def _known(self, entry: Entry | None) -> StoredValue | None:
        """What holds a value all of whose tensors were written for another record."""
        if entry is None or not _is_plain(entry) or not all(id(part) in self._numbers for part in entry.parts.values()):
            return None
        return _stored_value({name: self._numbers[id(part)] for name, part in entry.parts.items()}, entry)

    def _written(self, record: TensorRecord, value: Tensor | LazyValue, entry: Entry | None) -> StoredValue:
        if entry is None or not _is_plain(entry):  # recovered, or weights changed by a function: as they are computed
            return StoredValue({"": self._write(value, record.dims)})
        if entry.derived is None:
            return StoredValue({"": self._write_part(entry.parts[""], value, record.dims)})
        numbers = {}
        for name, part in entry.readable().items():
            numbers[name] = self._write_part(entry.parts[name], part, _PART_DIMS[name][-len(part.shape) :])
        return _stored_value(numbers, entry)

    def _write_part(self, part: Value, value: Tensor | LazyValue, dims: tuple[str, ...]) -> int:
        if id(part) not in self._numbers:
            self._numbers[id(part)] = self._write(value, dims)
        return self._numbers[id(part)]

    def _write(self, value: Tensor | LazyValue, dims: tuple[str, ...]) -> int:
        """Write a tensor chunk by chunk; the number of its array."""
        full = tuple(value.shape)
        once = full
        if isinstance(value, Tensor):
            once = tuple(without_repeats(value).shape)
        elif isinstance(value, SpilledValue):
            once = value.once
        layout = dims if self._writer.pictures_first else ()
        array = planned_array(len(self._arrays), value.dtype, full, once, layout)
        sums = []
        with torch.inference_mode(False), torch.no_grad():
            for place in array.places():
                data = _chunk_bytes(array, place, value, pads=self._writer.pads)
                sums.append(zlib.crc32(data))
                self._writer.chunk(array, place, data)
        array = replace(array, checksums=tuple(sums))
        self._writer.array(array, dims)
        self._arrays.append(array)
        return array.number

    def _image(self) -> list[tuple[int, bool]]:
        try:
            pictures = pictures_of(self._cache.image)
        except (TypeError, ValueError) as error:
            self._trace.remark(f"the picture was not saved: {error}")
            return []
        return [(self._write(picture, ()), tensor) for picture, tensor in pictures]

    def _settled(self, stored: list[StoredValue | None]) -> list[TensorRecord]:
        """The records with what was found out on the way, and with what is not there any more."""
        records: list[TensorRecord] = []
        for record in self._cache.records:
            kept, on_demand, note = record.kept, record.on_demand, record.note
            if record.parts:
                parts = [records[index] for index in record.parts]
                kept = all(part.kept for part in parts)
                on_demand = not kept and all(part.available for part in parts)
            elif stored[record.index] is None and record.available:
                kept = on_demand = False
                note = "; ".join(filter(None, (note, self._left_out[record.index])))
            records.append(replace(record, kept=kept, on_demand=on_demand, note=note))
        return records


def _is_plain(entry: Entry) -> bool:
    """Whether a value is written as the tensors that it is made of."""
    derived = entry.derived
    if derived is None:
        return True
    return isinstance(derived, QueryKey) and derived.score_mod is None and derived.mask_mod is None


def _stored_value(numbers: dict[str, int], entry: Entry) -> StoredValue:
    derived = entry.derived
    if not isinstance(derived, QueryKey):
        return StoredValue(numbers)
    return StoredValue(numbers, derived.is_causal, derived.scale, derived.note)


def _chunk_bytes(array: StoredArray, place: Place, value: Tensor | LazyValue, *, pads: bool) -> bytes:
    """The elements of a chunk, little-endian; filled up with zeros to its full size where that is asked for."""
    spans = array.spans(place)
    part = value.detach()[spans] if isinstance(value, Tensor) else value.read(spans)
    part = part.resolve_conj().resolve_neg().cpu().contiguous()
    if pads and tuple(part.shape) != array.chunks:
        whole = part.new_zeros(array.chunks)
        whole[tuple(slice(0, size) for size in part.shape)] = part
        part = whole
    flat = part.reshape(-1).view(torch.uint8).numpy()
    return flat.tobytes()
