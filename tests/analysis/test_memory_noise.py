"""Fit to noise: linear models that can fit any labels and such that cannot, and curves by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import noise_fit
from memviz_widgets.errors import MeasureError

from .memory_runs import generator, noise


def fitted_signs(examples: int, features: int) -> Tensor:
    """Whether the least-squares fit on random labels of -1 and 1 gives them back, bool (1, examples)."""
    points = noise(examples, features)
    labels = 2.0 * torch.randint(0, 2, (examples,), generator=generator(1)).double() - 1
    answers = points @ torch.linalg.lstsq(points, labels.unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
    return (answers.sign() == labels).unsqueeze(0)


@pytest.mark.parametrize("examples", [1, 30, 50])
def test_linear_model_fits_any_labels_of_as_many_examples_as_features(examples: int) -> None:
    found = noise_fit(fitted_signs(examples, 50), torch.ones(examples, dtype=torch.bool), 2)
    assert found.noisy.tolist() == [1] and found.noisy_half == 0 and found.examples == examples


def test_linear_model_of_few_features_stays_near_chance() -> None:
    found = noise_fit(fitted_signs(4000, 2), torch.ones(4000, dtype=torch.bool), 2)
    assert found.chance == 0.5 and found.standard_error == pytest.approx(0.0079, abs=1e-4)
    assert found.noisy.item() == pytest.approx(0.5, abs=4 * found.standard_error)
    assert math.isnan(found.noisy_half)


def test_curves_by_hand() -> None:
    correct = torch.tensor([[0, 0, 0, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    found = noise_fit(correct, torch.tensor([False, False, True, True]), 4)
    assert found.clean.tolist() == [0, 1, 1, 1] and found.noisy.tolist() == [0.5, 0, 0.5, 1]
    assert (found.clean_half, found.noisy_half, found.chance, found.examples) == (1, 3, 0.25, 2)


def test_all_labels_random_leave_no_clean_ones() -> None:
    found = noise_fit(torch.ones(3, 2), torch.tensor([True, True]), 2)
    assert found.clean.isnan().all() and math.isnan(found.clean_half)


@pytest.mark.parametrize(
    ("correct", "drawn", "classes", "text"),
    [
        (torch.ones(2, 3), torch.ones(3), 2, r"expected random_label as bool of shape \(3,\).* got torch.float32"),
        (torch.ones(2, 3), torch.ones(2) > 0, 2, r"some of them True; got torch.bool of shape \(2,\), 2 of them"),
        (torch.ones(2, 3), torch.ones(3) < 0, 2, r"0 of them True\. Mark the examples whose label is drawn"),
        (torch.ones(2, 3), torch.ones(3) > 0, 1, "classes=1; expected a whole number, 2 or more"),
        (
            2 * torch.ones(2, 3),
            torch.ones(3) > 0,
            2,
            r"correct is 2 at \(0, 0\); expected 0 to 1\. Give right or wrong",
        ),
    ],
)
def test_refuses(correct: Tensor, drawn: Tensor, classes: int, text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        noise_fit(correct, drawn, classes)
