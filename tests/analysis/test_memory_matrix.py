"""Crosstalk of matrix memories: Hebbian with random and orthonormal keys, and the delta rule."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import matrix_crosstalk
from memviz_widgets.errors import MeasureError

from .memory_runs import noise, unit_rows

DRAWS, WIDTH = 30, 64


def pairs(number: int) -> tuple[Tensor, Tensor]:
    """Random unit keys and values, (draws, n, 64)."""
    keys = unit_rows(DRAWS * number, WIDTH).reshape(DRAWS, number, WIDTH)
    return keys, unit_rows(DRAWS * number, WIDTH, seed=1).reshape(DRAWS, number, WIDTH)


def delta_rule(keys: Tensor, values: Tensor) -> Tensor:
    """``S <- S + (v - S k) k^T``, pair by pair."""
    memory = torch.zeros(len(keys), values.shape[-1], keys.shape[-1], dtype=torch.float64)
    for key, value in zip(keys.unbind(1), values.unbind(1), strict=True):
        wrong = value - (memory @ key.unsqueeze(-1)).squeeze(-1)
        memory = memory + wrong.unsqueeze(-1) * key.unsqueeze(-2)
    return memory


@pytest.mark.parametrize(("number", "expected"), [(32, 0.484375), (64, 0.984375)])
def test_hebbian_sum_of_random_keys(number: int, expected: float) -> None:
    keys, values = pairs(number)
    found = matrix_crosstalk(values.mT @ keys, keys, values)
    assert found.random_keys == expected and found.pairs == number
    assert found.mean.mean().item() == pytest.approx(expected, rel=0.03)


def test_orthonormal_keys_do_not_disturb_each_other() -> None:
    keys, values = torch.linalg.qr(noise(8, 8))[0][:5], noise(5, 3, seed=1)
    assert matrix_crosstalk(values.mT @ keys, keys, values).error.max() < 1e-28


def test_delta_rule_has_the_last_write_exactly_and_less_error() -> None:
    keys, values = pairs(32)
    found = matrix_crosstalk(delta_rule(keys, values), keys, values)
    assert found.error[:, -1].max() < 1e-28
    assert found.mean.mean().item() == pytest.approx(0.304, abs=0.03)  # METRICS.md; the Hebbian sum has 0.484


def test_empty_memory_is_an_error_of_1_and_a_value_of_zeros_has_none() -> None:
    values = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    found = matrix_crosstalk(torch.zeros(2, 4), torch.ones(2, 4), values)
    assert found.error.tolist() == pytest.approx([1, float("nan")], nan_ok=True) and found.mean == 1


def test_by_hand() -> None:
    memory = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = matrix_crosstalk(memory, torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 2.0]]))
    assert found.error.tolist() == pytest.approx([0.2])  # reads (1, 1), wrong by (0, 1), of |v|^2 = 5


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (((3, 4), (2, 5), (2, 3)), "the axis D has 4 in memory and 5 in keys"),
        (((3, 4), (2, 4), (2, 4)), "the axis V has 3 in memory and 4 in values"),
        (((3, 4), (2, 4), (1, 3)), "the axis n has 2 in keys and 1 in values; expected the same number"),
    ],
)
def test_refuses_axes_that_do_not_fit(shapes: tuple[tuple[int, ...], ...], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        matrix_crosstalk(*(torch.ones(shape) for shape in shapes))
