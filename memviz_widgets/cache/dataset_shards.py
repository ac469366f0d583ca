"""Shards: the files in which the values of a data set lie, some thousand samples each, and the folder around them.

In: rows of samples, array by array. Out: Zarr shards, each chunk with its CRC-32C; files that are replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import FormatError, MissingExtraError
from .dataset_format import COMMIT_NAME, MISSING, SUM_BYTES, ArrayPlan, DatasetPlan, array_json, group_json, shard_name
from .opening import LABEL_NAME, MOST_LABEL_BYTES
from .store_files import StorePlace

MOST_PLAN_BYTES = 64 * MOST_LABEL_BYTES
"""Bytes of a label: some hundred per array."""
MOST_COMMIT_BYTES = 1 << 32
WRITE_BYTES = 1 << 20
"""Bytes that are written at once: chunks and their sums are small."""
READ_BYTES = 1 << 23
"""Bytes that are read at once of chunks side by side: on a remote file system each read is a request."""

Rows = npt.NDArray[np.uint8]


class DatasetFolder:
    """The files of a data set. Each is written whole, under another name first where it is on this machine.

    Args:
        place: The folder, which need not be there.

    Raises:
        MissingExtraError: without zarr and what comes with it.
    """

    def __init__(self, place: StorePlace) -> None:
        self.place = place
        self.crc32c = _import_crc32c()

    def write(self, name: str, parts: Iterable[bytes | memoryview]) -> None:
        """Write a file, or take its place."""
        if not self.place.local:
            self.place.files.pipe_file(f"{self.place.root}/{name}", b"".join(parts))
            return
        final = Path(self.place.root, name)
        final.parent.mkdir(parents=True, exist_ok=True)
        begun = final.with_name(f".{final.name}.part")
        with begun.open("wb", buffering=WRITE_BYTES) as file:
            for part in parts:
                file.write(part)
        begun.replace(final)

    def label(self) -> bytes:
        """The text of ``zarr.json``. Raises FileNotFoundError when there is none."""
        return self.place.read(LABEL_NAME, MOST_PLAN_BYTES)

    def commit(self) -> bytes | None:
        """The bytes of the commit, or None before the first one."""
        try:
            return self.place.read(COMMIT_NAME, min(self.place.size(COMMIT_NAME), MOST_COMMIT_BYTES))
        except FileNotFoundError:
            return None

    def chunks(self, plan: DatasetPlan, array: ArrayPlan, first: int, stop: int) -> Iterator[tuple[int, memoryview]]:
        """Chunks of an array with their numbers, checked; those side by side in a shard come with one read.

        Raises:
            FormatError: when one is missing, cut off or damaged.
        """
        stride = array.chunk_bytes + SUM_BYTES
        per_shard = plan.shard_samples // array.together
        while first < stop:
            within = first % per_shard
            count = min(stop - first, per_shard - within, max(1, READ_BYTES // stride))
            name = shard_name(array, first // per_shard)
            try:
                data = memoryview(self.place.read(name, count * stride, within * stride))
            except OSError as error:
                raise FormatError(f"{name!r} cannot be read ({error})") from error
            for at in range(count):
                yield first + at, self._checked(data[at * stride : (at + 1) * stride], stride, first + at, name)
            first += count

    def _checked(self, data: memoryview, nbytes: int, number: int, name: str) -> memoryview:
        """A chunk without its checksum."""
        if len(data) != nbytes:
            raise FormatError(f"{name!r} is cut off: chunk {number} has {len(data)} bytes")
        if self.crc32c.value(bytes(data[:-SUM_BYTES])) != int.from_bytes(data[-SUM_BYTES:], "little"):
            raise FormatError(f"the checksum of chunk {number} in {name!r} does not fit: the file is damaged")
        return data[:-SUM_BYTES]


class ShardWriter:
    """The shard of each array that is being filled.

    Args:
        folder: Where shards go.
        plan: What they hold.
        samples: How many samples are written already. Those of a shard that is not full are read back.
    """

    def __init__(self, folder: DatasetFolder, plan: DatasetPlan, samples: int) -> None:
        self._folder = folder
        self._plan = plan
        self._shard, self.filled = divmod(samples, plan.shard_samples)
        # Filled, not empty: all its memory is taken now, and a machine that lacks it says so now.
        self._rows: list[Rows] = [np.full((plan.shard_samples, each.sample_bytes), 0, np.uint8) for each in plan.arrays]
        for array, rows in zip(plan.arrays, self._rows, strict=True):
            first = self._shard * plan.shard_samples // array.together
            for number, data in folder.chunks(plan, array, first, first - (-self.filled // array.together)):
                at = (number - first) * array.together
                rows[at : at + array.together] = np.frombuffer(data, np.uint8).reshape(array.together, -1)

    @property
    def room(self) -> int:
        """Samples that still fit."""
        return self._plan.shard_samples - self.filled

    def put(self, array: ArrayPlan, values: Tensor) -> None:
        """Samples of one array, contiguous on the CPU; they count after :meth:`advance`."""
        rows = values.reshape(len(values), -1).view(torch.uint8).numpy()
        self._rows[array.number][self.filled : self.filled + len(rows)] = rows

    def advance(self, samples: int) -> None:
        """So many samples were put into each array."""
        self.filled += samples

    def write(self) -> None:
        """Write the shard as far as it is filled; when it is full the next one begins."""
        if self.filled:
            for array, rows in zip(self._plan.arrays, self._rows, strict=True):
                self._folder.write(shard_name(array, self._shard), self._parts(array, rows))
        if not self.room:
            self._shard, self.filled = self._shard + 1, 0

    def describe(self, samples: int) -> None:
        """What another reader of Zarr must know: the number of samples of each array."""
        for array in self._plan.arrays:
            self._folder.write(f"values/{array.number}/{LABEL_NAME}", [array_json(self._plan, array, samples)])

    def describe_group(self) -> None:
        """The label of the folder."""
        self._folder.write(f"values/{LABEL_NAME}", [b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
        self._folder.write(LABEL_NAME, [group_json(self._plan)])

    def _parts(self, array: ArrayPlan, rows: Rows) -> Iterator[bytes | memoryview]:
        """The file of a shard: chunks with their sums, then the index of the chunks with its sum."""
        crc32c = self._folder.crc32c.value
        count = -(-self.filled // array.together)
        rows[self.filled : count * array.together] = 0
        for number in range(count):
            chunk = rows[number * array.together : (number + 1) * array.together].data
            yield chunk
            yield crc32c(bytes(chunk)).to_bytes(SUM_BYTES, "little")
        index = np.full((self._plan.shard_samples // array.together, 2), MISSING, "<u8")
        index[:count, 0] = np.arange(count) * (array.chunk_bytes + SUM_BYTES)
        index[:count, 1] = array.chunk_bytes + SUM_BYTES
        yield index.tobytes()
        yield crc32c(index.tobytes()).to_bytes(SUM_BYTES, "little")


def _import_crc32c() -> ModuleType:
    try:
        import google_crc32c  # noqa: PLC0415  # optional; zarr needs it too
    except ImportError:
        raise MissingExtraError(
            'a data set needs zarr, which is not installed; pip install "memviz_widgets[spill]" (Python 3.11 or later).'
        ) from None
    module: ModuleType = google_crc32c
    return module
