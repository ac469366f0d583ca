"""Linear reconstruction of the input: invertible, partial, constant and unrelated layers."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV
from torch import Tensor

from memviz_widgets.analysis.memory import linear_reconstruction
from memviz_widgets.analysis.memory_reconstruction import RIDGES
from memviz_widgets.errors import MeasureError

from .memory_runs import noise

IMAGES = noise(300, 1, 5, 8)  # 40 independent values


def test_invertible_layer_holds_all() -> None:
    found = linear_reconstruction(IMAGES.flatten(1) @ noise(40, 60, seed=1) + 3, IMAGES)
    assert found.r2 == pytest.approx(1) and found.rank == 40 and (found.train, found.test) == (210, 90)
    torch.testing.assert_close(found.reconstructed, IMAGES[found.test_items], atol=1e-6, rtol=0)


def test_layer_that_keeps_a_quarter_of_the_values() -> None:
    images = noise(3000, 1, 5, 8)
    found = linear_reconstruction(images[..., :2], images)
    assert found.r2 == pytest.approx(0.25, abs=0.01) and abs(found.chance) < 0.01
    assert found.per_value.shape == (1, 5, 8)
    assert found.per_value[..., :2].min() > 0.999 and found.per_value[..., 2:].abs().max() < 0.1


@pytest.mark.parametrize("features", [20, 2000])
def test_unrelated_activations_hold_nothing(features: int) -> None:
    found = linear_reconstruction(noise(300, features, seed=1), IMAGES)
    assert found.r2 == pytest.approx(0, abs=0.01) and found.chance == pytest.approx(0, abs=0.01)


def test_layer_that_never_changes_holds_exactly_nothing() -> None:
    found = linear_reconstruction(torch.full((300, 7), 0.1), IMAGES.float())
    assert found.r2 == 0 and found.chance == 0 and found.rank == 0 and found.per_value.dtype == torch.float32


def test_more_features_than_items() -> None:
    features = (IMAGES.flatten(1) @ noise(40, 1000, seed=1)).relu()
    found = linear_reconstruction(features, IMAGES)
    assert 0.9 < found.r2 < 1 and found.rank == found.train - 1


@pytest.mark.parametrize("width", [20, 400])
def test_penalty_and_prediction_are_those_of_scikit_learn(width: int) -> None:
    features = IMAGES.flatten(1) @ noise(40, width, seed=1) + 5 * noise(300, width, seed=2)
    found = linear_reconstruction(features, IMAGES)
    train = torch.ones(300, dtype=torch.bool)
    train[found.test_items] = False
    x, y = features[train], IMAGES[train].flatten(1)
    mean_square = float(torch.linalg.svdvals(x - x.mean(0))[: found.rank].square().mean())
    reference = RidgeCV(alphas=[ridge * mean_square for ridge in RIDGES]).fit(x.numpy(), y.numpy())
    assert found.ridge == pytest.approx(reference.alpha_ / mean_square)
    plain = Ridge(reference.alpha_).fit(x.numpy(), y.numpy()).predict(features[found.test_items].numpy())
    torch.testing.assert_close(found.reconstructed.flatten(1), torch.from_numpy(plain))


def test_a_value_that_does_not_vary_has_no_r2() -> None:
    images = IMAGES.clone()
    images[:, 0, 0, 0] = 0.5
    found = linear_reconstruction(images.flatten(1), images)
    assert found.per_value[0, 0, 0].isnan() and found.per_value.isnan().sum() == 1 and found.r2 > 0.999


def test_draws_its_own_random_numbers() -> None:
    before = torch.get_rng_state()
    first, second = (linear_reconstruction(IMAGES[..., 0], IMAGES, seed=3) for _ in range(2))
    assert first.r2 == second.r2 and torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first.test_items, linear_reconstruction(IMAGES[..., 0], IMAGES).test_items)


@pytest.mark.parametrize(
    ("activations", "inputs", "text"),
    [
        (torch.ones(5, 2), torch.ones(4, 2), "the axis items has 5 in activations and 4 in inputs"),
        (torch.ones(3, 2), torch.ones(3, 2), "3 items; expected 4 or more, better hundreds"),
        (noise(9, 2), torch.full((9, 2), 0.1), "inputs are the same for all items; expected items that differ"),
        (torch.tensor(1.0), torch.ones(9, 2), r"expected activations as a real tensor with the axes \(items, \.\.\.\)"),
    ],
)
def test_refuses(activations: Tensor, inputs: Tensor, text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        linear_reconstruction(activations, inputs)


def test_refuses_options() -> None:
    with pytest.raises(MeasureError, match=r"test_share=0; expected a number between 0 and 1"):
        linear_reconstruction(IMAGES, IMAGES, test_share=0)
    with pytest.raises(MeasureError, match="shuffles=0; expected a whole number, 1 or more"):
        linear_reconstruction(IMAGES, IMAGES, shuffles=0)
