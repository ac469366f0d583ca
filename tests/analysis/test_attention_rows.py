"""Rows of attention weights: in blocks, each with sum 1, and refused if they are none."""

from __future__ import annotations

import math

import pytest
import torch

from memviz_widgets.analysis import attention, attention_rows
from memviz_widgets.errors import WeightsError


def test_rows_come_in_blocks_and_sum_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_rows, "PIECE_CELLS", 4)  # two queries of two keys at once
    weights = torch.tensor([[0.5, 0.4995], [0.0, 0.0], [0.25, 0.75]])
    blocks = list(attention_rows.checked_rows(weights))
    assert [first for first, _, _ in blocks] == [0, 2]
    assert [live.tolist() for _, _, live in blocks] == [[True, False], [True]]
    assert blocks[0][1].sum(-1).tolist() == pytest.approx([1.0, 0.0], abs=1e-15)
    assert blocks[1][1].tolist() == [[0.25, 0.75]] and blocks[1][1].dtype is torch.float64


def test_row_that_a_dtype_rounds_is_accepted() -> None:
    off = torch.tensor([[0.5, 0.494]])
    with pytest.raises(WeightsError, match=r"row 0 sums to 0\.994"):
        attention.entropy(off)
    assert attention.entropy(off.bfloat16()) <= math.log(2)


def test_complex_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"attention weights are real .* got torch.complex64 of shape \(1, 1\)"):
        attention.entropy(torch.ones(1, 1, dtype=torch.complex64))
