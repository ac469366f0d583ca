"""A scaled-down data set, recorded and read by the real code on files that count: does the arithmetic hold?

In: a Layout. Out: what was written and asked for, beside what the Layout said; and the opening of a store that says it
has a billion samples, of which the last shard is there.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationDataset, open_dataset, record_dataset
from memviz_widgets.cache import dataset_recording as recording
from memviz_widgets.cache.dataset_cache import state_of, tallies_of
from memviz_widgets.cache.dataset_format import COMMIT_NAME, ArrayPlan, Commit, DatasetPlan, commit_bytes
from memviz_widgets.cache.dataset_shards import DatasetFolder, ShardWriter
from memviz_widgets.cache.store_files import store_place

from ..counted_files import CountedFiles, counted
from .scale_store import HEADER_BYTES, Layout, Traffic

URL = "counted://bucket/acts.zarr"
SMALL_LABEL_BYTES = 4096
"""At most so many bytes of ``zarr.json`` of the folder, for a handful of layers."""


class Check(NamedTuple):
    """One comparison: what it is about, what the arithmetic says, what was found, and whether they agree."""

    what: str
    said: object
    found: object
    agree: bool


def same(what: str, said: object, found: object) -> Check:
    """A comparison of what must be equal."""
    return Check(what, said, found, said == found)


class Layers(nn.Module):
    """A layer per entry of a Layout; each returns as many of the inputs as it has channels."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        for layer in layout.layers:
            self.add_module(layer.name, nn.Identity())
        self.channels = [layer.channels for layer in layout.layers]

    def forward(self, x: Tensor) -> Tensor:
        for part, channels in zip(self.children(), self.channels, strict=True):
            part(x[:, :channels])
        return x


class Batches(Sequence[Tensor]):
    """The batches of a Layout, made when they are asked for; the one at ``stop`` raises.

    Attributes:
        drawn: How many were asked for.
    """

    def __init__(self, layout: Layout, stop: int = -1) -> None:
        self._layout = layout
        self._stop = stop
        self.drawn = 0

    def __len__(self) -> int:
        return math.ceil(self._layout.rows / self._layout.batch)

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]  # no slices
        if number >= len(self):
            raise IndexError(number)
        if number == self._stop:
            raise KeyboardInterrupt
        self.drawn += 1
        rows = min(self._layout.batch, self._layout.rows - number * self._layout.batch)
        width = max(layer.channels for layer in self._layout.layers)
        made = torch.randn(rows, width, generator=torch.Generator().manual_seed(number))
        return made.to(torch.float16)


def record(layout: Layout, to: str | Path, batches: Batches | None = None) -> ActivationDataset:
    """Record a Layout with the real writer."""
    names = [layer.name for layer in layout.layers]
    return record_dataset(
        Layers(layout),
        Batches(layout) if batches is None else batches,
        layers=names,
        dims=dict.fromkeys(names, "batch channel"),
        to=to,
        top_k=layout.top_k,
        chunk=layout.shard_bytes,
        progress=False,
    )


@contextmanager
def unhurried() -> Iterator[None]:
    """No commit because of the time that has passed: on a busy machine there would be one more than is counted."""
    before = recording.COMMIT_S
    recording.COMMIT_S = float("inf")
    try:
        yield
    finally:
        recording.COMMIT_S = before


def compared(layout: Layout) -> list[Check]:
    """Record, open and read a data set, and stop and go on with another one; each beside its arithmetic."""
    layer, rows = layout.layers[0], []
    with counted() as files, unhurried():
        dataset = record(layout, URL)
        rows.append(_row("recorded", layout.recording(), files, layout))
        written = Traffic(puts=layout.objects, nbytes=layout.stored_bytes)
        shards = sum(len(data) for name, data in files.objects.items() if "/c." in name)
        there = Traffic(puts=len(files.objects), nbytes=shards)
        rows.append(same("files, and bytes of shards", written, there))
        files.requests.clear()
        dataset = open_dataset(URL)
        rows.append(_row("opened", layout.opening(), files, layout))
        files.requests.clear()
        dataset.sample(layer.name, layout.rows // 2)
        rows.append(_row("one sample", layout.one_sample(layer), files))
        files.requests.clear()
        column = dataset.value(dataset.find(layer.name))
        assert not isinstance(column, Tensor)
        column.read((slice(None), 0))
        rows.append(_row("one channel of all samples", layout.one_channel(layer), files))
    return [*rows, *stopped(layout)]


def in_a_folder(layout: Layout) -> tuple[Check, float]:
    """The same on this machine's disk; and seconds that it took."""
    with tempfile.TemporaryDirectory() as folder, unhurried():
        start = time.perf_counter()
        record(layout, Path(folder) / "acts.zarr")
        took_s = time.perf_counter() - start
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        shards = sum(path.stat().st_size for path in files if path.name.startswith("c."))
    said, found = Traffic(puts=layout.objects, nbytes=layout.stored_bytes), Traffic(puts=len(files), nbytes=shards)
    return same("files in a folder, and bytes of shards", said, found), took_s


def stopped(layout: Layout) -> list[Check]:
    """Stop in the middle of a shard and go on: what is read again."""
    stop = (layout.rows // layout.shard_rows // 2 * layout.shard_rows + layout.shard_rows // 2) // layout.batch
    done = stop * layout.batch
    with counted() as files, unhurried():
        try:
            record(layout, URL, Batches(layout, stop))
        except KeyboardInterrupt:
            files.requests.clear()
        batches = Batches(layout)
        record(layout, URL, batches)
        first_write = next(at for at, request in enumerate(files.requests) if request.verb == "PUT")
        del files.requests[first_write:]
        rows = [_row(f"gone on after {done:,} samples", layout.going_on(done), files, layout)]
        read, rest = Traffic(gets=batches.drawn), Traffic(gets=len(batches) - stop + 1)
        rows.append(same("batches loaded then: the last complete one, and the rest", rest, read))
    return rows


def _row(what: str, said: Traffic, files: CountedFiles, layout: Layout | None = None) -> Check:
    """Beside what was said; where a label or commits are read and written, their headers may come on top."""
    verbs = Counter(request.verb for request in files.requests)
    data = sum(request.nbytes for request in files.requests)
    found = Traffic(verbs["PUT"], verbs["GET"], verbs["HEAD"], verbs["LIST"], data)
    headers = 0
    if layout is not None:
        moved = [request.path for request in files.requests if request.nbytes]
        commits = sum(path.endswith(COMMIT_NAME) for path in moved)
        labels = sum(path.endswith("zarr.json") for path in moved)
        headers = commits * HEADER_BYTES * len(layout.layers) + labels * SMALL_LABEL_BYTES
    agree = found[:-1] == said[:-1] and said.nbytes <= found.nbytes <= said.nbytes + headers
    return Check(what, said, found, agree)


def full_scale(layout: Layout) -> list[Check]:
    """Open a store of a billion samples: label, commit and last shard are there, written by the real writer."""
    layer = layout.layers[0]
    arrays = tuple(
        ArrayPlan(number, each.name, "Identity", 0, "", "", ("batch", "channel"), (each.channels,), torch.float16)
        for number, each in enumerate(layout.layers)
    )
    plan = DatasetPlan("Layers", "00000000", (), "", "float16", layout.top_k, arrays=arrays)
    plan = plan.with_shards(layout.batch, layout.shard_bytes)
    full, rest = divmod(layout.rows, layout.shard_rows)
    with counted() as files:
        folder = DatasetFolder(store_place(URL))
        writer = ShardWriter(folder, plan, full * layout.shard_rows)
        writer.describe_group()
        writer.put(arrays[0], torch.ones(rest, layer.channels, dtype=torch.float16))
        writer.advance(rest)
        writer.write()
        commit = Commit(layout.rows, -(-layout.rows // layout.batch), 0, 0, complete=True)
        folder.write(COMMIT_NAME, [commit_bytes(commit, state_of(*tallies_of(plan, None)))])
        writer.describe(layout.rows)
        files.requests.clear()
        dataset = open_dataset(URL)
        rows = [_row(f"opened, {dataset.samples:,} samples", layout.opening(), files, layout)]
        files.requests.clear()
        last = dataset.sample(layer.name, layout.rows - 1)
        rows.append(_row("the last sample", layout.one_sample(layer), files))
    assert bool(np.all(last.numpy() == 1))
    return rows
