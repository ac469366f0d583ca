"""What the health report takes, in captures: it should take no longer than the capture that it is about.

Run: ``python -m tests.benchmarks.health``; ``--threads`` says how many (1), ``--no-zoo`` leaves the zoo out (it needs
transformers). Prints what was measured and leaves with status 1 when a target is missed. Each time is the median of
``ROUNDS``, the report right after its capture, so that a busy machine slows both.

Models of usual sizes, each against its own capture; and all models of the zoo together, which are so small that what
is measured is the work per record. A recurrent layer's gates are recovered when they are first looked at, which the
capture left for later: its target allows for that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.analysis import health

ROUNDS = 5
CAPTURES = 1.0
"""Captures that a report may take."""
RECOVERY_CAPTURES = 3.0
"""Captures that a report on a recurrent model may take, which recovers its gates: about two runs of the layer."""

Check = tuple[str, bool]
Case = tuple[str, Callable[[], tuple[nn.Module, Any]], float]


def perceptron() -> tuple[nn.Module, Any]:
    layers = [layer for _ in range(8) for layer in (nn.Linear(1024, 1024), nn.ReLU())]
    return nn.Sequential(*layers), torch.randn(512, 1024)


def convolutions() -> tuple[nn.Module, Any]:
    blocks = [(3, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
    layers = [
        layer
        for inputs, outputs, stride in blocks
        for layer in (nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())
    ]
    return nn.Sequential(*layers), torch.randn(4, 3, 112, 112)


def encoder() -> tuple[nn.Module, Any]:
    layer = nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    return nn.TransformerEncoder(layer, 6, enable_nested_tensor=False).eval(), torch.randn(2, 256, 512)


def recurrent() -> tuple[nn.Module, Any]:
    return nn.LSTM(256, 512, 2, batch_first=True), torch.randn(4, 200, 256)


CASES: list[Case] = [
    ("perceptron, 8 x 1024, batch 512", perceptron, CAPTURES),
    ("convolutions, 6 blocks, 112 x 112", convolutions, CAPTURES),
    ("encoder, 6 x 512, 256 tokens", encoder, CAPTURES),
    ("LSTM, 2 x 512, 200 steps", recurrent, RECOVERY_CAPTURES),
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.health", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-zoo", action="store_true", help="leave the models of transformers out")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    with torch.no_grad():
        checks = [case_check(*case) for case in CASES]
        checks += [] if chosen.no_zoo else [zoo_check()]
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


def case_check(name: str, make: Callable[[], tuple[nn.Module, Any]], most: float) -> Check:
    """One model: the median of report / capture."""
    model, x = make()
    times = [capture_and_report(model, x) for _ in range(ROUNDS + 1)][1:]  # the first one warms up
    ratio = statistics.median(reported / captured for captured, reported, _ in times)
    captured, reported, findings = times[-1]
    print(f"{name}: capture {1000 * captured:.0f} ms, report {1000 * reported:.0f} ms ({findings} findings)")
    return (f"{name}: report {ratio:.2f} <= {most:g} captures", ratio <= most)


def zoo_check() -> Check:
    """All models of the zoo once, together: the sum of the reports against the sum of the captures."""
    from ..zoo.catalog import NAMES, build

    sums, worst = [0.0, 0.0], (0.0, "")
    for name in NAMES:
        model, keywords = build(name)
        captured, reported, _ = capture_and_report(model, keywords)
        sums = [sums[0] + captured, sums[1] + reported]
        worst = max(worst, (reported / captured, name))
    ratio = sums[1] / sums[0]
    print(
        f"{len(NAMES)} models of the zoo: captures {sums[0]:.1f} s, reports {sums[1]:.1f} s; worst of one model "
        f"{worst[0]:.2f} ({worst[1]})"
    )
    return (f"the zoo: reports {ratio:.2f} <= {CAPTURES:g} captures", ratio <= CAPTURES)


def capture_and_report(model: nn.Module, x: Any) -> tuple[float, float, int]:
    """Seconds of a capture, of a report on it, and the number of findings."""
    start = time.perf_counter()
    cache = mv.ActivationCache.capture(model, x)
    captured = time.perf_counter()
    found = health.report(cache).findings
    reported = time.perf_counter()
    cache.close()
    return captured - start, reported - captured, len(found)


if __name__ == "__main__":
    sys.exit(main())
