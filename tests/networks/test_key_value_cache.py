"""KeyValueCache: step by step as at once, what eviction closes, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import memviz_widgets as mv
from memviz_widgets import zoo
from memviz_widgets.zoo import recipes
from memviz_widgets.zoo.backcopy import FOLLOWERS, TRIGGERS


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def sequences(count: int = 2) -> torch.Tensor:
    return recipes.ASSOCIATIVE.batch(count, torch.Generator().manual_seed(0)).inputs


def test_step_by_step_gives_what_the_whole_sequence_gives() -> None:
    model, symbols = zoo.load("recall_transformer"), sequences()
    cache = zoo.KeyValueCache()
    stepwise = torch.cat([model(step[:, None], cache) for step in symbols.unbind(1)], 1)
    assert torch.allclose(stepwise, model(symbols), atol=1e-4)
    assert cache.get_seq_length() == cache.held() == symbols.shape[1]


def test_a_window_and_sinks_say_which_entries_are_read() -> None:
    readable = zoo.KeyValueCache(window=2, sinks=1).readable(3, 5)  # the last three of five steps
    assert readable.int().tolist() == [[1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [1, 0, 0, 1, 1]]
    assert zoo.KeyValueCache().readable(2, 3).int().tolist() == [[1, 1, 0], [1, 1, 1]]


def test_a_closed_entry_is_read_as_little_as_one_that_is_gone() -> None:
    model: Any = zoo.load("backcopy_transformer")
    symbols = zoo.backcopy_text(3, 12, torch.Generator().manual_seed(0))
    closed, dropped = zoo.KeyValueCache(window=4, sinks=1), zoo.KeyValueCache()
    model(symbols[:, :-1], closed)
    model(symbols[:, :-1], dropped)
    kept = [0, 8, 9, 10]  # with the entry of the last step these are what a cache of 1 + 4 entries holds
    layer = dropped.layers[0]
    layer.keys, layer.values = layer.keys[:, :, kept], layer.values[:, :, kept]
    moved = model.positions.weight.clone()
    model.positions.weight[4] = moved[11]  # the step after four entries is still step 11
    assert torch.allclose(model(symbols[:, -1:], closed), model(symbols[:, -1:], dropped), atol=1e-5)
    assert closed.held() == 5


def test_every_entry_of_the_cache_is_recorded_once_with_its_attention() -> None:
    model, symbols, cache = zoo.load("recall_transformer"), sequences(), zoo.KeyValueCache()
    with mv.record(model) as recorded:
        for step in symbols.unbind(1):
            model(step[:, None], cache)
    for layer in range(2):
        keys = recorded.get(f"blocks.{layer}.attention", "key", step=0)
        assert torch.equal(keys, cache.layers[layer].keys)
    whole = mv.ActivationCache.capture(model, symbols).attention("blocks.1.attention")
    joined = recorded.get("blocks.1.attention", "attention", item="all steps")
    assert torch.allclose(joined, whole, atol=1e-5)


def test_texts_with_triggers_follow_their_rule() -> None:
    text = zoo.backcopy_text(50, 40, torch.Generator().manual_seed(1))
    last, before, here = text[:, 2:-1], text[:, 1:-2], text[:, 3:]
    assert torch.equal(here[last < TRIGGERS], before[last < TRIGGERS])
    assert (zoo.backcopy.follower_chances() > 0).sum(1).tolist() == [len(FOLLOWERS)] * zoo.backcopy.SYMBOLS


def test_evicting_the_start_mark_costs_what_keeping_it_gives_back() -> None:
    model = zoo.load("backcopy_transformer")
    copied, loss = zoo.backcopy_scores(model)
    assert copied > 0.99
    assert loss < 1.15  # the entropy of the followers is 1.11
    assert zoo.backcopy_scores(model, zoo.KeyValueCache(window=4))[1] > loss + recipes.SINK_LEAST
    assert zoo.backcopy_scores(model, zoo.KeyValueCache(window=4, sinks=1))[1] < loss + 0.01
