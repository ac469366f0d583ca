"""Cells that show the mean of their elements: of every picture, in details, and as numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.frames import PageSource
from memviz_widgets.frames.detail import Part
from memviz_widgets.frames.pool import pool

from .attention_cache import attention_cache, shown, step_of
from .fake_cache import FakeCache
from .memory_world import VECTOR, lstm, memory_cache


def means_by_hand(values: torch.Tensor, rows: int, cols: int) -> np.ndarray:
    """The mean of each window of (H, W), the last ones smaller."""
    height, width = values.shape
    return np.array(
        [
            [values[top : top + rows, left : left + cols].double().mean().item() for left in range(0, width, cols)]
            for top in range(0, height, rows)
        ]
    )


def test_windows_at_the_far_edges_are_means_of_what_they_have() -> None:
    values = torch.randn(1, 7, 11, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(pool(values, 3, 4, "mean")[0].numpy(), means_by_hand(values[0], 3, 4), atol=1e-6)
    assert pool(values, 9, 20, "mean").item() == pytest.approx(values.mean().item())


def test_what_is_no_number_stays_visible() -> None:
    values = torch.tensor([[[1.0, torch.nan, torch.inf, 2.0, torch.inf, -torch.inf]]])
    assert pool(values, 1, 2, "mean")[0, 0].isnan().tolist() == [True, False, True]
    assert pool(values, 1, 2, "mean")[0, 0, 1] == torch.inf


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.bfloat16, torch.complex64])
def test_means_of_other_dtypes_are_of_their_numbers(dtype: torch.dtype) -> None:
    values = torch.tensor([[[3, 0, 1, 1]]]).to(dtype)
    expected = [0.5, 1.0] if dtype == torch.bool else [1.5, 1.0]
    assert pool(values, 1, 2, "mean")[0, 0].tolist() == expected


def test_frames_details_and_numbers_are_means_until_told_otherwise() -> None:
    values = torch.randn(2, 2048, 1500, generator=torch.Generator().manual_seed(0))
    source = PageSource(FakeCache((values, ("channel", "height", "width"))))
    loud = shown(source.page(0, "frame", 0))[0]
    source.pooled_by = "mean"
    page = source.page(0, "frame", 1)
    np.testing.assert_allclose(shown(page)[0], means_by_hand(values[1], 2, 2), atol=step_of(page))
    value = source.value(0, 1, 3, 5)
    assert value.number == pytest.approx(values[1, 6:8, 10:12].mean().item(), abs=1e-6)
    assert value.index == (1, -1, -1)
    part = source.detail(0, "frame", 1, Part(1, 2, slice(0, 4), slice(0, 3)))
    np.testing.assert_allclose(shown(part)[0], means_by_hand(values[1, :4, :6], 1, 2), atol=step_of(part))
    assert source.value(0, 1, 3, 5, pools=(1, 1)).index == (1, 3, 5)
    source.pooled_by = "largest"
    assert np.array_equal(shown(source.page(0, "frame", 0))[0], loud)


@pytest.mark.parametrize("kind", ["frame", "row", "log", "mean", "max", "difference", "rollout"])
def test_maps_of_attention_are_means_of_their_cells(kind: str) -> None:
    weights = torch.rand(1, 2, 1100, 1100, generator=torch.Generator().manual_seed(0)).softmax(-1)
    source = PageSource(attention_cache(weights))
    source.pooled_by = "mean"
    frame = 1 if kind == "difference" else 0
    page = source.page(0, kind, frame)
    element = {
        "row": weights[0, 0] / weights[0, 0].amax(-1, keepdim=True),
        "mean": weights[0].mean(0),
        "max": weights[0].amax(0),
        "difference": weights[0, 0] - weights[0, 1],
        "rollout": 0.5 * weights[0].mean(0) + 0.5 * torch.eye(1100),
    }.get(kind, weights[0, 0])
    expected = pool(element.unsqueeze(0), 2, 2, "mean")[0].numpy()
    drawn = np.log10(expected) if kind == "log" else expected  # the mean of weights, not of their logarithms
    np.testing.assert_allclose(shown(page)[0], drawn, atol=step_of(page) * 1.1)
    value = source.value(0, frame, 7, 9, kind)
    told = weights[0, 0, 14:16, 18:20].mean().item() if kind in ("row", "log") else float(expected[7, 9])
    assert value.number == pytest.approx(told, rel=1e-4) and value.index[-2:] == (-1, -1)


@pytest.mark.parametrize("kind", ["time", "timescale"])
def test_units_over_time_are_means_of_their_cells(kind: str) -> None:
    parts = lstm(batch=1, steps=2100, units=3)
    source = PageSource(memory_cache(parts))
    source.pooled_by = "mean"
    cell = parts["cell"][0]
    assert isinstance(cell, torch.Tensor)
    rows = cell[0].T
    if kind == "timescale":
        rows = rows[source.page(0, "units", 0).cells[1, 0].astype(int)]
    page = source.page(0, kind, 0)
    np.testing.assert_allclose(shown(page)[0], means_by_hand(rows, 1, 3), atol=step_of(page))
    value = source.value(0, 0, 1, 20, kind)
    assert value.number == pytest.approx(rows[1, 60:63].mean().item()) and -1 in value.index


def test_series_stay_what_they_are() -> None:
    values = torch.randn(1, 9000, 2, generator=torch.Generator().manual_seed(0))
    source = PageSource(FakeCache((values, VECTOR)))
    before = source.page(0, "series", 0).cells
    source.pooled_by = "mean"
    assert np.array_equal(source.page(0, "series", 0).cells, before)
