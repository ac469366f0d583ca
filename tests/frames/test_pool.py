"""Pooling: what is loud stays visible, and memory stays bounded."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memviz_widgets.analysis.numbers import PIECE_CELLS
from memviz_widgets.frames import pool as pool_module
from memviz_widgets.frames.pool import loudest, pool, window


@pytest.mark.parametrize(("full", "expected"), [(1, 1), (1024, 1), (1025, 2), (2048, 2), (20_000, 20), (100_000, 98)])
def test_window_is_the_smallest_that_fits(full: int, expected: int) -> None:
    assert window(full) == expected


def test_largest_magnitude_keeps_its_sign() -> None:
    values = torch.tensor([[[1.0, -3.0, 2.0, 0.5], [0.0, 2.0, -1.0, 1.5]]])
    assert pool(values, 2, 2).tolist() == [[[-3.0, 2.0]]]


def test_last_window_may_be_short() -> None:
    values = torch.tensor([[[1.0, 2.0, -7.0], [3.0, 4.0, 5.0], [-9.0, 8.0, 6.0]]])
    assert pool(values, 2, 2).tolist() == [[[4.0, -7.0], [-9.0, 6.0]]]


def test_of_equal_magnitudes_it_is_the_positive_one() -> None:
    assert pool(torch.tensor([[[-2.0, 2.0]]]), 1, 2).tolist() == [[[2.0]]]


def test_nan_wins_over_infinity() -> None:
    assert pool(torch.tensor([[[math.inf, math.nan, -math.inf]]]), 1, 3).isnan().all()


def test_infinity_wins_over_numbers() -> None:
    assert pool(torch.tensor([[[1e38, -math.inf, 3.0]]]), 1, 3).tolist() == [[[-math.inf]]]


def test_complex_values_are_compared_by_magnitude() -> None:
    assert pool(torch.tensor([[[3 + 4j, -4.5 + 0j]]]), 1, 2).tolist() == [[[5.0]]]


def test_smallest_int8_has_a_magnitude() -> None:
    assert pool(torch.tensor([[[-128, 127]]], dtype=torch.int8), 1, 2).tolist() == [[[-128.0]]]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.float8_e5m2, torch.float32),
        (torch.float32, torch.float32),
        (torch.uint16, torch.float32),
        (torch.bool, torch.float32),
        (torch.int32, torch.float64),
        (torch.float64, torch.float64),
        (torch.complex64, torch.float64),
    ],
)
def test_result_holds_every_value_of_the_dtype(dtype: torch.dtype, expected: torch.dtype) -> None:
    values = torch.ones(1, 2, 2).to(dtype)
    assert pool(values, 2, 2).dtype == expected and pool(values, 1, 1).dtype == expected


def pooled_by_hand(values: Tensor, pool_rows: int, pool_cols: int) -> list[list[list[float]]]:
    """The rule, window by window."""
    pooled = []
    for picture in values.tolist():
        rows = []
        for top in range(0, len(picture), pool_rows):
            band = picture[top : top + pool_rows]
            starts = range(0, len(picture[0]), pool_cols)
            cells = [[value for line in band for value in line[left : left + pool_cols]] for left in starts]
            rows.append([max(cell, key=lambda value: (abs(value), value)) for cell in cells])
        pooled.append(rows)
    return pooled


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 3),
    rows=st.integers(1, 9),
    cols=st.integers(1, 9),
    pool_rows=st.integers(1, 5),
    pool_cols=st.integers(1, 5),
    piece=st.sampled_from([1, 7, 20, 2**18]),
)
def test_any_size_equals_the_rule(n: int, rows: int, cols: int, pool_rows: int, pool_cols: int, piece: int) -> None:
    values = torch.randint(-9, 10, (n, rows, cols), generator=torch.Generator().manual_seed(rows)).float()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "PIECE_CELLS", piece)
        assert pool(values, pool_rows, pool_cols).tolist() == pooled_by_hand(values, pool_rows, pool_cols)


def test_no_float_copy_of_a_large_picture_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    exact = pool_module._exact

    def watched(values: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, values.numel())
        return exact(values)

    monkeypatch.setattr(pool_module, "_exact", watched)
    element = torch.ones(1, dtype=torch.float16)  # 2 bytes that look like 800 MB and 200 MB
    assert pool(element.expand(1, 20_000, 20_000), 20, 20).shape == (1, 1000, 1000)
    assert pool(element.expand(1, 1, 10**8), 1, 97_657).shape == (1, 1, 1024)
    assert largest <= PIECE_CELLS


def test_loudest_is_where_the_pooled_value_is() -> None:
    assert loudest(torch.tensor([[1.0, -3.0], [3.0, 2.0]])) == 2
    assert loudest(torch.tensor([[1.0, -3.0], [-3.0, 2.0]])) == 1
    assert loudest(torch.tensor([[math.inf, math.nan], [math.nan, 2.0]])) == 1
    assert loudest(torch.tensor([[True, False]])) == 0
