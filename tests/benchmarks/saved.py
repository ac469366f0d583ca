"""A saved capture of 4 GiB, opened and scrubbed: what it takes in memory and in time.

Run: ``python -m tests.benchmarks.saved``; it needs 5 GiB of disk in the temporary folder. Prints what was measured and
leaves with status 1 when a target is missed. The capture is saved under a budget that holds one layer of sixteen, and
opened in a process of its own, in which pages are read all over it. The time of a page is compared with that of the
same page of a tensor in memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.cache import format_bytes
from memviz_widgets.frames import PageSource

MIB = 2**20
LAYERS, SHAPE = 16, (4, 64, 512, 512)  # 256 MiB each
SAVING_BYTES = 1536 * MIB
"""What saving may take besides the 256 MiB of input: its budget of 600 MiB, and the run of a layer."""
EXTRA_BYTES = 300 * 10**6
"""What opening and scrubbing may take."""
PAGE_RATIO = 3.0
"""A page from disk against one from memory, as the median of all."""


class Shift(nn.Module):
    """A layer that costs next to nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1.0


def peak_bytes() -> int:
    """The most memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def save(path: str) -> dict[str, float]:
    """Save 4 GiB; what that took."""
    x = torch.randn(SHAPE)
    before = peak_bytes()
    with torch.no_grad():
        cache = ActivationCache.capture(nn.Sequential(*(Shift() for _ in range(LAYERS))), x, budget="600 MiB")
        start = time.perf_counter()
        cache.save(path)
    return {
        "seconds": time.perf_counter() - start,
        "bytes": cache.recorded_bytes,
        "extra": peak_bytes() - before,
        "left_out": sum(not record.available for record in ActivationCache.open(path).records),
    }


def scrub(path: str) -> dict[str, float]:
    """Open, and look at pages and cells all over; what that took."""
    before = peak_bytes()
    start = time.perf_counter()
    cache = ActivationCache.open(path)
    opened = time.perf_counter() - start
    source = PageSource(cache)
    pages, times = len(cache.records), []
    for step in range(200):
        times.append(_page_s(source, step * 7 % pages, step * 13))
        source.value(step * 5 % pages, step, 100, 200)
    found = {"opened_s": opened, "extra": peak_bytes() - before, "page_ms": 1000 * statistics.median(times)}
    held = PageSource(ActivationCache.from_tensors({"x": torch.randn(SHAPE)}, dims="batch channel height width"))
    in_memory = statistics.median(_page_s(held, 0, step * 13) for step in range(200))
    return {**found, "held_ms": 1000 * in_memory}


def _page_s(source: PageSource, record: int, page: int) -> float:
    start = time.perf_counter()
    source.page(record, "frame", page % (SHAPE[0] * SHAPE[1] // 16))
    return time.perf_counter() - start


def elsewhere(what: str, path: Path) -> dict[str, float]:
    """The result of a function in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.saved", what, str(path)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
    return found


def main() -> int:
    """Run, print, and say whether every target held."""
    torch.set_num_threads(1)
    if len(sys.argv) == 3:
        print(json.dumps({"save": save, "scrub": scrub}[sys.argv[1]](sys.argv[2])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        saved, scrubbed = (elsewhere(what, Path(folder, "run.zarr")) for what in ("save", "scrub"))
    ratio = scrubbed["page_ms"] / scrubbed["held_ms"]
    print(
        f"{format_bytes(int(saved['bytes']))} saved in {saved['seconds']:.1f} s, opened in {scrubbed['opened_s']:.2f} s"
    )
    print(f"a page: {scrubbed['page_ms']:.1f} ms from disk, {scrubbed['held_ms']:.1f} ms from memory")
    checks = [
        (f"all of {LAYERS} layers saved", not saved["left_out"] and saved["bytes"] >= 4 * 1024 * MIB),
        (f"saving took {format_bytes(int(saved['extra']))}", saved["extra"] <= SAVING_BYTES),
        (f"scrubbing took {format_bytes(int(scrubbed['extra']))}", scrubbed["extra"] <= EXTRA_BYTES),
        (f"a page takes {ratio:.1f} times that from memory", ratio <= PAGE_RATIO),
    ]
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
