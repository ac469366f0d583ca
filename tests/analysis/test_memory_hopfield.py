"""Hopfield networks: bounds and descent of the energy, retrieval, basins, and the classical capacity."""

from __future__ import annotations

import math

import pytest
import torch

from memviz_widgets.analysis.memory import (
    classical_retrieval,
    hopfield_basin,
    hopfield_energy,
    hopfield_retrieval,
    hopfield_separation,
)
from memviz_widgets.errors import MeasureError

from .memory_runs import noise, signs, unit_rows

HUNDRED = signs(100, 64) / 8  # unit length

# Modern


def test_energy_by_hand() -> None:
    pattern = torch.tensor([[3.0, 4.0]])  # one pattern: -x.xi + xi.xi / 2 + 25 / 2
    assert hopfield_energy(pattern, torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]), 2.0).tolist() == [0, 12.5, 10]


@pytest.mark.parametrize("beta", [0.1, 1.0, 8.0])
def test_energy_is_within_its_bounds(beta: float) -> None:
    patterns = noise(20, 6)
    longest = float(patterns.norm(dim=-1).max())
    states = longest * unit_rows(500, 6, seed=1) * torch.rand(500, 1).double()
    energy = hopfield_energy(patterns, states, beta)
    assert energy.min() >= 0 and energy.max() <= 2 * longest**2


@pytest.mark.parametrize("beta", [0.5, 4.0, 32.0])
def test_energy_never_rises(beta: float) -> None:
    path = hopfield_retrieval(HUNDRED, HUNDRED + 0.1 * noise(100, 64, seed=1), beta, 100)
    assert path.energies.diff(dim=0).max() <= 1e-12
    torch.testing.assert_close(path.energies[-1], hopfield_energy(HUNDRED, path.states[-1], beta))


def test_sharp_network_gives_a_pattern_back_and_a_soft_one_the_mean() -> None:
    query = HUNDRED[7] + 0.05 * noise(64)
    sharp = hopfield_retrieval(HUNDRED, query, 64.0)
    assert sharp.settled and torch.equal(sharp.states[0], query)
    torch.testing.assert_close(sharp.states[-1], HUNDRED[7], atol=1e-6, rtol=0)
    assert sharp.attention is not None and sharp.attention.argmax() == 7 and sharp.attention.max() > 0.999
    soft = hopfield_retrieval(HUNDRED, query, 0.1)
    torch.testing.assert_close(soft.states[-1], HUNDRED.mean(0), atol=1e-2, rtol=0)


def test_a_path_that_is_cut_short_says_so() -> None:
    assert not hopfield_retrieval(HUNDRED, HUNDRED[0] + noise(64), 8.0, 1).settled


def test_separation_by_hand() -> None:
    patterns = torch.tensor([[2.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    assert hopfield_separation(patterns).tolist() == [2, 0, 0]
    assert hopfield_separation(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).tolist() == [-2, 6]


@pytest.mark.parametrize(("beta", "success"), [(32.0, 0.79), (8.0, 0.01), (1.0, 0.0)])
def test_basins_of_a_hundred_patterns(beta: float, success: float) -> None:
    found = hopfield_basin(HUNDRED, beta, (0.0, 0.3))
    assert found.success[1].item() == pytest.approx(success, abs=0.06)
    assert (found.chance, found.trials) == (0.01, 1000) and found.success[0] == (beta > 1)


def test_width_of_a_basin_is_where_half_come_back() -> None:
    found = hopfield_basin(HUNDRED, 32.0)
    success = found.success.tolist()
    assert 0.3 < found.width < 0.4 and success[3] > 0.5 > success[4]
    assert found.width == pytest.approx(0.3 + 0.1 * (success[3] - 0.5) / (success[3] - success[4]))
    assert math.isnan(hopfield_basin(HUNDRED, 1.0).width)


def test_basin_draws_its_own_random_numbers() -> None:
    before = torch.get_rng_state()
    first, second = (hopfield_basin(HUNDRED[:5], 8.0, (0.2, 0.4)) for _ in range(2))
    assert torch.equal(first.success, second.success) and torch.equal(torch.get_rng_state(), before)


# Classical


@pytest.mark.parametrize(
    ("load", "least", "most"), [(0.05, 0.999, 1), (0.138, 0.95, 1), (0.2, 0.7, 0.9), (0.3, 0.35, 0.55)]
)
def test_classical_network_breaks_down_with_its_load(load: float, least: float, most: float) -> None:
    overlaps = []
    for seed in range(4):
        patterns = signs(int(load * 200), 200, seed)
        path = classical_retrieval(patterns, patterns)
        assert path.energies.diff(dim=0).max() <= 1e-9
        overlaps.append(float((path.states[-1] * patterns).mean()))
    assert least <= sum(overlaps) / 4 <= most


def test_classical_network_repairs_a_few_signs() -> None:
    patterns = signs(5, 200)
    query = patterns[2].clone()
    query[:20] *= -1
    path = classical_retrieval(patterns, query)
    assert torch.equal(path.states[-1], patterns[2]) and path.settled and path.attention is None


# Bad input


def test_refuses() -> None:
    with pytest.raises(MeasureError, match="the axis D has 64 in patterns and 3 in state"):
        hopfield_energy(HUNDRED, torch.zeros(3), 1.0)
    with pytest.raises(MeasureError, match=r"beta=0\.0; expected a finite number above 0"):
        hopfield_retrieval(HUNDRED, HUNDRED, 0.0)
    with pytest.raises(MeasureError, match="steps=0; expected a whole number, 1 or more"):
        hopfield_retrieval(HUNDRED, HUNDRED, 1.0, 0)
    with pytest.raises(
        MeasureError, match=r"query holds other values than -1 and 1; expected signs\. Give query\.sign"
    ):
        classical_retrieval(torch.ones(2, 3), torch.zeros(3))
    with pytest.raises(MeasureError, match="patterns has one pattern; expected two or more"):
        hopfield_separation(torch.ones(1, 3))
    with pytest.raises(MeasureError, match="patterns holds a pattern of zeros; expected a direction"):
        hopfield_basin(torch.zeros(2, 3), 1.0)


@pytest.mark.parametrize("rates", [(), (0.2, 0.1), (0.1, 1.2), (-0.1,)])
def test_refuses_flip_rates(rates: tuple[float, ...]) -> None:
    with pytest.raises(MeasureError, match=r"flip_rates=\[.*\]; expected rising probabilities, 0 to 1"):
        hopfield_basin(HUNDRED, 1.0, rates)
