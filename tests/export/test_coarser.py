"""Coarser pictures show the loudest cell of each window, with the code that it had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memviz_widgets.export.coarser import coarser, coarser_entry, factors
from memviz_widgets.frames.page import Page
from memviz_widgets.frames.pool import pool
from memviz_widgets.frames.quantise import Quantised, dequantise, quantise

torch = pytest.importorskip("torch")


def page_of(values: Any) -> Page:
    coded = quantise(torch.as_tensor(values))
    return Page(0, "frame", 0, coded.codes, coded.lo, coded.hi)


def test_equals_pooling_of_the_values() -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 32, 48)
    made = coarser(page_of(values), (2, 4), zero_coded=False)
    shown = dequantise(Quantised(made.cells, made.lows, made.highs))
    expected = pool(values, 2, 4).double().numpy()
    step = (made.highs - made.lows)[:, None, None] / 504
    # Two cells of nearly the same magnitude may change places: their magnitudes differ by less than a step, then.
    assert np.all(np.abs(np.abs(shown) - np.abs(expected)) <= 2 * step)
    assert np.mean(np.abs(shown - expected) <= step) > 0.99


def test_the_last_windows_are_shorter() -> None:
    values = np.zeros((1, 33, 34))
    values[0, 32, 33] = 5.0
    made = coarser(page_of(values), (2, 4), zero_coded=False)
    assert made.cells.shape == (1, 17, 9)
    assert made.cells[0, 16, 8] == 252 and made.cells.sum() == 252


@pytest.mark.parametrize(
    ("window", "zero_coded", "code"),
    [
        ([0, 252, 253, 255], False, 255),  # NaN wins
        ([0, 252, 253, 7], False, 253),  # then Inf
        ([252, 254, 0, 7], False, 254),
        ([3, 2, 253, 1], True, 3),  # 253 = exactly 0 is the quietest of all
        ([253, 253, 253, 253], True, 253),
    ],
)
def test_codes_of_no_number(window: list[int], zero_coded: bool, code: int) -> None:
    cells = np.array(window, np.uint8).reshape(1, 2, 2)
    page = Page(0, "frame", 0, cells, np.array([0.0]), np.array([1.0]))
    assert coarser(page, (2, 2), zero_coded=zero_coded).cells.tolist() == [[[code]]]


def test_sign_counts_not() -> None:
    cells = np.array([[[0, 200], [130, 126]]], np.uint8)  # -1, 0.587 ...: -1 is the loudest
    page = Page(0, "frame", 0, cells, np.array([-1.0]), np.array([1.0]))
    assert coarser(page, (2, 2), zero_coded=False).cells.tolist() == [[[0]]]


def test_a_frame_without_a_finite_value_stays_one() -> None:
    page = Page(0, "frame", 0, np.full((1, 2, 2), 255, np.uint8), np.array([np.nan]), np.array([np.nan]))
    made = coarser(page, (2, 2), zero_coded=False)
    assert made.cells.tolist() == [[[255]]] and np.isnan(made.lows[0])


@pytest.mark.parametrize(
    ("rows", "cols", "by"), [(224, 224, (8, 8)), (224, 20, (8, 1)), (1, 64, (1, 4)), (40, 31, (2, 1))]
)
def test_sixteen_cells_stay(rows: int, cols: int, by: tuple[int, int]) -> None:
    assert factors(entry(rows, cols), 8) == by


def test_the_geometry_that_goes_with_it() -> None:
    picture = entry(100, 50, pool=3)
    made = coarser_entry(picture, 2)
    assert (made["rows"], made["cols"], made["pool_rows"], made["pool_cols"]) == (50, 25, 6, 6)
    assert made["full_rows"] == picture["full_rows"] and picture["rows"] == 100


def entry(rows: int, cols: int, pool: int = 1) -> Any:
    full = {"full_rows": rows * pool, "full_cols": cols * pool}
    return {"rows": rows, "cols": cols, "pool_rows": pool, "pool_cols": pool, **full}
