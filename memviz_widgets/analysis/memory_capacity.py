"""How many steps of past input a linear readout can still tell from the state.

In: states (T, N) of one run and the input (T,) that drove it. Out: one capacity per delay, with its floor.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, in_result_dtype, needs_same, needs_share, needs_whole
from .memory_readout import CONSTANT, fitted, rounding


@dataclass(frozen=True, slots=True)
class LinearCapacity:
    """How well the input of k steps ago is read from the state, for each delay k.

    Attributes:
        capacity: (K + 1,), 0..1: squared correlation, on held-out steps, of the input k steps ago and the readout that
            was fitted to it; delay 0 is the input that the state has just seen.
        floor: What states without any memory get per delay, on average: 1 / (test steps - 1). The chance line.
        total: Sum of ``capacity``, delay 0 included. Jaeger and reservoirpy begin at delay 1: ``capacity[1:].sum()``.
        total_above_floor: Sum of ``(capacity - floor) / (1 - floor)``: 0 on average for no memory, and 1 for each input
            that is remembered exactly.
        rank: Number of independent directions of the states: the bound of ``total`` for independent inputs.
        train: Steps that the readouts were fitted on.
        test: Steps that they were measured on.
    """

    capacity: Tensor
    floor: float
    total: float
    total_above_floor: float
    rank: int
    train: int
    test: int


def linear_capacity(
    states: Tensor, inputs: Tensor, max_delay: int | None = None, *, washout: int = 0, test_share: float = 0.5
) -> LinearCapacity:
    """Linear memory capacity: ``MC_k = cov^2(u_{t-k}, y_k) / (var u var y_k)`` with the best linear readout y_k.

    Jaeger 2001, "Short term memory in echo state networks", GMD report 152, but with delays from 0: a state
    ``x_t`` has seen ``u_t``, so a delay line of N steps has capacity N. Readouts have a bias, are fitted by least
    squares on the first steps and measured on the last: on the steps of the fit, N units would explain N / T of
    anything. The bound N holds for independent inputs; inputs that resemble their neighbours are guessed, not
    remembered, so drive the network with noise.

    Args:
        states: (T, N), state after each step.
        inputs: (T,), input of each step.
        max_delay: K, steps. None = 2 N, but at most T // 10.
        washout: first steps that are left out, while the network forgets where it started.
        test_share: part of the steps that is held out, between 0 and 1.

    Returns:
        All delays on the same steps, from ``max(washout, K)`` on. States that never change have capacity 0.

    Cost:
        ``T (N^2 + N K)``; 500 units over 20,000 steps take seconds on one core, and a float64 copy of the states.

    Raises:
        MeasureError: for other axes, NaN or Inf, an input that is constant, or fewer steps than N units need.
    """
    numbers, signal = checked(states, "states", "T", "N"), checked(inputs, "inputs", "T")
    steps, units = numbers.shape
    needs_same("T", states=steps, inputs=len(signal))
    needs_share("test_share", test_share)
    if max_delay is None:
        max_delay = min(2 * units, steps // 10)
    first = max(needs_whole("washout", washout, 0), needs_whole("max_delay", max_delay, 0))
    test = int((steps - first) * test_share)
    train = steps - first - test
    if train < units + 2 or test < 3:
        raise MeasureError(
            f"{steps} steps are too few: with {first} left out at the start, {max(train, 0)} are left to fit {units} "
            f"units on (expected {units + 2} or more) and {max(test, 0)} to measure on (expected 3 or more). "
            "Record a longer run, or lower max_delay, washout or the number of units."
        )
    delayed = signal.unfold(0, max_delay + 1, 1).flip(-1)[first - max_delay :]  # (train + test, K + 1)
    delayed = delayed - delayed.mean(0)
    if float(delayed[train:].std()) <= CONSTANT * float(signal.abs().max()):
        raise MeasureError("inputs are constant; expected inputs that vary. Drive the network with random numbers.")
    readout = fitted(numbers[first : first + train], rounding(states))
    predicted = readout.predicted(delayed[:train] - delayed[:train].mean(0), numbers[first + train :])  # (test, K + 1)
    capacity = squared_correlation(delayed[train:], predicted)
    floor = 1 / (test - 1)
    return LinearCapacity(
        in_result_dtype(capacity, states, inputs),
        floor,
        float(capacity.sum()),
        float(((capacity - floor) / (1 - floor)).sum()),
        readout.rank,
        train,
        test,
    )


def squared_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Per column of two (T, K): 0..1, 0 where one of them does not vary."""
    first, second = first - first.mean(0), second - second.mean(0)
    together = (first * second).sum(0).square()
    apart = first.square().sum(0) * second.square().sum(0)
    return (together / apart.masked_fill(apart == 0, 1.0)).clamp(max=1.0)
