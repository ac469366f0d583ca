"""Measures per channel, against numbers worked by hand and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from memviz_widgets.analysis import channel_measures
from memviz_widgets.analysis import channels as channels_module
from memviz_widgets.analysis.numbers import pieces


def test_measures_worked_by_hand() -> None:
    values = torch.tensor([[1.0, 0.0], [-3.0, 4.0]])  # (B, C): channel 0 = 1, -3; channel 1 = 0, 4
    assert channel_measures(values, 1).tolist() == [[2.0, 2.0], [4.0, 4.0], [0.0, 0.5]]


def test_non_finite_values_are_left_out() -> None:
    values = torch.tensor([[1.0, 3.0, math.nan, math.inf, -math.inf, 0.0, 0.0, 0.0]])  # mean of 1 3 0 0 0 = 0.8
    magnitude, variance, zeros = channel_measures(values, 0)[:, 0].tolist()
    assert (magnitude, variance) == (pytest.approx(0.8), pytest.approx(2.0 - 0.64))
    assert zeros == 3 / 8, "of all elements"


def test_channel_without_a_number_is_nan() -> None:
    measures = channel_measures(torch.tensor([[math.nan, math.inf], [1.0, 1.0]]), 0)
    assert measures[:, 0].isnan().tolist() == [True, True, False]
    assert measures[:, 1].tolist() == [1.0, 0.0, 0.0]


def test_vector_has_one_element_per_channel() -> None:
    assert channel_measures(torch.tensor([2.0, -1.0, 0.0]), 0).tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_complex_values_are_magnitudes() -> None:
    assert channel_measures(torch.tensor([[3 + 4j, 0j]]), 0).tolist() == [[2.5], [6.25], [0.5]]


def test_variance_far_from_zero_is_not_lost() -> None:
    values = torch.tensor([[1e8, 1e8 + 1, 1e8 + 2]], dtype=torch.float64)
    assert channel_measures(values, 0)[1].item() == pytest.approx(2 / 3)


def test_sum_beyond_float64_is_inf() -> None:
    measures = channel_measures(torch.tensor([[1.7e308, 1.7e308, -1.7e308]], dtype=torch.float64), 0)
    assert measures[:2, 0].tolist() == [math.inf, math.inf]


def test_no_channels_and_empty_channels() -> None:
    assert channel_measures(torch.zeros(3, 0), 1).shape == (3, 0)
    assert channel_measures(torch.zeros(0, 2), 1).isnan().all()


@pytest.mark.parametrize("piece", [1, 5, 30, 2**18])
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_pieces_of_any_size_equal_numpy(monkeypatch: pytest.MonkeyPatch, dim: int, piece: int) -> None:
    monkeypatch.setattr(channels_module, "PIECE_CELLS", piece)
    monkeypatch.setattr(pieces, "__defaults__", (piece,))
    values = torch.randn(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).relu()
    values[0, 1, 2] = math.nan
    rows = np.moveaxis(values.numpy(), dim, 0).reshape(values.shape[dim], -1)
    expected = [np.nanmean(np.abs(rows), 1), np.nanvar(rows, 1), (rows == 0).mean(1)]
    np.testing.assert_allclose(channel_measures(values, dim).numpy(), expected, rtol=1e-6)
