"""Linear memory capacity against its closed forms: delay lines, leaky units, random networks, noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import linear_capacity
from memviz_widgets.errors import MeasureError

from .memory_runs import delay_line, driven, noise, reservoir, uniform_inputs


def test_delay_line_holds_its_length_and_nothing_more() -> None:
    inputs = uniform_inputs(4000)
    found = linear_capacity(delay_line(inputs, 5), inputs, 9)
    assert found.capacity[:5].tolist() == pytest.approx([1.0] * 5)
    assert found.capacity[5:].max() < 12 * found.floor  # the chance of one being larger is below 1e-3
    assert found.total_above_floor == pytest.approx(5, abs=0.01) and found.rank == 5


def test_jaegers_sum_begins_at_delay_1() -> None:
    inputs = uniform_inputs(20_000)
    found = linear_capacity(delay_line(inputs, 20), inputs)
    assert found.total == pytest.approx(20, abs=0.01)
    assert float(found.capacity[1:].sum()) == pytest.approx(19, abs=0.01)


def test_leaky_unit_has_capacity_1_spread_over_delays() -> None:
    inputs, leak = uniform_inputs(40_000), 0.8
    states = driven(inputs, torch.tensor([[leak]]).double(), torch.ones(1).double())
    found = linear_capacity(states, inputs, 30)
    assert found.capacity.tolist() == pytest.approx(
        [leak ** (2 * delay) * (1 - leak**2) for delay in range(31)], abs=0.012
    )
    assert found.total == pytest.approx(1, abs=0.02)


def test_random_linear_network_nears_its_number_of_units() -> None:
    inputs = uniform_inputs(20_000)
    states = driven(inputs, reservoir(20, 0.95), noise(20, seed=1))
    found = linear_capacity(states, inputs, 60, washout=200)
    assert found.total_above_floor == pytest.approx(19.87, abs=0.1)  # METRICS.md; the rest is beyond the delays


def test_orthogonal_network_nears_it_closer() -> None:
    inputs = uniform_inputs(20_000)
    orthogonal = torch.linalg.qr(noise(20, 20))[0]
    found = linear_capacity(driven(inputs, 0.9 * orthogonal, noise(20, seed=1)), inputs, 60, washout=200)
    assert found.total_above_floor == pytest.approx(19.96, abs=0.1)


def test_tanh_network_holds_less() -> None:
    inputs = uniform_inputs(20_000)
    found = []
    for scale in (0.5, 1.0, 4.0):
        states = driven(inputs, reservoir(20, 0.95), scale * noise(20, seed=1), squash=True)
        found.append(linear_capacity(states, inputs, 40).total_above_floor)
    assert found[0] == pytest.approx(7.6, abs=0.5)
    assert found[0] > found[1] > found[2]  # the stronger the input, the more it saturates


def test_noise_states_score_the_floor() -> None:
    found = linear_capacity(noise(20_000, 20), uniform_inputs(20_000, seed=1), 40)
    assert found.floor == 1 / (found.test - 1)
    assert found.total == pytest.approx(41 * found.floor, rel=0.6)
    assert abs(found.total_above_floor) < 0.004


def test_memory_that_never_changes_has_none() -> None:
    found = linear_capacity(torch.full((500, 4), 0.1), uniform_inputs(500), 5)
    assert found.capacity.tolist() == [0] * 6 and found.total == 0 and found.rank == 0


def test_small_dead_and_repeated_units_are_no_trouble() -> None:
    inputs = uniform_inputs(3000)
    line = delay_line(inputs, 3)
    states = torch.cat([line[:, :2], 1e-9 * line[:, 2:] + 5e-9, torch.full((3000, 1), 0.3).double(), line[:, :1]], 1)
    found = linear_capacity(states, inputs, 4)
    assert found.rank == 3 and found.capacity[:3].tolist() == pytest.approx([1.0] * 3)


def test_steps_are_counted() -> None:
    found = linear_capacity(noise(1000, 4), uniform_inputs(1000), 10, washout=100, test_share=0.25)
    assert (found.train, found.test) == (675, 225)
    assert len(linear_capacity(noise(1000, 4), uniform_inputs(1000)).capacity) == 9  # 2 N
    assert len(linear_capacity(noise(100, 30), uniform_inputs(100)).capacity) == 11  # T // 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_dtype(dtype: torch.dtype) -> None:
    inputs = uniform_inputs(2000)
    states = delay_line(inputs, 3).to(dtype)
    found = linear_capacity(states, inputs.to(dtype), 4).capacity
    assert found.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert found[:3].tolist() == pytest.approx([1.0] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("states", "inputs", "text"),
    [
        (torch.zeros(30, 2), torch.zeros(29), "the axis T has 30 in states and 29 in inputs"),
        (
            torch.zeros(30, 2, 1),
            torch.zeros(30),
            r"expected states as a real tensor with the axes \(T, N\).*\(30, 2, 1\)",
        ),
        (torch.zeros(30, 2), torch.ones(30), "inputs are constant; expected inputs that vary. Drive"),
        (torch.zeros(30, 20), torch.arange(30.0), "30 steps are too few: .* fit 20 units on .expected 22 or more"),
        (torch.full((30, 2), math.nan), torch.arange(30.0), r"states holds nan at \(0, 0\); expected finite"),
    ],
)
def test_refuses(states: Tensor, inputs: Tensor, text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        linear_capacity(states, inputs)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"test_share": 1.0}, r"test_share=1\.0; expected a number between 0 and 1"),
        ({"washout": -1}, "washout=-1; expected a whole number, 0 or more"),
        ({"max_delay": 2.5}, r"max_delay=2\.5; expected a whole number, 0 or more"),
        ({"max_delay": 200}, "100 steps are too few: with 200 left out at the start, 0 are left to fit"),
    ],
)
def test_refuses_options(options: dict[str, float], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        linear_capacity(noise(100, 2), uniform_inputs(100), **options)  # type: ignore[arg-type]
