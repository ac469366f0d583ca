"""Numbers, pieces and thinning of tensors."""

from __future__ import annotations

import pytest
import torch

from memviz_widgets.analysis.numbers import pieces, real_numbers, thinned


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint16, torch.int64, torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_are_float64(dtype: torch.dtype) -> None:
    numbers = real_numbers(torch.tensor([0.0, 1.0]).to(dtype))
    assert (numbers.dtype, numbers.tolist()) == (torch.float64, [0.0, 1.0])


def test_conjugated_view_has_the_same_magnitude() -> None:
    assert real_numbers(torch.tensor([3 + 4j]).conj()).tolist() == [5.0]


def test_pieces_cover_everything_once() -> None:
    values = torch.arange(7 * 5 * 3).reshape(7, 5, 3)
    seen = torch.cat([piece.reshape(-1) for piece in pieces(values, 8)])
    assert seen.sort().values.tolist() == list(range(105))


def test_pieces_are_views_of_bounded_size() -> None:
    values = torch.zeros(100, 30)
    assert all(piece.numel() <= 64 and piece._base is values for piece in pieces(values, 64))


def test_thinned_keeps_the_given_dim() -> None:
    values = torch.zeros(10, 6, 100)
    assert thinned(values, 1000, kept_dim=1).shape == (10, 6, 15)
    assert thinned(values, 1000, kept_dim=-1).shape == (1, 6, 100)


def test_thinned_stops_when_only_the_kept_dim_is_left() -> None:
    assert thinned(torch.zeros(5, 50), 10, kept_dim=1).shape == (1, 50)


def test_small_tensor_is_not_thinned() -> None:
    values = torch.zeros(3, 3)
    assert thinned(values, 9, kept_dim=0) is values
