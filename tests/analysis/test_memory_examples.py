"""Memorisation of examples and seen against unseen losses, with closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import exposure, memorisation, seen_unseen_auc, training_subsets
from memviz_widgets.errors import MeasureError

from .memory_runs import generator, noise


def nearest_neighbour(points: Tensor, labels: Tensor, subsets: Tensor) -> Tensor:
    """Whether 1-NN trained on each subset gets each example right, bool (M, n)."""
    apart = torch.cdist(points, points)
    return torch.stack([labels[apart.masked_fill(~subset, math.inf).argmin(1)] == labels for subset in subsets])


def trained_right(points: Tensor, labels: Tensor, subsets: Tensor, hidden: int = 64, steps: int = 400) -> Tensor:
    """Whether each of M networks, trained on its subset, gives each label, bool (M, n)."""
    models = len(subsets)
    shapes = [(2, hidden), (1, hidden), (hidden, hidden), (1, hidden), (hidden, 1)]
    weights = [noise(models, *shape, seed=place).float() / shape[0] ** 0.5 for place, shape in enumerate(shapes)]
    optimiser = torch.optim.Adam([weight.requires_grad_() for weight in weights], 0.02)

    def answers() -> Tensor:
        first = (points.expand(models, -1, -1) @ weights[0] + weights[1]).relu()
        return ((first @ weights[2] + weights[3]).relu() @ weights[4]).squeeze(-1)  # (M, n)

    for _ in range(steps):
        loss = torch.nn.functional.soft_margin_loss(answers(), 2.0 * labels.expand(models, -1) - 1, reduction="none")
        optimiser.zero_grad()
        ((loss * subsets).sum() / len(points)).backward()
        optimiser.step()
    return (answers() > 0) == (labels == 1)


# Memorisation


def test_constant_classifier_memorises_nothing() -> None:
    labels = torch.randint(0, 2, (50,), generator=generator())
    found = memorisation((labels == 0).expand(20, 50), training_subsets(20, 50))
    assert found.score.eq(0).all() and torch.equal(found.right_with == 1, labels == 0)


@pytest.mark.parametrize("classes", [2, 4])
def test_nearest_neighbour_memorises_random_labels(classes: int) -> None:
    labels = torch.randint(0, classes, (800,), generator=generator())
    subsets = training_subsets(40, 800)
    found = memorisation(nearest_neighbour(noise(800, 5), labels, subsets), subsets)
    assert found.score.mean().item() == pytest.approx(1 - 1 / classes, abs=0.05)
    assert found.right_with.eq(1).all()


def test_exact_duplicates_are_not_memorised() -> None:
    points = noise(10, 3).repeat(8, 1)
    labels = torch.arange(10).repeat(8)
    subsets = training_subsets(40, 80)
    assert memorisation(nearest_neighbour(points, labels, subsets), subsets).score.eq(0).all()


def test_trained_networks_memorise_wrong_labels_and_little_else() -> None:
    """64 small networks at once on two clouds of points, a tenth of them with the other cloud's label."""
    labels, wrong = torch.arange(60) % 2, torch.arange(60) % 10 == 3
    points = 0.7 * noise(60, 2).float() + torch.where(labels.unsqueeze(-1) == 1, 1.5, -1.5)
    subsets = training_subsets(64, 60)
    right = trained_right(points, torch.where(wrong, 1 - labels, labels), subsets)
    found = memorisation(right, subsets)
    assert found.score[wrong].mean() > 0.8 and found.score[~wrong].mean() < 0.2
    assert seen_unseen_auc(-found.score[wrong], -found.score[~wrong]).auc > 0.97


def test_standard_error_at_64_models() -> None:
    subsets = training_subsets(64, 2000)
    found = memorisation(torch.ones(64, 2000), subsets)
    assert found.standard_error.mean().item() == pytest.approx(0.136, abs=0.003)
    assert torch.equal(found.models_with + found.models_without, torch.full((2000,), 64))


def test_an_example_in_every_subset_has_no_score() -> None:
    trained = torch.tensor([[True, False, True], [True, False, False]])
    found = memorisation(torch.tensor([[1.0, 0, 1], [1, 0, 0.25]]), trained)
    assert found.score.tolist() == pytest.approx([math.nan, math.nan, 0.75], nan_ok=True)
    assert found.standard_error.isnan().tolist() == [True, True, False]
    assert found.standard_error[2].item() == pytest.approx(math.sqrt(0.5))


def test_subsets_have_the_share_asked_for() -> None:
    before = torch.get_rng_state()
    subsets = training_subsets(30, 10, 0.7)
    assert subsets.sum(1).eq(7).all() and len(subsets.unique(dim=0)) > 20
    assert torch.equal(subsets, training_subsets(30, 10, 0.7)) and torch.equal(torch.get_rng_state(), before)
    assert training_subsets(2, 3, 0.01).sum(1).eq(1).all() and training_subsets(2, 3, 0.99).sum(1).eq(2).all()


@pytest.mark.parametrize(
    ("correct", "trained", "text"),
    [
        (torch.ones(2, 3), torch.ones(2, 3), r"expected trained_with as bool of shape \(2, 3\), .* got torch.float32"),
        (torch.ones(2, 3), torch.ones(3, 2) > 0, r"got torch.bool of shape \(3, 2\)\. Draw it with training_subsets"),
        (
            2 * torch.ones(2, 3),
            torch.ones(2, 3) > 0,
            r"correct is 2 at \(0, 0\); expected 0 to 1\. Give right or wrong",
        ),
        (torch.ones(3), torch.ones(3) > 0, r"expected correct as a real tensor with the axes \(M, n\)"),
    ],
)
def test_memorisation_refuses(correct: Tensor, trained: Tensor, text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        memorisation(correct, trained)


def test_subsets_refuse() -> None:
    with pytest.raises(MeasureError, match="models=1; expected a whole number, 2 or more"):
        training_subsets(1, 5)
    with pytest.raises(MeasureError, match="share=1; expected a number between 0 and 1"):
        training_subsets(2, 5, 1)


# Seen against unseen


def test_lookup_table_tells_all_and_no_memory_none() -> None:
    assert seen_unseen_auc(torch.zeros(50), torch.rand(40) + 0.1).auc == 1
    found = seen_unseen_auc(torch.full((50,), 0.7), torch.full((40,), 0.7))
    assert found.auc == found.chance == 0.5 and (found.seen, found.unseen) == (50, 40)


def test_auc_by_hand_with_a_tie() -> None:
    found = seen_unseen_auc(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 3.0, 0.0]))
    assert found.auc == pytest.approx((1 + 0 + 1 + 0.5 + 0 + 0) / 6)


def test_spread_of_a_model_without_memory() -> None:
    aucs = torch.tensor([seen_unseen_auc(noise(30, seed=2 * i), noise(20, seed=2 * i + 1)).auc for i in range(500)])
    assert seen_unseen_auc(noise(30), noise(20)).chance_spread == pytest.approx(math.sqrt(51 / 7200))
    assert aucs.std().item() == pytest.approx(math.sqrt(51 / 7200), rel=0.1)
    assert aucs.mean().item() == pytest.approx(0.5, abs=0.015)


def test_auc_refuses() -> None:
    with pytest.raises(MeasureError, match=r"expected seen_losses as a real tensor with the axes \(n,\)"):
        seen_unseen_auc(torch.zeros(2, 2), torch.zeros(2))
    with pytest.raises(MeasureError, match=r"unseen_losses holds nan at \(1,\); expected finite numbers"):
        seen_unseen_auc(torch.zeros(2), torch.tensor([0.0, math.nan]))


# Exposure


def test_canaries_that_were_never_seen_have_1_44_bits() -> None:
    losses = noise(400, 1000)
    found = [exposure(row[:1], row[1:]) for row in losses]
    bits = torch.cat([each.bits for each in found])
    assert found[0].candidates == 1000 and found[0].chance == pytest.approx(1.436, abs=5e-4)
    assert bits.mean().item() == pytest.approx(found[0].chance, abs=4 * found[0].chance_spread / 20)
    assert bits.std().item() == pytest.approx(found[0].chance_spread, rel=0.15)


def test_many_candidates_have_a_chance_of_1_over_ln_2() -> None:
    assert exposure(torch.zeros(1), torch.rand(200_000)).chance == pytest.approx(1 / math.log(2), abs=1e-4)


def test_exposure_by_hand() -> None:
    found = exposure(torch.tensor([0.0, 2.5, 9.0, 2.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert found.rank.tolist() == [1, 3, 4, 2.5] and found.most_bits == 2
    assert found.bits.tolist() == pytest.approx([2, 2 - math.log2(3), 0, 2 - math.log2(2.5)])
    assert found.chance == pytest.approx(2 - math.log2(24) / 4)


def test_equal_losses_are_just_below_1_bit() -> None:
    assert exposure(torch.ones(1), torch.ones(99)).bits.item() == pytest.approx(math.log2(200 / 101))


def test_exposure_refuses() -> None:
    with pytest.raises(MeasureError, match=r"expected other_losses as a real tensor with the axes \(R - 1,\)"):
        exposure(torch.zeros(2), torch.zeros(2, 2))
