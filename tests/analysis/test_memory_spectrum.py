"""Effective rank and participation ratio: identities, rank 1, noise with few samples."""

from __future__ import annotations

import pytest
import torch

from memviz_widgets.analysis.memory import effective_rank, participation_ratio
from memviz_widgets.errors import MeasureError

from .memory_runs import noise


def test_identity_has_all_its_dimensions_and_rank_1_has_one() -> None:
    assert effective_rank(torch.eye(7)).item() == pytest.approx(7)
    assert effective_rank(torch.outer(noise(5), noise(9, seed=1))).item() == pytest.approx(1)


def test_effective_rank_by_hand() -> None:
    shares = torch.tensor([0.5, 0.25, 0.25])
    assert effective_rank(torch.diag(4 * shares)).item() == pytest.approx(2**1.5)  # H = 1.5 ln 2


def test_leading_axes_are_kept_and_zeros_have_no_direction() -> None:
    found = effective_rank(torch.stack([torch.eye(3), torch.zeros(3, 3)]))
    assert found[0].item() == pytest.approx(3) and found[1].isnan()


def test_participation_ratio_by_hand() -> None:
    states = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [0, -2]])  # variances 1 : 4, so 25 / 17
    assert participation_ratio(states).ratio.item() == pytest.approx(25 / 17)
    assert participation_ratio(states + 100).ratio.item() == pytest.approx(25 / 17)


@pytest.mark.parametrize(("samples", "expected"), [(100, 16.667), (1000, 19.608), (50, 14.286)])
def test_isotropic_noise_is_limited_by_its_samples(samples: int, expected: float) -> None:
    found = participation_ratio(noise(20, samples, 20))
    assert found.isotropic == pytest.approx(expected, abs=1e-3)
    assert found.ratio.mean().item() == pytest.approx(expected, rel=0.02)
    assert (found.samples, found.units) == (samples, 20)


def test_as_many_samples_as_units_halve_the_ratio() -> None:
    found = participation_ratio(noise(20, 50, 50))
    assert found.isotropic == 25 and found.ratio.mean().item() == pytest.approx(24.5, abs=0.3)


def test_fewer_samples_than_units() -> None:
    states = noise(6, 40)
    eigenvalues = torch.linalg.eigvalsh(states.mT.cov())
    expected = float(eigenvalues.sum() ** 2 / eigenvalues.square().sum())
    assert participation_ratio(states).ratio.item() == pytest.approx(expected)


def test_rank_1_has_ratio_1_at_any_scale() -> None:
    for scale in (1e-100, 1.0, 1e100):
        assert participation_ratio(scale * torch.outer(noise(9), noise(4, seed=1))).ratio.item() == pytest.approx(1)


def test_states_that_never_change_have_no_dimensions() -> None:
    assert participation_ratio(torch.full((50, 4), 0.1)).ratio.isnan()
    assert participation_ratio(torch.zeros(50, 4)).ratio.isnan()


def test_refuses_one_axis() -> None:
    for measure in (effective_rank, participation_ratio):
        with pytest.raises(MeasureError, match=r"expected states as a real tensor with the axes \(\.\.\., T, N\)"):
            measure(torch.ones(4))
