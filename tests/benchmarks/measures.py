"""What the two dear measures of memory cost: the gradient horizon, and the linear memory capacity.

Run: ``python -m tests.benchmarks.measures``; ``--threads`` says how many (2). Prints what was measured and leaves with
status 1 when a target is missed.

Horizon: an LSTM of 256 units over 512 steps, as a whole and in chunks, in turn with one forward and backward of the
same model, so that a busy machine slows both. Capacity: 500 units over 20,000 steps, delays 0..1000, in seconds, as a
person would wait for it: the best of three, since there is nothing beside it that a busy machine would slow too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from memviz_widgets.analysis.memory import gradient_horizon, linear_capacity

ROUNDS = 7
STEPS, UNITS, INPUTS, CHUNK = 512, 256, 64, 64
MOST_PASSES = 20.0
"""Forward-and-backward passes that a gradient horizon may take."""
LONG_STEPS, LONG_UNITS = 20_000, 500
CAPACITY_S = 10.0

Check = tuple[str, bool]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.measures", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args(arguments).threads)
    torch.manual_seed(0)
    checks = [*horizon_checks(), capacity_check()]
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


def timed(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def horizon_checks() -> list[Check]:
    """Both ways, in turn with a plain pass."""
    model, x = nn.LSTM(INPUTS, UNITS), torch.randn(STEPS, INPUTS)
    ways = {
        "whole": lambda: gradient_horizon(lambda inputs: model(inputs)[0], x),
        f"in chunks of {CHUNK} steps": lambda: gradient_horizon(model, x, chunk=CHUNK),
    }
    passes: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        plain = timed(lambda: forward_and_backward(model, x))
        for name, way in ways.items():
            took = timed(way)
            if turn:  # the first warms up
                passes[name].append(took / plain)
    checks = []
    for name, found in passes.items():
        middle = statistics.median(found)
        print(
            f"gradient horizon, {STEPS} steps x {UNITS} units, 8 probes, {name}: {middle:.1f} forward-backward passes"
        )
        checks.append((f"gradient horizon, {name}: at most {MOST_PASSES:g} passes", middle <= MOST_PASSES))
    return checks


def forward_and_backward(model: nn.Module, x: Tensor) -> None:
    leaf = x.clone().requires_grad_()
    states: Tensor = model(leaf)[0]
    states.sum().backward()
    model.zero_grad()


def capacity_check() -> Check:
    """The best of three."""
    inputs = 2 * torch.rand(LONG_STEPS) - 1
    recurrent = torch.linalg.qr(torch.randn(LONG_UNITS, LONG_UNITS))[0] * 0.99
    entry, state = torch.randn(LONG_UNITS), torch.zeros(LONG_UNITS)
    states = torch.empty(LONG_STEPS, LONG_UNITS)
    for step, value in enumerate(inputs):
        state = torch.tanh(recurrent @ state + 0.1 * entry * value)
        states[step] = state
    found = None

    def measure() -> None:
        nonlocal found
        found = linear_capacity(states, inputs)

    seconds = min(timed(measure) for _ in range(3))
    assert found is not None
    print(
        f"linear capacity, {LONG_UNITS} units x {LONG_STEPS:,} steps, {len(found.capacity):,} delays: {seconds:.1f} s "
        f"on {torch.get_num_threads()} threads; {found.total_above_floor:.1f} of {found.rank}"
    )
    return f"linear capacity in less than {CAPACITY_S:g} s", seconds < CAPACITY_S


if __name__ == "__main__":
    sys.exit(main())
