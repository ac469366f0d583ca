"""Sizes of states, counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memviz_widgets.analysis.recall import state_size
from memviz_widgets.errors import MeasureError


def test_state_size_of_an_lstm_and_of_a_cache() -> None:
    _, state = nn.LSTM(3, 16, num_layers=2, batch_first=True)(torch.zeros(4, 5, 3))
    assert (state_size(state, 4).elements, state_size(state, 4).held_bytes) == (2 * 2 * 16, 2 * 2 * 16 * 4)
    cache = {"layers": [(torch.zeros(1, 2, 7, 8).half(), torch.zeros(1, 2, 7, 8).half()), None]}
    assert (state_size(cache).elements, state_size(cache).held_bytes) == (224, 448)


def test_state_size_refuses_what_it_cannot_count() -> None:
    with pytest.raises(MeasureError, match=r"the state holds a str; expected tensors in tuples, lists and dicts"):
        state_size([torch.zeros(2), "h"])
    with pytest.raises(MeasureError, match=r"tensors of \(2, 3\), not all a multiple of sequences=4"):
        state_size(torch.zeros(2, 3), 4)
