"""Usage, sharpness, interference and coherence of slots, by hand and against the Welch bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import (
    coherence,
    erased_mass,
    read_sharpness,
    slot_usage,
    welch_bound,
    write_overlap,
)
from memviz_widgets.errors import MeasureError

from .memory_runs import noise, simplex, unit_rows

# Usage and sharpness


def test_uniform_addressing_uses_all_slots_alike() -> None:
    found = slot_usage(torch.full((6, 2, 1, 8), 1 / 8))
    assert (found.used, found.share, found.slots, found.weightings) == (8, 1.0, 8, 12)
    assert found.kl == pytest.approx(0, abs=1e-12) and found.mass.tolist() == pytest.approx([1.5] * 8)


def test_one_slot_has_a_divergence_of_ln_n() -> None:
    found = slot_usage(torch.eye(8)[:1].expand(5, 8))
    assert found.kl == pytest.approx(math.log(8)) and found.used == 1 and found.share == 0.125


def test_usage_by_hand() -> None:
    found = slot_usage(torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.5]]))
    assert found.used == 3 and found.kl == pytest.approx(math.log(4) - 1.5 * math.log(2))
    assert slot_usage(torch.tensor([[0.9, 0.1]]), least=0.2).used == 1


def test_nothing_addressed_has_no_divergence() -> None:
    found = slot_usage(torch.zeros(3, 4))
    assert found.used == 0 and math.isnan(found.kl)


def test_sharpness_of_one_hot_uniform_and_in_between() -> None:
    weights = torch.tensor([[1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0], [0.1, 0.1, 0, 0], [0.0] * 4])
    assert read_sharpness(weights).tolist() == pytest.approx([1, 0, 0.5, 0.5, math.nan], nan_ok=True)


def test_one_slot_is_no_choice() -> None:
    assert read_sharpness(torch.ones(3, 1)).isnan().all()


# Interference


def test_empty_memory_loses_nothing_and_a_full_overwrite_all() -> None:
    memory = torch.stack([torch.zeros(4, 3), torch.ones(4, 3)])
    assert erased_mass(memory, torch.ones(2, 4), torch.ones(2, 3)).tolist() == [0, 1]


def test_erased_mass_by_hand() -> None:
    memory = torch.tensor([[3.0, 0.0], [0.0, 4.0]])  # |M|^2 = 25
    weights, erase = torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.5])
    assert erased_mass(memory, weights, erase).item() == pytest.approx((1.5**2 + 2**2) / 25)
    assert erased_mass(1e200 * memory.double(), weights, erase).item() == pytest.approx(0.25)


def test_a_memory_that_is_not_addressed_keeps_all() -> None:
    assert erased_mass(noise(5, 2, 4, 3), torch.zeros(5, 2, 4), torch.ones(5, 2, 3)).eq(0).all()


def test_overlap_with_slots_in_use() -> None:
    weights = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    assert write_overlap(weights, torch.tensor([[1.0, 0.0]]).expand(3, 2)).tolist() == [0, 0.5, 1]


# Coherence


def test_orthogonal_slots_are_not_coherent_and_a_copy_is() -> None:
    assert coherence(3 * torch.eye(4)).coherence == 0
    assert coherence(torch.tensor([[1.0, 2.0], [-2.0, -4.0], [1.0, 0.0]])).coherence.item() == pytest.approx(1)


@pytest.mark.parametrize("slots", [3, 5, 9])
def test_simplex_meets_the_welch_bound(slots: int) -> None:
    found = coherence(simplex(slots))
    assert found.coherence.item() == pytest.approx(1 / (slots - 1)) and found.bound.item() == pytest.approx(
        1 / (slots - 1)
    )
    assert welch_bound(slots, slots - 1) == pytest.approx(1 / (slots - 1))


def test_no_memory_is_below_the_welch_bound() -> None:
    found = coherence(torch.stack([unit_rows(32, 8, seed) for seed in range(5)]))
    assert found.bound.tolist() == pytest.approx([welch_bound(32, 8)] * 5) and welch_bound(32, 8) == pytest.approx(
        0.311086, abs=1e-5
    )
    assert (found.coherence > found.bound).all()
    assert welch_bound(4, 8) == 0


def test_empty_slots_have_no_direction() -> None:
    memory = torch.zeros(2, 5, 3)
    memory[0, :2] = torch.tensor([[1.0, 0, 0], [1.0, 1.0, 0]])
    memory[1, 0] = 1.0
    found = coherence(memory)
    assert found.coherence.tolist() == pytest.approx([math.sqrt(0.5), math.nan], nan_ok=True)
    assert found.occupied.tolist() == [2, 1] and found.bound.tolist() == [0, 0]


# Bad input


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (
            torch.tensor([[0.5, -0.1]]),
            r"weights is -0\.1 at \(0, 1\); expected 0 to 1\. Give addressing weights, after",
        ),
        (torch.tensor([[0.5, 3.0]]), r"weights is 3 at \(0, 1\); expected 0 to 1"),
        (
            torch.tensor(0.5),
            r"expected weights as a real tensor with the axes \(\.\.\., S\), .* got torch.float32 of shape \(\)",
        ),
        (torch.zeros(2, 0), r"none of them empty; got torch.float32 of shape \(2, 0\)"),
        (torch.ones(2, 2, dtype=torch.complex64), "got torch.complex64"),
    ],
)
def test_refuses_what_are_no_weights(weights: Tensor, text: str) -> None:
    for measure in (slot_usage, read_sharpness):
        with pytest.raises(MeasureError, match=text):
            measure(weights)


def test_refuses_axes_that_do_not_fit() -> None:
    with pytest.raises(
        MeasureError, match=r"write_weights is torch.float64 of shape \(3, 4\); expected shape \(2, 4\)"
    ):
        erased_mass(torch.ones(2, 4, 3), torch.ones(3, 4), torch.ones(2, 3))
    with pytest.raises(MeasureError, match=r"erase is torch.float64 of shape \(2, 4\); expected shape \(2, 3\)"):
        erased_mass(torch.ones(2, 4, 3), torch.ones(2, 4), torch.ones(2, 4))
    with pytest.raises(
        MeasureError, match=r"usage is .* of shape \(4,\); expected shape \(2, 4\), to fit the argument"
    ):
        write_overlap(torch.ones(2, 4), torch.ones(4))
    with pytest.raises(MeasureError, match="slots=1; expected a whole number, 2 or more"):
        welch_bound(1, 4)
