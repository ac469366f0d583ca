"""Information processing capacity: delay lines, products by hand, a symmetric network, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import information_processing_capacity
from memviz_widgets.analysis.memory_processing import _capacities, _chi_squared_quantile, _delayed, _legendre
from memviz_widgets.analysis.memory_readout import fitted
from memviz_widgets.errors import MeasureError

from .memory_runs import delay_line, driven, noise, reservoir, uniform_inputs


def test_delay_line_computes_nothing_but_degree_1() -> None:
    inputs = uniform_inputs(4000)
    found = information_processing_capacity(delay_line(inputs, 8), inputs, (15, 10, 5))
    assert found.by_degree.tolist() == pytest.approx([8, 0, 0], abs=1e-6)
    assert found.counted == (8, 0, 0) and found.products == (16, 66, 56) and found.rank == 8


def test_states_that_are_products_of_degree_2_and_3() -> None:
    inputs = uniform_inputs(4000)
    now, before = delay_line(inputs, 2).unbind(-1)
    states = torch.stack([now * before, 3 * now**2 - 1, 5 * before**3 - 3 * before], -1)  # P2 and P3 to a factor
    found = information_processing_capacity(states, inputs, (3, 3, 3))
    assert found.by_degree.tolist() == pytest.approx([0, 2, 1]) and found.counted == (0, 2, 1)


@pytest.mark.parametrize(("strength", "total"), [(0.1, 7.99), (2.0, 7.75)])
def test_weak_input_uses_nearly_all_units_for_memory_and_strong_input_computes(strength: float, total: float) -> None:
    inputs = uniform_inputs(20_000)
    states = driven(inputs, reservoir(8, 0.8), strength * noise(8, seed=1), squash=True)
    found = information_processing_capacity(states, inputs, (40, 12, 8, 4, 3), washout=100)
    assert found.total == pytest.approx(total, abs=0.05) and found.rank == 8
    assert (found.by_degree[0] > 7.5) == (strength < 1)


def test_symmetric_tanh_network_has_no_even_degrees() -> None:
    inputs = uniform_inputs(6000)
    states = driven(inputs, reservoir(8, 0.8), 0.5 * noise(8, seed=1), squash=True)
    found = information_processing_capacity(states, inputs, (40, 12, 8, 4), washout=100)
    assert found.by_degree[1] == 0 and found.by_degree[3] == 0
    assert found.by_degree[0] > found.by_degree[2] > 0
    assert 7 < found.total <= 8.05


def test_noise_counts_nothing_and_the_threshold_is_that_of_chi_squared() -> None:
    found = information_processing_capacity(noise(3000, 6), uniform_inputs(3000, seed=1))
    assert found.total == 0 and sum(found.counted) == 0
    assert found.floor == 6 / found.samples < found.threshold


def test_capacity_without_memory_is_distributed_as_chi_squared() -> None:
    """T C has mean N and variance 2 N, over 631 products that the states know nothing of."""
    signal, states = uniform_inputs(20_000), noise(20_000, 8, seed=5)
    table = _legendre(_delayed(signal, (10, 33), 0, 8), 2)
    samples = table.shape[-1]
    basis = fitted(states[-samples:], 1e-16).basis
    scaled = samples * torch.cat([_capacities(table, 1, 33, basis), _capacities(table, 2, 33, basis)])
    assert scaled.mean().item() == pytest.approx(8, abs=4 * math.sqrt(16 / 629))
    assert scaled.var().item() == pytest.approx(16, rel=0.25)


def test_chi_squared_quantile_of_two_degrees_is_a_logarithm() -> None:
    assert _chi_squared_quantile(2, 0.01) == pytest.approx(9.210340, abs=1e-5)  # -2 ln 0.01
    assert _chi_squared_quantile(10, 0.05) == pytest.approx(18.307, abs=1e-3)  # from any table


def test_memory_that_never_changes_has_none() -> None:
    found = information_processing_capacity(torch.ones(500, 3), uniform_inputs(500), (3, 3))
    assert found.by_degree.tolist() == [0, 0] and found.rank == 0


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (torch.linspace(-2, 1, 500), r"inputs is -2 at \(0,\); expected -1 to 1\. Scale the input"),
        (uniform_inputs(500).abs(), "inputs are not uniform in -1..1: .* of degree 1 has mean 0.8"),
        (uniform_inputs(500).sign(), "inputs are not uniform in -1..1: .* of degree 2 has mean 2.2"),
        (
            uniform_inputs(250).repeat_interleave(2),
            "inputs are not independent: those 1 steps apart have correlation 0.[45]",
        ),
        (torch.zeros(500), "inputs are not uniform"),
    ],
)
def test_refuses_inputs(inputs: Tensor, text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        information_processing_capacity(noise(500, 2), inputs, (3, 3))


@pytest.mark.parametrize(
    ("max_delays", "text"),
    [
        ((), "max_delays is empty; expected one largest delay per degree"),
        ((3, -1), r"max_delays\[1\]=-1; expected a whole number, 0 or more"),
        ((100, 100, 100), r"makes 182,103 products; expected 50,000 at most\. Give the higher degrees shorter"),
        ((499,), "500 steps are too few: with 499 left out at the start, 1 are left for 2 units; expected 4"),
    ],
)
def test_refuses_delays(max_delays: tuple[int, ...], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        information_processing_capacity(noise(500, 2), uniform_inputs(500), max_delays)
