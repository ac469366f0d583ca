"""Fisher memory of linear networks against its closed forms: normal weights, delay lines, brute force."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import fisher_memory
from memviz_widgets.errors import MeasureError

from .attention_maps import harmonic
from .memory_runs import noise, reservoir, unit_rows

N = 12
ENTRY = unit_rows(1, N)[0]


def chain(gain: float) -> tuple[Tensor, Tensor]:
    """A delay line whose every step multiplies the variance by ``gain``, and its entry."""
    shift = torch.diag(torch.ones(N - 1, dtype=torch.float64), -1)
    return gain**0.5 * shift, torch.eye(N, dtype=torch.float64)[0]


@pytest.mark.parametrize("radius", [0.0, 0.5, 0.95, 0.9999])
def test_normal_weights_have_exactly_1_whatever_they_are(radius: float) -> None:
    orthogonal = torch.linalg.qr(noise(N, N))[0]
    symmetric = orthogonal @ torch.diag(torch.linspace(-radius, radius, N).double()) @ orthogonal.mT
    for weights in (radius * orthogonal, symmetric):
        assert fisher_memory(weights, ENTRY).total == pytest.approx(1)
    assert fisher_memory(radius * orthogonal, 3 * ENTRY).total == pytest.approx(
        fisher_memory(weights, 3 * ENTRY).normal
    )


def test_curve_of_normal_weights() -> None:
    found = fisher_memory(torch.diag(torch.tensor([0.9, 0.5])).double(), torch.tensor([0.6, 0.8]).double(), 3)
    expected = [0.36 * 0.81**lag * (1 - 0.81) + 0.64 * 0.25**lag * (1 - 0.25) for lag in range(4)]
    assert found.curve.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("gain", [0.5, 2.0, 10.0, 1e4])
def test_delay_line(gain: float) -> None:
    found = fisher_memory(*chain(gain))
    expected = [gain**lag * (1 - gain) / (1 - gain ** (lag + 1)) for lag in range(N)]
    assert found.curve.tolist() == pytest.approx(expected + [0] * (N + 1))
    assert found.total == pytest.approx(sum(expected)) and found.total <= found.bound == N


def test_delay_line_without_gain_has_a_harmonic_number() -> None:
    assert fisher_memory(*chain(1.0)).total == pytest.approx(harmonic(N))


def test_random_weights_by_brute_force() -> None:
    weights = reservoir(N, 0.9)
    powers = [torch.linalg.matrix_power(weights, lag) for lag in range(600)]
    noise_in_state = torch.stack([power @ power.mT for power in powers]).sum(0)
    inverse = torch.linalg.inv(noise_in_state)
    curve = torch.stack([(power @ ENTRY) @ inverse @ (power @ ENTRY) for power in powers])
    found = fisher_memory(weights, ENTRY, 9)
    torch.testing.assert_close(found.curve, curve[:10])
    assert found.total == pytest.approx(curve.sum().item()) and found.total < N and found.normal == pytest.approx(1)


@pytest.mark.parametrize("radius", [1.0, 1.01])
def test_refuses_noise_that_grows(radius: float) -> None:
    with pytest.raises(
        MeasureError, match=r"recurrent has spectral radius 1.*; expected below 1\. Noise in this network"
    ):
        fisher_memory(radius * torch.linalg.qr(noise(N, N))[0], ENTRY)


def test_refuses() -> None:
    with pytest.raises(MeasureError, match="the axis N has 3 in recurrent and 2 in columns and 3 in entry"):
        fisher_memory(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(MeasureError, match="max_delay=-1; expected a whole number, 0 or more"):
        fisher_memory(torch.zeros(3, 3), torch.ones(3), -1)


@pytest.mark.parametrize("gain", [1e7, 1e200])
def test_refuses_what_float64_cannot_hold(gain: float) -> None:
    """Two units that the noise of a third one reaches much stronger than their own."""
    weights = gain * torch.tensor([[0, 0, 0], [1, 0, 0], [1, 0, 0]]).double()
    with pytest.raises(MeasureError, match=r"too strong and too weak for float64 .* Scale recurrent down"):
        fisher_memory(weights, torch.ones(3))
