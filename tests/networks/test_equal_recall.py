"""Attention, an LSTM and Mamba on associative recall, with equal state and equal training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import memviz_widgets as mv
from memviz_widgets import zoo
from memviz_widgets.analysis import recall
from memviz_widgets.zoo import recipes


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_all_three_carry_equally_much() -> None:
    symbols = recipes.EQUAL_LOAD.batch(2, torch.Generator().manual_seed(0)).inputs
    cache = zoo.KeyValueCache()
    zoo.load("equal_transformer")(symbols, cache)
    kept = [(layer.keys, layer.values) for layer in cache.layers]
    lstm: Any = zoo.load("equal_lstm")
    _, carried = lstm.lstm(lstm.symbols(symbols))
    mamba: Any = zoo.load("equal_mamba")
    state = mv.ActivationCache.capture(mamba, symbols).get("blocks.0.mixer", "state")[:, -1]
    last_inputs = torch.zeros(2, state.shape[1], mamba.blocks[0].mixer.conv1d.kernel_size[0] - 1)
    sizes = [recall.state_size(each, 2).elements for each in (kept, carried, (state, last_inputs))]
    assert sizes == [recipes.EQUAL_STATE] * 3


@pytest.mark.parametrize(("name", "least", "most"), [("transformer", 0.99, 1), ("lstm", 0.8, 0.9), ("mamba", 0.5, 0.7)])
def test_recall_at_the_largest_load_of_training(name: str, least: float, most: float) -> None:
    reached = recipes.recall_accuracy(zoo.load(f"equal_{name}"), recipes.EQUAL_LOAD)
    assert least <= reached <= most
    assert recipes.recall_accuracy(zoo.load(f"equal_{name}"), recipes.EQUAL_LOAD.with_(pairs=1)) > 0.99


def test_the_states_of_mamba_are_recovered() -> None:
    symbols = recipes.EQUAL_LOAD.batch(2, torch.Generator().manual_seed(0)).inputs
    cache = mv.ActivationCache.capture(zoo.load("equal_mamba"), symbols)
    kinds = {record.kind for record in cache.memories()["blocks.0.mixer"]}
    assert kinds == {"state", "keep", "write", "dt"}
    parts = {kind: cache.get("blocks.0.mixer", kind) for kind in kinds}
    following = parts["keep"][:, 1:] * parts["state"][:, :-1] + parts["write"][:, 1:]
    assert torch.allclose(following, parts["state"][:, 1:], atol=1e-4)
    record = next(each for each in cache.records if each.kind == "state")
    assert record.residual is not None
    assert record.residual < 1e-4
