"""A data set of 50,000 samples through a small network into Zarr: throughput, memory, and whether the top is right.

Run: ``python -m tests.benchmarks.dataset``; it needs 1 GiB of disk in the temporary folder. Prints what was measured
and leaves with status 1 when a target is missed. Throughput is compared with the same loop that only runs the model,
batch by batch in turn, so that a busy machine slows both. Memory is that of the process after a tenth of the samples
and later, in a run of its own with a malloc that holds nothing freed: else glibc's holes, which a batch leaves or not
as chance has it, are a step of 40 MiB somewhere in the run.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationDataset, open_dataset, record_dataset
from memviz_widgets.cache import format_bytes

from .capture_memory import HOLD_NOTHING_FREED

SAMPLES, BATCH = 50_000, 250
LAYERS = ["pool2", "digits"]
MEMORY = "memory"
"""The word for the run of which memory is looked at."""
LEAST_SPEED = 0.8
"""Of the plain forward loop."""
MOST_GROWTH = 0.05
"""Of the resident memory, from a tenth of the samples on."""


class SmallCNN(nn.Module):
    """Two convolutions and a classifier, for pictures of 28 x 28."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool1 = nn.Conv2d(1, 32, 3, padding=1), nn.MaxPool2d(2)
        self.conv2, self.pool2 = nn.Conv2d(32, 64, 3, padding=1), nn.MaxPool2d(2)
        self.digits = nn.Linear(64 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.conv1(x).relu())
        x = self.pool2(self.conv2(x).relu())
        made: Tensor = self.digits(x.flatten(1))
        return made


def batches() -> Iterator[Tensor]:
    """The same pictures every time, made when they are asked for."""
    for number in range(SAMPLES // BATCH):
        yield torch.rand(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(number))


def resident_bytes() -> int:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


class Interleaved:
    """The batches; between them the plain forward of the same batch, timed. The rest of the time is the recording's."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.plain_s = self.recorded_s = 0.0
        self.memory: list[int] = []

    def __iter__(self) -> Iterator[Tensor]:
        for number, batch in enumerate(batches()):
            start = time.perf_counter()
            with torch.no_grad():
                self.model(batch)
            self.plain_s += time.perf_counter() - start
            if number % 10 == 0:
                gc.collect()
                self.memory.append(resident_bytes())
            start = time.perf_counter()
            yield batch
            self.recorded_s += time.perf_counter() - start


def top_is_right(dataset: ActivationDataset) -> bool:
    """Whether the examples of every channel are those of a full sort of what was stored."""
    values = torch.cat([dataset.sample("pool2", number).amax((1, 2))[None] for number in range(dataset.samples)])
    for channel in range(values.shape[1]):
        order = values[:, channel].sort(descending=True, stable=True).indices[:16]
        if [each.sample for each in dataset.top("pool2", channel)] != order.tolist():
            return False
    return True


def memory() -> None:
    """Print resident bytes after a tenth of the samples, and the most later, as JSON."""
    torch.manual_seed(0)
    model = SmallCNN().eval()
    loader = Interleaved(model)
    with tempfile.TemporaryDirectory() as folder:
        record_dataset(model, loader, layers=LAYERS, to=Path(folder) / "acts.zarr", progress=False)
    tenth = len(loader.memory) // 10
    print(json.dumps([loader.memory[tenth], max(loader.memory[tenth:])]))


def main() -> int:
    """Measure, print, and say whether all targets were met."""
    torch.manual_seed(0)
    model = SmallCNN().eval()
    loader = Interleaved(model)
    with tempfile.TemporaryDirectory() as folder:
        dataset = record_dataset(model, loader, layers=LAYERS, to=Path(folder) / "acts.zarr", progress=False)
        speed = loader.plain_s / loader.recorded_s
        start = time.perf_counter()
        opened = open_dataset(Path(folder) / "acts.zarr")
        opened.sample("pool2", SAMPLES // 2)
        opened_ms = 1000 * (time.perf_counter() - start)
        right = top_is_right(opened)
        files = sum(path.is_file() for path in Path(folder).rglob("*"))
    per_second = SAMPLES / loader.recorded_s
    stored = format_bytes(dataset.recorded_bytes)
    words = [sys.executable, "-m", "tests.benchmarks.dataset", MEMORY]
    told = subprocess.run(words, env={**os.environ, **HOLD_NOTHING_FREED}, check=True, capture_output=True, text=True)
    tenth, end = json.loads(told.stdout.splitlines()[-1])
    growth = end / tenth - 1
    print(f"{SAMPLES:,} samples, {stored} in {files} files: {per_second:,.0f} samples/s")
    print(f"throughput {speed:.2f} of the plain forward loop (target >= {LEAST_SPEED})")
    print(
        f"resident {format_bytes(tenth)} after a tenth of the samples, at most {format_bytes(end)} later: "
        f"{growth:+.1%} (target {MOST_GROWTH:.0%})"
    )
    print(f"opened and one sample read in {opened_ms:.1f} ms; top 16 of every channel as a full sort: {right}")
    return int(speed < LEAST_SPEED or growth > MOST_GROWTH or not right)


if __name__ == "__main__":
    if MEMORY in sys.argv[1:]:
        memory()
        sys.exit()
    sys.exit(main())
