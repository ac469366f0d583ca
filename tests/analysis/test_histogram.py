"""Histograms, against numbers worked by hand and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memviz_widgets.analysis import histogram
from memviz_widgets.analysis.histogram import SAMPLE_CELLS, _in_memory_order


def test_counts_worked_by_hand() -> None:
    counts, lo, hi, sampled = histogram(torch.tensor([0.0, 0.9, 1.0, 2.5, 4.0]), bins=4)
    assert counts.tolist() == [2, 1, 1, 1] and (lo, hi, sampled) == (0.0, 4.0, False)


def test_both_edges_are_counted() -> None:
    assert histogram(torch.tensor([-1.0, 1.0]), bins=2).counts.tolist() == [1, 1]


def test_constant_data_are_in_one_bin() -> None:
    counts, lo, hi, _ = histogram(torch.full((3, 4), 0.5))
    assert (counts[0], counts.sum(), lo, hi) == (12, 12, 0.5, 0.5)


def test_non_finite_values_are_left_out() -> None:
    counts, lo, hi, _ = histogram(torch.tensor([math.nan, 1.0, math.inf, 2.0, -math.inf]), bins=2)
    assert counts.tolist() == [1, 1] and (lo, hi) == (1.0, 2.0)


def test_nothing_finite_has_no_range() -> None:
    counts, lo, hi, _ = histogram(torch.tensor([math.nan, math.inf]))
    assert counts.sum() == 0 and math.isnan(lo) and math.isnan(hi)


def test_nothing_at_all_has_no_range() -> None:
    counts, lo, _, sampled = histogram(torch.zeros(0, 3))
    assert counts.sum() == 0 and math.isnan(lo) and not sampled


def test_range_beyond_float64() -> None:
    counts, lo, hi, _ = histogram(torch.tensor([-1.7e308, 0.0, 1.7e308], dtype=torch.float64), bins=3)
    assert counts.tolist() == [1, 1, 1] and (lo, hi) == (-1.7e308, 1.7e308)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (torch.tensor([True, False, True]), [1, 2]),
        (torch.tensor([3 + 4j, 0j]), [1, 1]),
        (torch.tensor([1, 2, 4], dtype=torch.int64), [2, 1]),
        (torch.tensor([1.0, 2.0, 4.0]).bfloat16(), [2, 1]),
    ],
)
def test_any_dtype(values: torch.Tensor, counts: list[int]) -> None:
    assert histogram(values, bins=2).counts.tolist() == counts


@pytest.mark.parametrize("seed", range(5))
def test_counts_equal_numpy(seed: int) -> None:
    values = torch.randn(7, 300, 11, generator=torch.Generator().manual_seed(seed))
    expected, edges = np.histogram(values.double().numpy(), bins=64)
    counts, lo, hi, _ = histogram(values.permute(2, 0, 1))
    assert counts.tolist() == expected.tolist() and (lo, hi) == (edges[0], edges[-1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(), max_size=40), st.integers(1, 70))
def test_counts_sum_to_the_number_of_finite_values(numbers: list[float], bins: int) -> None:
    counts = histogram(torch.tensor(numbers, dtype=torch.float64), bins).counts
    assert counts.shape == (bins,) and counts.sum() == sum(map(math.isfinite, numbers))


def test_large_tensor_is_sampled_evenly() -> None:
    values = torch.arange(8.0).repeat(SAMPLE_CELLS // 4).reshape(-1, 8)  # a step of 2 would see even columns only
    counts, lo, hi, sampled = histogram(values, bins=8)
    assert sampled and (lo, hi) == (0.0, 7.0)
    assert counts.sum() <= SAMPLE_CELLS and counts.max() - counts.min() <= 1


def test_dense_tensor_in_any_order_of_dims_is_not_copied() -> None:
    values = torch.zeros(3, 4, 5).permute(2, 0, 1)
    flat = _in_memory_order(values)
    assert flat.data_ptr() == values.data_ptr() and flat.shape == (60,)
