"""Linear memory capacity beside that of reservoirpy: the same runs, the same readouts, another sum.

reservoirpy sums delays from 1; it measures on held-out steps too, but without a floor.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import pytest
import torch
from reservoirpy.nodes import Reservoir, Ridge
from reservoirpy.observables import memory_capacity
from torch import Tensor

from memviz_widgets.analysis.memory import linear_capacity

from .memory_runs import delay_line, noise, reservoir, uniform_inputs

N, DELAYS = 20, 40
INPUTS = uniform_inputs(20_000)


def network(weights: Tensor, entry: Tensor, activation: str | Callable[[object], object]) -> Reservoir:
    """The reservoir ``x <- activation(W x + w_in u)`` of reservoirpy."""
    given = {"W": weights.numpy().copy(), "Win": entry.unsqueeze(-1).numpy().copy(), "bias": np.zeros(N)}
    return Reservoir(units=N, lr=1.0, activation=activation, **given)


def line() -> Reservoir:
    """A delay line of N units."""
    shift = torch.diag(torch.ones(N - 1, dtype=torch.float64), -1)
    return network(shift, torch.eye(N, dtype=torch.float64)[0], "identity")


def states_of(model: Reservoir, inputs: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(model.run(inputs.unsqueeze(-1).numpy())))


def theirs(model: Reservoir) -> Tensor:
    """Capacities of the delays 1..K on the second half of the run, with next to no ridge."""
    found = memory_capacity(
        model >> Ridge(ridge=1e-10), DELAYS, as_list=True, series=INPUTS.unsqueeze(-1).numpy(), test_size=0.5
    )
    return torch.from_numpy(found)


def test_delay_line_is_19_for_them_and_20_for_us() -> None:
    ours = linear_capacity(states_of(line(), INPUTS), INPUTS, DELAYS)
    assert theirs(line())[:19].sum().item() == pytest.approx(19, abs=1e-6)
    assert ours.capacity[1:20].sum().item() == pytest.approx(19, abs=1e-6)
    assert ours.total == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_every_delay_of_a_random_network(activation: str) -> None:
    weights, entry = reservoir(N, 0.95), noise(N, seed=1)
    ours = linear_capacity(states_of(network(weights, entry, activation), INPUTS), INPUTS, DELAYS).capacity[1:]
    torch.testing.assert_close(ours, theirs(network(weights, entry, activation)), atol=1e-3, rtol=0)
    assert ours.sum().item() == pytest.approx(theirs(network(weights, entry, activation)).sum().item(), abs=0.01)


def test_their_default_length_flatters_and_our_floor_takes_that_off() -> None:
    """10 K steps, of which a fifth are measured on: each of the 21 delays that the line lacks gets about 1 / 79."""
    default = [float(memory_capacity(line() >> Ridge(ridge=1e-10), DELAYS, seed=seed)) for seed in range(30)]
    assert 19.2 < statistics.mean(default) < 19.8
    ours = []
    for seed in range(30):
        inputs = uniform_inputs(10 * DELAYS + DELAYS, seed)
        found = linear_capacity(delay_line(inputs, N), inputs, DELAYS, test_share=0.2)
        assert found.test == 80
        ours.append(found.total_above_floor)
    assert statistics.mean(ours) == pytest.approx(20, abs=0.1)
