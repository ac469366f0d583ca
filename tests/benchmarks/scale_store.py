"""The layout of a recorded data set, by arithmetic: files, bytes and requests, for any number of samples.

In: layers, samples, options of ``mv.record_dataset``. Out: what a recording writes and what its readers ask for;
``scale_requests`` compares it with the real writer and reader.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

CHUNK_BYTES, MOST_ROWS, SUM_BYTES, INDEX_BYTES, READ_BYTES = 4096, 1 << 16, 4, 16, 1 << 23
"""Of docs/format.md: small samples share a chunk of this size; a shard has no more samples; a checksum behind each
chunk; an entry per chunk in a shard's index; and how much of neighbouring chunks is read with one request."""
TALLY_BYTES = 8 * (9 + 67)
"""Statistics of a channel: nine numbers and the histogram."""
EXAMPLE_BYTES = 8 * 3
"""Value, sample and place."""
HEADER_BYTES = 2048
"""At most so many of a commit's header per layer."""


class Traffic(NamedTuple):
    """Requests to an object store by verb, and bytes of data both ways."""

    puts: int = 0
    gets: int = 0
    heads: int = 0
    lists: int = 0
    nbytes: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """What is kept of one layer: a row of channels for each sample."""

    name: str
    channels: int
    itemsize: int = 2

    @property
    def row_bytes(self) -> int:
        """Bytes of a sample."""
        return self.channels * self.itemsize


@dataclass(frozen=True, slots=True)
class Layout:
    """A data set of so many samples.

    Attributes:
        layers: What is kept of a sample.
        rows: Samples.
        batch: Samples in a batch.
        shard_bytes: ``chunk=``.
        top_k: Examples per channel.
    """

    layers: tuple[Layer, ...]
    rows: int
    batch: int
    shard_bytes: int
    top_k: int = 16

    @property
    def shard_rows(self) -> int:
        """Samples of a full shard: whole batches, where one fits."""
        room = max(1, self.shard_bytes // sum(layer.row_bytes for layer in self.layers))
        rows = room // self.batch * self.batch if room >= self.batch else room
        return min(rows, max(self.batch, MOST_ROWS))

    def chunk_rows(self, layer: Layer) -> int:
        """Samples of a chunk: a divisor of those of a shard."""
        most = max(1, min(self.shard_rows, CHUNK_BYTES // layer.row_bytes))
        return next(rows for rows in range(most, 0, -1) if self.shard_rows % rows == 0)

    def stride(self, layer: Layer) -> int:
        """Bytes of a chunk with its checksum: what a reader of one sample reads."""
        return self.chunk_rows(layer) * layer.row_bytes + SUM_BYTES

    @property
    def shards(self) -> int:
        """Shards of each layer."""
        return math.ceil(self.rows / self.shard_rows)

    def shard_file(self, layer: Layer, rows: int) -> int:
        """Bytes of a shard that has so many samples: a whole number of chunks, and the index of all."""
        chunks = math.ceil(rows / self.chunk_rows(layer))
        return chunks * self.stride(layer) + self.shard_rows // self.chunk_rows(layer) * INDEX_BYTES + SUM_BYTES

    def shard_files(self, rows: int) -> int:
        """Bytes of the shards of all layers that begin at the same sample."""
        return sum(self.shard_file(layer, rows) for layer in self.layers)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all shards."""
        full, rest = divmod(self.rows, self.shard_rows)
        return full * self.shard_files(self.shard_rows) + (self.shard_files(rest) if rest else 0)

    @property
    def objects(self) -> int:
        """Files: shards, ``zarr.json`` of the folder, of ``values`` and of each layer, and the commit."""
        return len(self.layers) * (self.shards + 1) + 3

    @property
    def commit_bytes(self) -> int:
        """Bytes of the state of all statistics; the commit has a header besides, and does not grow with the samples."""
        return sum(layer.channels for layer in self.layers) * (TALLY_BYTES + self.top_k * EXAMPLE_BYTES)

    @property
    def commits(self) -> int:
        """Commits of a recording in which each shard is full within 30 s: one per shard, and one that ends it."""
        return self.rows // self.shard_rows + 1

    def recording(self) -> Traffic:
        """Requests of a recording from the first sample to the last, and bytes of shards and statistics.

        Of each commit: the shards and ``zarr.json`` of every layer, and the commit. It ends with opening the result.
        """
        layers = len(self.layers)
        puts = 2 + self.commits * (layers + 1) + self.shards * layers
        opened = self.opening()
        nbytes = self.stored_bytes + self.commits * self.commit_bytes + opened.nbytes
        return Traffic(puts, opened.gets, opened.heads + 1, 1, nbytes)  # is there something already?

    def opening(self) -> Traffic:
        """The label; the size of the commit and itself. Nothing is listed."""
        return Traffic(gets=2, heads=1, nbytes=self.commit_bytes)

    def one_sample(self, layer: Layer) -> Traffic:
        """The chunk in which it lies."""
        return Traffic(gets=1, nbytes=self.stride(layer))

    def one_channel(self, layer: Layer) -> Traffic:
        """One channel of all samples: all of the layer is read, as much at once as one request takes."""
        full, rest = divmod(self.rows, self.shard_rows)
        gets = full * self._reads(layer, self.shard_rows) + self._reads(layer, rest)
        return Traffic(gets=gets, nbytes=self._chunks(layer) * self.stride(layer))

    def going_on(self, rows: int) -> Traffic:
        """To go on after so many samples: label and commit as when it is opened, and the shard that is not full."""
        rest = rows % self.shard_rows
        gets = sum(self._reads(layer, rest) for layer in self.layers)
        opened = self.opening()
        begun = sum(math.ceil(rest / self.chunk_rows(layer)) * self.stride(layer) for layer in self.layers)
        return Traffic(0, opened.gets + gets, opened.heads + 1, 1, opened.nbytes + begun)

    def _reads(self, layer: Layer, rows: int) -> int:
        """Requests that read so many samples of one shard."""
        chunks = math.ceil(rows / self.chunk_rows(layer))
        return math.ceil(chunks / max(1, READ_BYTES // self.stride(layer)))

    def _chunks(self, layer: Layer) -> int:
        full, rest = divmod(self.rows, self.shard_rows)
        per_shard = self.shard_rows // self.chunk_rows(layer)
        return full * per_shard + math.ceil(rest / self.chunk_rows(layer))


BILLION = 10**9
WIDE, REDUCED = Layer("wide", 8192), Layer("reduced", 2048)
BATCH = 256


def billion(shard_bytes: int) -> Layout:
    """The store of a billion samples: 8,192 channels and, reduced, 2,048, in float16."""
    return Layout((WIDE, REDUCED), BILLION, BATCH, shard_bytes)
