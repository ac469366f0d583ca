"""Distances: closed forms, invariances, what is no number, and values that are read piece by piece."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import distance as distances
from memviz_widgets.analysis.distance import cosine_distance, distance, linear_cka, relative_l2


@dataclass
class Pieces:
    """A lazy value that remembers the largest part it was asked for."""

    tensor: Tensor
    most: int = 0
    read_indices: list[object] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    def read(self, index: tuple[int | slice, ...]) -> Tensor:
        part = self.tensor[index]
        self.most = max(self.most, part.numel())
        return part

    def load(self) -> Tensor:
        raise AssertionError("a lazy value must not be read whole")


def test_relative_l2_of_a_scaled_tensor_is_the_scale_less_one() -> None:
    a = torch.randn(4, 5, dtype=torch.float64)
    assert relative_l2(a, 1.25 * a) == pytest.approx(0.25, rel=1e-14)


def test_relative_l2_by_hand() -> None:
    assert relative_l2(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 1.0])) == pytest.approx(3 / 5)


def test_distance_of_equal_tensors_is_exactly_zero() -> None:
    a = torch.randn(7, 9)
    assert distance(a, a.clone()) == distances.Distance(0.0, 0.0, 0.0, 7)


def test_relative_l2_from_zero_is_infinite_and_of_two_zeros_zero() -> None:
    zero = torch.zeros(3)
    assert relative_l2(zero, torch.ones(3)) == math.inf
    assert relative_l2(zero, zero) == 0.0


@pytest.mark.parametrize(
    ("b", "expected"), [([2.0, 0.0], 0.0), ([0.0, 3.0], 1.0), ([-1.0, 0.0], 2.0), ([1.0, 1.0], 1 - math.sqrt(0.5))]
)
def test_cosine_distance_by_hand(b: list[float], expected: float) -> None:
    assert cosine_distance(torch.tensor([1.0, 0.0]), torch.tensor(b)) == pytest.approx(expected, abs=1e-7)


def test_cosine_distance_keeps_the_digits_of_a_small_angle() -> None:
    angle = 1e-6
    a, b = (torch.tensor([math.cos(at), math.sin(at)], dtype=torch.float64) for at in (0.0, angle))
    assert cosine_distance(a, b) == pytest.approx(angle**2 / 2, rel=1e-6)  # 1 - cos by subtraction has 4 digits left


def test_cosine_distance_with_a_side_of_zeros_does_not_apply() -> None:
    assert math.isnan(cosine_distance(torch.zeros(3), torch.ones(3)))


def test_distances_do_not_leave_the_range_of_float64() -> None:
    a, b = torch.tensor([1e200, 0.0], dtype=torch.float64), torch.tensor([1e200, 1e200], dtype=torch.float64)
    assert relative_l2(a, b) == pytest.approx(1.0)
    assert cosine_distance(a, b) == pytest.approx(1 - math.sqrt(0.5))
    assert relative_l2(a * 1e-400, b) == math.inf
    assert relative_l2(a * 1e-150 * 1e-230, b * 1e-150 * 1e-230) == pytest.approx(1.0)


def test_cka_does_not_see_a_rotation_a_scale_and_a_shift() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 6, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    assert linear_cka(x, 3.0 * x @ rotation + 7.0) == pytest.approx(1.0, abs=1e-12)


def test_cka_of_columns_that_are_not_correlated_is_zero() -> None:
    x = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert linear_cka(x, y) == pytest.approx(0.0, abs=1e-15)


def test_cka_of_two_orthogonal_features_and_one_of_them() -> None:
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert linear_cka(x, x[:, :1]) == pytest.approx(1 / math.sqrt(2))  # |Y'X|^2 = 16, |X'X| = 4 sqrt 2, |Y'Y| = 4


@pytest.mark.parametrize("features", [3, 40])
def test_cka_is_the_same_by_features_and_by_examples(features: int) -> None:
    torch.manual_seed(1)
    x, y = torch.randn(20, features, dtype=torch.float64), torch.randn(20, features, dtype=torch.float64)
    x, y = x - x.mean(0), y - y.mean(0)
    kernels = x @ x.T, y @ y.T
    expected = float((kernels[0] * kernels[1]).sum() / (kernels[0].norm() * kernels[1].norm()))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-12)


def test_cka_needs_two_examples_that_differ() -> None:
    assert math.isnan(linear_cka(torch.randn(1, 3), torch.randn(1, 3)))
    assert math.isnan(linear_cka(torch.ones(5, 3), torch.randn(5, 3)))


def test_cka_leaves_out_examples_that_are_not_finite() -> None:
    x = torch.randn(9, 3)
    broken = x.clone()
    broken[4, 1] = math.nan
    assert linear_cka(x, broken) == pytest.approx(1.0)


def test_value_that_is_finite_on_one_side_only_is_infinitely_far() -> None:
    a = torch.tensor([1.0, 2.0, 3.0])
    found = distance(a, torch.tensor([1.0, math.nan, 3.0]))
    assert (found.relative_l2, found.unlike, found.skipped) == (math.inf, 1, 0)


def test_infinity_of_another_sign_is_infinitely_far() -> None:
    assert distance(torch.tensor([math.inf, 1.0]), torch.tensor([-math.inf, 1.0])).unlike == 1


def test_positions_that_are_not_finite_on_both_sides_are_left_out() -> None:
    a, b = torch.tensor([3.0, math.nan, math.inf, 4.0]), torch.tensor([3.0, math.nan, math.inf, 1.0])
    found = distance(a, b)
    assert found.relative_l2 == pytest.approx(0.6)
    assert (found.unlike, found.skipped) == (0, 2)


def test_distance_of_nothing_does_not_apply() -> None:
    found = distance(torch.empty(0, 3), torch.empty(0, 3))
    assert math.isnan(found.relative_l2) and math.isnan(found.cosine) and math.isnan(found.cka)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float8_e4m3fn])
def test_distance_takes_any_dtype(dtype: torch.dtype) -> None:
    a, b = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    assert distance(a.to(dtype), b.to(dtype)).relative_l2 == pytest.approx(1 / math.sqrt(3))


def test_distance_of_complex_values_is_that_of_both_parts() -> None:
    a, b = torch.tensor([3.0 + 4.0j, 0.0]), torch.tensor([3.0 + 4.0j, 5.0j])
    assert relative_l2(a, b) == pytest.approx(1.0)
    assert distance(a.conj(), a).cosine == pytest.approx(1 - (9 - 16) / 25)


def test_single_number_has_a_distance() -> None:
    assert distance(torch.tensor(2.0), torch.tensor(3.0)).relative_l2 == pytest.approx(0.5)


def test_lazy_values_are_read_in_blocks_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK_CELLS", 64)
    torch.manual_seed(2)
    a, b = torch.randn(3, 5, 7, 11), torch.randn(3, 5, 7, 11)
    whole = distance(a, b, features=1)
    one, other = Pieces(a), Pieces(b)
    found = distance(one, other, features=1)
    assert found == whole
    assert relative_l2(a, b) == pytest.approx(found.relative_l2, rel=1e-12)


def test_block_is_never_larger_than_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK_CELLS", 10)
    monkeypatch.setattr(distances, "CKA_CELLS", 10)
    value = Pieces(torch.randn(2, 6, 9))
    distance(value, value)
    assert value.most <= 10


def test_cka_looks_at_a_sample_of_many_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "CKA_ROWS", 8)
    torch.manual_seed(3)
    a = torch.randn(1000, 2)
    assert distance(a, a + 1.0).rows == 8
