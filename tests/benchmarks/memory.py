"""What a look into a recurrent memory takes: its gates and cells, and a very long sequence.

Run: ``python -m tests.benchmarks.memory``; ``--threads`` says how many (1). Prints what was measured and leaves with
status 1 when a target is missed. Times are compared with the plain forward just before, so that a busy machine slows
both.

Gates: an LSTM of 2 x 512 units, 500 steps, batch 8; the capture, then every gate and cell of it, which are computed at
the first look. Long: an LSTM of 256 units over 100,000 steps, with a budget that holds some of its values and with one
that does not even hold its output; pictures of units over time from the kernel, and values under the pointer. The
browser scrubs over a picture that it has without asking.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.frames import PageSource

from .capture_memory import with_peak

MIB = 2**20
ROUNDS = 5
READY_FORWARDS = 2.0
"""Forwards from the end of the recording until every gate and cell is there."""
LONG_STEPS, LONG_UNITS, LONG_INPUTS = 100_000, 256, 32
PICTURE_FORWARDS = {"1 GiB": 2.0, "64 MiB": 4.0}
"""Forwards until the first picture of a long sequence is there, after its recording, by budget. The small one does not
hold the output of the call, so that the model runs again."""
POINTER_S = 0.25
"""Seconds until the exact value under the pointer is there."""
BESIDE_BYTES = 192 * MIB
"""What a picture may take beyond the budget, or beyond a plain forward where that takes more: to look at what a budget
does not hold runs it again."""

Check = tuple[str, bool]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args(arguments).threads)
    torch.manual_seed(0)
    with torch.no_grad():
        checks = [*gate_checks(), *(check for budget in PICTURE_FORWARDS for check in long_checks(budget))]
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def gate_checks() -> list[Check]:
    """Capture and look, in turn with the plain forward."""
    model, x = nn.LSTM(512, 512, 2, batch_first=True), torch.randn(8, 500, 512)
    warm = mv.ActivationCache.capture(model, x)
    look_at_all(warm)
    warm.close()
    captures, looks, residual = [], [], 0.0
    for _ in range(ROUNDS):
        forward, output = timed(lambda: model(x))
        del output
        captured, cache = timed(lambda: mv.ActivationCache.capture(model, x))
        looked, residual = timed(lambda: look_at_all(cache))  # noqa: B023 (called at once)
        cache.close()
        captures.append(captured / forward)
        looks.append(looked / forward)
    capture, look = statistics.median(captures), statistics.median(looks)
    print(
        f"LSTM 2 x 512, 500 steps, batch 8: capture {capture:.2f} forwards, then every gate and cell {look:.2f}, "
        f"together {capture + look:.2f}; residual {residual:.1e}"
    )
    return [(f"every gate and cell ready {READY_FORWARDS:g} forwards after the recording", look <= READY_FORWARDS)]


def look_at_all(cache: mv.ActivationCache) -> float:
    """Read every part of every memory; the largest residual."""
    parts = [record for record in cache.records if record.memory]
    for record in parts:
        value = cache.value(record)
        assert isinstance(value, Tensor), "there is room for all values"
    return max(cache.records[record.index].residual or 0.0 for record in parts)


def long_checks(budget: str) -> list[Check]:
    """Pictures of a long sequence, and values under the pointer."""
    model, x = nn.LSTM(LONG_INPUTS, LONG_UNITS), torch.randn(LONG_STEPS, 1, LONG_INPUTS)
    start = with_peak(lambda: None)[1]
    runs = [with_peak(lambda: timed(lambda: model(x))[0]) for _ in range(2)]
    forward = min(seconds for seconds, _ in runs)
    captured, cache = timed(lambda: mv.ActivationCache.capture(model, x, budget=budget))
    source = PageSource(cache)
    indices = [record.index for record in cache.records if record.memory]
    before = with_peak(lambda: None)[1]
    (first, page), peak = with_peak(lambda: timed(lambda: source.page(indices[1], "time", 0)))
    others = [timed(lambda: source.page(index, "time", 0))[0] for index in indices[2:]]  # noqa: B023
    again = [timed(lambda: source.page(index, "time", 0))[0] for index in indices[2:]]  # noqa: B023
    _, rows, columns = page.cells.shape
    pointed = [
        timed(lambda: source.value(indices[1], 0, rows // 2, column, "time"))[0]  # noqa: B023
        for column in range(0, columns, max(1, columns // 20))
    ]
    held, room = cache.held_bytes, cache.budget_bytes
    cache.close()
    print(
        f"{LONG_STEPS:,} steps x {LONG_UNITS} units, budget {budget}: forward {forward:.1f} s, capture "
        f"{captured / forward:.2f} forwards; first picture {first / forward:.2f} forwards ({rows} x {columns} cells), "
        f"others {statistics.median(others) / forward:.2f}, seen again {statistics.median(again):.3f} s; "
        f"value under the pointer {statistics.median(pointed) * 1000:.0f} ms; held {held / MIB:.0f} MiB"
    )
    name, most_forwards = f"{LONG_STEPS:,} steps, budget {budget}: ", PICTURE_FORWARDS[budget]
    checks = [
        (f"{name}first picture within {most_forwards:g} forwards", first <= most_forwards * forward),
        (f"{name}a value under the pointer within {POINTER_S} s", statistics.median(pointed) <= POINTER_S),
        (f"{name}no more held than that", held <= room),
    ]
    if peak is not None and before is not None and start is not None:  # this system tells
        extra, plain = peak - before, max(found or 0 for _, found in runs) - start
        most = max(room, plain) + BESIDE_BYTES
        print(f"peak of the first picture +{extra / MIB:.0f} MiB, of a plain forward +{plain / MIB:.0f} MiB")
        checks.append((f"{name}peak of the first picture at most +{most / MIB:.0f} MiB", extra <= most))
    return checks


if __name__ == "__main__":
    sys.exit(main())
