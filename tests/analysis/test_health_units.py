"""Units that do no work of their own, planted: dead, nearly dead and duplicated channels, layers that never change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.analysis.health_duplicates import equal_pairs

from .test_health_planting import at, found, noise, only, perceptron


def test_seven_dead_units_of_64() -> None:
    model, dead = perceptron(), [3, 9, 20, 21, 40, 62, 63]
    with torch.no_grad():
        at(model, "0").bias[dead] = -100.0
    finding = only(model, noise(512, 16))
    assert (finding.kind, finding.severity, finding.path, finding.record) == ("dead units", "warning", "1", 1)
    assert finding.places == tuple(dead) and finding.channel == 3 and finding.n == 512
    assert "7 of 64 units of '1' never fire" in finding.sentence


def test_unit_that_fires_once_in_512_is_nearly_dead() -> None:
    model, x = perceptron(), noise(512, 16)
    with torch.no_grad():
        highest = at(model, "0")(x)[:, 7].sort().values
        at(model, "0").bias[7] -= (highest[-1] + highest[-2]) / 2
    finding = only(model, x)
    assert (finding.kind, finding.severity, finding.places) == ("nearly dead units", "hint", (7,))
    assert finding.value == 1 / 512 and finding.bound == 0.01


def test_dead_unit_after_a_function_and_over_calls() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.drop, self.out = nn.Linear(8, 16), nn.Dropout(0.0), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.out(self.drop(self.linear(step).relu())) for step in x.unbind(0)])

    model = Functional()
    with torch.no_grad():
        model.linear.bias[11] = -100.0
    finding = only(model, 3 * noise(12, 32, 8))
    assert (finding.kind, finding.path, finding.places, finding.n) == ("dead units", "drop", (11,), 12 * 32)


def test_too_few_positions_say_nothing_about_units() -> None:
    model = perceptron()
    with torch.no_grad():
        at(model, "0").bias[3] = -100.0
    assert found(model, noise(299, 16)) == ()
    assert only(model, noise(300, 16)).places == (3,)


def test_dead_layer_is_said_once() -> None:
    model = perceptron()
    with torch.no_grad():
        at(model, "0").bias.fill_(-100.0)
    finding = only(model, noise(512, 16))
    assert (finding.kind, finding.path, len(finding.places)) == ("dead units", "1", 64)


@pytest.mark.parametrize(("factor", "words"), [(1.0, "equal to channel 4"), (3.0, "the same up to a factor")])
def test_duplicated_channel(factor: float, words: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    with torch.no_grad():
        at(model, "0").weight[10], at(model, "0").bias[10] = (
            factor * at(model, "0").weight[4],
            factor * at(model, "0").bias[4],
        )
    finding = only(model, noise(4, 3, 12, 12))
    assert (finding.kind, finding.path, finding.channel, finding.places) == ("duplicated channels", "0", 4, (4, 10))
    assert words in finding.sentence and finding.n == 400


def test_channels_that_follow_one_number_are_no_duplicates() -> None:
    assert found(nn.Linear(1, 8), noise(200, 1)) == ()


def test_pairs_of_many_channels_are_found_and_chance_is_not() -> None:
    sample = np.random.default_rng(1).standard_normal((900, 64)).astype(np.float32)
    sample[700], sample[31] = sample[2], 5 * sample[850] + 1
    sample[5] = sample[6] = 0
    sample[5, 3], sample[6, 3] = 1, 2  # one spike at the same place correlates to 1
    equal, alike = equal_pairs(sample, np.zeros(900, np.bool_))
    assert (equal, alike) == ([(2, 700)], [(31, 850)])


def test_constant_layer() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    with torch.no_grad():
        at(model, "1").weight.zero_()
    finding = only(model, noise(64, 8))
    assert (finding.kind, finding.path, finding.n) == ("constant", "1", 64)


def test_unit_that_is_dead_in_the_sample_is_looked_at_in_full() -> None:
    x = noise(2**14, 16).abs()  # of which every fourth position is sampled
    x[:, 5], x[:, 9] = -1.0, -1.0
    x[1, 9] = 1.0
    dead, weak = found(nn.Sequential(nn.ReLU()), x)
    assert (dead.kind, dead.places, dead.n) == ("dead units", (5,), 2**14)
    assert (weak.kind, weak.places, weak.value) == ("nearly dead units", (9,), 2**-14)
