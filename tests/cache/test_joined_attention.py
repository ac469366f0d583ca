"""Attention of a text that is written step by step, as one map over all steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.capture import LazyValue
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.pages import PageSource
from memviz_widgets.records import TensorRecord


class Attend(nn.Module):
    """Attends to keys that it is given."""

    def forward(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        out: Tensor = nn.functional.scaled_dot_product_attention(query, key, key, mask)
        return out


def stepped(spans: list[tuple[slice, slice]], causal_first: bool = True) -> tuple[mv.ActivationCache, Tensor, Tensor]:
    """A recording with a step per span of queries and keys."""
    states = torch.randn(2, 3, 12, 4, generator=torch.Generator().manual_seed(3))
    with mv.record(model := Attend()) as cache:
        for number, (queries, keys) in enumerate(spans):
            mask = None
            if causal_first and not number:
                mask = torch.ones(queries.stop, keys.stop, dtype=torch.bool).tril()
            model(states[:, :, queries], states[:, :, keys], mask)
    scores = states @ states.transpose(-1, -2) / 2
    return cache, states, scores


def joined(cache: mv.ActivationCache) -> list[TensorRecord]:
    return [record for record in cache.records if record.kind == "attention" and record.parts]


def test_growing_keys_are_one_causal_map() -> None:
    spans = [(slice(0, 4), slice(0, 4)), *((slice(t, t + 1), slice(0, t + 1)) for t in range(4, 9))]
    cache, _, scores = stepped(spans)
    (record,) = joined(cache)
    assert (record.item, record.shape) == ("all steps", (2, 3, 9, 9))
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    expected = scores[..., :9, :9].masked_fill(~mask, -torch.inf).softmax(-1)
    torch.testing.assert_close(cache.get("", "attention", item="all steps"), expected)
    assert cache.get("", "attention", step=3).shape == (2, 3, 1, 7)  # the steps themselves are there, too


def test_a_sliding_window_forgets_the_first_keys() -> None:
    spans = [(slice(0, 4), slice(0, 4)), (slice(4, 5), slice(1, 5)), (slice(5, 6), slice(2, 6))]
    cache, _, scores = stepped(spans)
    whole = cache.get("", "attention", item="all steps")
    assert whole.shape == (2, 3, 6, 6)
    assert not whole[..., 5, :2].any()
    torch.testing.assert_close(whole[..., 5, 2:], scores[..., 5, 2:6].softmax(-1))


def test_a_decoder_asks_the_same_keys_in_every_step() -> None:
    cache, _, scores = stepped([(slice(t, t + 1), slice(0, 7)) for t in range(4)], causal_first=False)
    torch.testing.assert_close(cache.get("", "attention", item="all steps"), scores[..., :4, :7].softmax(-1))


@pytest.mark.parametrize(
    "index",
    [
        (0, 1, slice(None), slice(None)),
        (slice(None), slice(0, 2), 5, slice(2, 4)),
        (1, slice(None), slice(3, 6), 0),
        (0, 0, 8, 8),
        (0, slice(None), slice(2, 2), slice(None)),
    ],
)
def test_parts_are_read_like_those_of_a_tensor(index: Any) -> None:
    spans = [(slice(0, 4), slice(0, 4)), *((slice(t, t + 1), slice(0, t + 1)) for t in range(4, 9))]
    cache, _, _ = stepped(spans)
    value = cache.value(joined(cache)[0])
    assert isinstance(value, LazyValue)
    torch.testing.assert_close(value.read(index), value.load()[index], rtol=0, atol=1e-6)
    cache.close()


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([(slice(0, 4), slice(0, 4)), (slice(0, 4), slice(0, 4))], id="two texts"),
        pytest.param([(slice(0, 4), slice(0, 6)), (slice(0, 4), slice(0, 7))], id="other keys"),
        pytest.param([(slice(0, 4), slice(0, 4))], id="one step"),
        pytest.param([(slice(0, 2), slice(0, 9)), (slice(2, 4), slice(0, 9))], id="batches of a training loop"),
    ],
)
def test_what_does_not_go_on_is_not_joined(spans: list[tuple[slice, slice]]) -> None:
    assert joined(stepped(spans, causal_first=False)[0]) == []


def test_a_generation_is_the_attention_of_the_whole_text() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = {"vocab_size": 50, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**size, bos_token_id=0, eos_token_id=49)).eval()
    ids = torch.randint(1, 48, (1, 5))
    texts = [f"w{position}" for position in range(13)]
    with mv.record(model, tokens=texts) as cache:
        written = model.generate(ids, max_new_tokens=8, min_new_tokens=8, do_sample=False, pad_token_id=0)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        eager = model(written[:, :-1], output_attentions=True).attentions
    for layer, weights in enumerate(eager):
        path = f"transformer.h.{layer}.attn"
        torch.testing.assert_close(cache.get(path, "attention", item="all steps"), weights, rtol=0, atol=1e-5)
    catalog = build_catalog(cache)
    memory = catalog["memories"][0]
    attended = catalog["layers"][memory["attention"]]
    assert attended["item"] == "all steps"  # who wrote what a cache holds is the map over all steps
    assert {index for calls in attended["records"] for index in calls} == {joined(cache)[0].index}
    entry = catalog["records"][joined(cache)[0].index]["attention"]
    assert entry is not None
    assert entry["query_tokens"] == entry["key_tokens"] == {"sequence": 0, "offset": 0}
    assert entry["rollout"] is not None
    page = PageSource(cache).page(joined(cache)[0].index, "frame", 0)
    assert page.shape == (2, 12, 12)
