"""The index of a saved capture: everything but the elements of its tensors, as JSON. See docs/format.md.

In: records, values, arrays, names, tokens, picture. Out: bytes of JSON with a label that says format, version and
checksum; or the same read back and checked, or FormatError. No pickle: nothing that is read is run.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from .._version import __version__
from ..capture import Trace
from ..errors import FormatError
from ..records import TensorRecord
from .store_format_arrays import StoredArray, read_array
from .store_format_fields import Fields, parsed
from .store_format_ranks import RankPart, read_part
from .store_format_records import StoredValue, read_records, record_as_json

FORMAT = "memviz_widgets capture"
VERSION = 1
"""Of the format. It is raised when a reader of the version before would go wrong."""
MOST_INDEX_BYTES = 2**26
"""Bytes of an index. 20,000 records, which is as many as a capture has, take 12 MiB."""

Picture = list[tuple[int, bool]]
"""Number of the array of each picture, and whether it was a tensor (channels first) or an array."""


@dataclass(slots=True)
class Index:
    """What a saved capture holds.

    Attributes:
        arrays: How each tensor lies in it.
        records: All records.
        values: Which arrays hold the value of each record; None where there is none.
        trace: Names of modules, and what the recording said.
        tokens: Texts by sequence, sample and position; [] = none.
        token_names: Name of each sequence; [] where the only one has no name.
        image: The input's pictures; [] = none.
        several: Whether the picture was given as a list.
        recorded_bytes: Bytes of all recorded values, each once.
        step_labels: What the steps are called; [] where they have numbers only.
        part: Which rank's part of a capture of several it is; None of a capture of one process.
    """

    arrays: list[StoredArray] = field(default_factory=list)
    records: Sequence[TensorRecord] = ()
    values: Sequence[StoredValue | None] = ()
    trace: Trace = field(default_factory=Trace)
    tokens: list[list[list[str]]] = field(default_factory=list)
    token_names: list[str] = field(default_factory=list)
    image: Picture = field(default_factory=list)
    several: bool = False
    recorded_bytes: int = 0
    step_labels: list[str] = field(default_factory=list)
    part: RankPart | None = None

    def as_json(self) -> bytes:
        """The index as bytes; the same for the same capture."""
        entries = {
            "written_by": f"memviz_widgets {__version__}",
            "recorded_bytes": self.recorded_bytes,
            "arrays": [array.as_json() for array in self.arrays],
            "records": [record_as_json(record, value) for record, value in zip(self.records, self.values, strict=True)],
            "trace": {
                **{each.name: getattr(self.trace, each.name) for each in fields(self.trace)},
                "fired": sorted(self.trace.fired),
            },
            "tokens": self.tokens,
            "token_names": self.token_names,
            "image": [{"array": number, "tensor": tensor} for number, tensor in self.image],
            "several": self.several,
            "step_labels": self.step_labels,
            "part": self.part and self.part.as_json(),
        }
        return json.dumps(entries, allow_nan=False, separators=(",", ":")).encode("ascii")


def label_of(index: bytes) -> dict[str, Any]:
    """What a reader looks at first: format, version, bytes and checksum of the index."""
    return {"format": FORMAT, "version": VERSION, "index_bytes": len(index), "index_crc32": f"{zlib.crc32(index):08x}"}


def is_ours(label: Fields) -> bool:
    """Whether a label is of this format, of whichever version."""
    return label.has("format") and label.text("format") == FORMAT


def read_label(label: Fields) -> tuple[int, str]:
    """Bytes and checksum of the index.

    Raises:
        FormatError: when the file is of something else, of a newer version, or damaged.
    """
    if not is_ours(label):
        raise FormatError("it was not saved by memviz_widgets")
    version = label.whole("version")
    if version > VERSION:
        raise FormatError(
            f"it has version {version} of the format, and this memviz_widgets reads up to version {VERSION}; upgrade it"
        )
    return label.whole("index_bytes", MOST_INDEX_BYTES + 1), label.text("index_crc32")


def read_index(text: bytes, nbytes: int, checksum: str) -> Index:
    """The index that a file holds, every part of it checked.

    Raises:
        FormatError: when anything is not as it must be.
    """
    if len(text) != nbytes:
        raise FormatError(f"its index has {len(text)} bytes of {nbytes}: the file is cut off")
    if f"{zlib.crc32(text):08x}" != checksum:
        raise FormatError("the checksum of its index does not fit: the file is damaged")
    entries = parsed(text, "the index")
    arrays = [read_array(number, each) for number, each in enumerate(entries.inners("arrays", "array"))]
    found = read_records(entries.inners("records", "record"), arrays)
    trace = entries.inner("trace")
    if trace is None:
        raise entries.refuse("trace", "an object")
    tokens = entries.array("tokens")
    if not all(_is_texts(rows) for rows in tokens):
        raise entries.refuse("tokens", "lists of lists of lists of texts, as long as each other within a sequence")
    names = entries.texts("token_names")
    if len(names) != len(tokens) and (names or len(tokens) != 1):
        raise entries.refuse("token_names", f"a name for each of {len(tokens)} sequences")
    # Captures from before there were labels have no such entry.
    labels = entries.texts("step_labels") if entries.has("step_labels") else []
    if labels and any(record.step >= len(labels) for record, _ in found):
        raise entries.refuse("step_labels", "a text for every step")
    return Index(
        arrays=arrays,
        records=[record for record, _ in found],
        values=[value for _, value in found],
        trace=_read_trace(trace),
        tokens=tokens,
        token_names=names,
        image=_read_picture(entries.inners("image", "picture"), arrays),
        several=entries.truth("several"),
        recorded_bytes=entries.whole("recorded_bytes"),
        step_labels=labels,
        part=read_part(entries),
    )


def _is_texts(rows: object) -> bool:
    """Whether this is texts by sample and position, equally many per sample."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        return False
    return all(len(row) == len(rows[0]) and all(isinstance(text, str) for text in row) for row in rows)


def _read_trace(trace: Fields) -> Trace:
    return Trace(
        names=trace.text_of("names"),
        types=trace.text_of("types"),
        callable_paths=trace.texts("callable_paths"),
        opaque=trace.text_of("opaque"),
        weights_used=trace.text_of("weights_used"),
        remarks=trace.texts("remarks"),
        fired=set(trace.texts("fired")),
    )


def _read_picture(entries: Iterable[Fields], arrays: Sequence[StoredArray]) -> Picture:
    found = []
    for each in entries:
        number, tensor = each.whole("array", len(arrays)), each.truth("tensor")
        if not tensor and arrays[number].dtype.is_floating_point and arrays[number].dtype.itemsize < 2:
            raise each.refuse("tensor", "true for a dtype that numpy does not have")
        found.append((number, tensor))
    return found
