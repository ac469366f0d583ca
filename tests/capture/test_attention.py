"""QueryKey: weights of attention, computed when they are read."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from memviz_widgets.capture.attention import QueryKey
from memviz_widgets.capture.attention_sdpa import sdpa_weights
from memviz_widgets.capture.lazy import LazyValue

ALL = slice(None)


def small(mask: Tensor | None = None, *, is_causal: bool = False, queries: int = 1) -> QueryKey:
    """Scores 0, log 2 and log 5 for the three keys of every query: weights 1/8, 2/8, 5/8."""
    query = torch.ones(1, 1, queries, 1)
    key = torch.tensor([1.0, 2.0, 5.0]).log().view(1, 1, 3, 1)
    return QueryKey(query, key, mask, is_causal, scale=1.0)


def random(heads: int = 4, key_heads: int = 4, **options: Any) -> QueryKey:
    torch.manual_seed(0)
    query, key = torch.randn(2, heads, 5, 8), torch.randn(2, key_heads, 7, 8)
    return QueryKey(query, key, **{"mask": None, "is_causal": False, "scale": 0.5, **options})


def test_weights_are_the_softmax_of_the_scores() -> None:
    assert torch.allclose(small().load(), torch.tensor([0.125, 0.25, 0.625]))


def test_the_scale_multiplies_the_scores() -> None:
    value = QueryKey(torch.ones(1, 1, 1, 1), torch.tensor([0.0, math.log(3)]).view(1, 1, 2, 1), None, False, scale=2.0)
    assert torch.allclose(value.load(), torch.tensor([0.1, 0.9]))


def test_it_is_a_lazy_value_of_the_shape_of_the_weights() -> None:
    value = random()
    assert isinstance(value, LazyValue)
    assert value.shape == tuple(value.load().shape) == (2, 4, 5, 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_single_and_double_in_double(dtype: torch.dtype) -> None:
    value = QueryKey(torch.ones(1, 1, 2, 4, dtype=dtype), torch.ones(1, 1, 3, 4, dtype=dtype), None, False, 1.0)
    expected = torch.float64 if dtype is torch.float64 else torch.float32
    assert value.dtype == value.load().dtype == expected


@pytest.mark.parametrize(
    "index",
    [
        (0, 1, 2, 3),
        (1, ALL, slice(1, 3), ALL),
        (ALL, 3, -1, slice(2, 5)),
        (slice(1, 2), slice(1, 3), slice(0, 0), ALL),
        (ALL, ALL, ALL, -1),
    ],
)
def test_a_part_is_that_part_of_all(index: tuple[int | slice, ...]) -> None:
    mask = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(1)) > 0.4
    value = random(heads=4, key_heads=2, mask=mask, is_causal=True)
    assert torch.equal(value.read(index), value.load()[index])


def test_only_what_is_read_is_computed() -> None:
    query = torch.zeros(1, 1, 1, 1).expand(64, 64, 100_000, 8)  # all weights would take 160 TB
    value = QueryKey(query, query, None, is_causal=False, scale=1.0)
    assert torch.allclose(value.read((3, 2, slice(7, 9), ALL)), torch.tensor(1e-5))


def test_causal_counts_from_the_top_left() -> None:
    weights = small(is_causal=True, queries=2).load()[0, 0]
    assert torch.allclose(weights, torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 2 / 3, 0.0]]))


def test_a_mask_of_truth_values_leaves_keys_out() -> None:
    assert torch.allclose(small(torch.tensor([True, False, True])).load(), torch.tensor([1 / 6, 0.0, 5 / 6]))


def test_a_mask_of_numbers_is_added_to_the_scores() -> None:
    mask = torch.tensor([math.log(5), 0.0, -math.inf])
    assert torch.allclose(small(mask).load(), torch.tensor([5 / 7, 2 / 7, 0.0]))


@pytest.mark.parametrize("mask", [torch.tensor([False] * 3), torch.full((3,), -math.inf)])
def test_a_query_that_may_attend_to_nothing_has_weights_0(mask: Tensor) -> None:
    assert small(mask).load().tolist() == [[[[0.0, 0.0, 0.0]]]]


def test_without_keys_there_are_no_weights() -> None:
    value = QueryKey(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 0, 4), None, is_causal=True, scale=1.0)
    assert value.load().shape == value.shape == (1, 1, 2, 0)


def test_neighbouring_heads_share_a_key() -> None:
    value = random(heads=4, key_heads=2)
    repeated = value.with_tensors({"query": value.query, "key": value.key.repeat_interleave(2, 1)})
    assert torch.allclose(value.load(), repeated.load())
    assert torch.allclose(value.read((0, 3, ALL, ALL)), repeated.load()[0, 3])


def test_a_batch_of_1_stands_for_all() -> None:
    query, key = torch.randn(1, 1, 2, 4), torch.randn(3, 2, 5, 4)
    value = QueryKey(query, key, None, is_causal=False, scale=1.0)
    assert value.shape == (3, 2, 2, 5)
    assert torch.allclose(value.read((2, 1, ALL, ALL)), (query[0, 0] @ key[2, 1].mT).softmax(-1))


def test_tensors_can_be_taken_out_and_put_back() -> None:
    value = random(mask=torch.ones(7, dtype=torch.bool), note="before dropout")
    template = value.with_tensors({})
    assert sum(tensor.numel() for tensor in template.tensors().values()) == 0
    again = template.with_tensors(value.tensors())
    assert torch.equal(again.load(), value.load()) and again.note == "before dropout"


def test_weights_of_inference_tensors_are_plain() -> None:
    with torch.inference_mode():
        assert not random().load().is_inference()


def test_weights_have_no_grad() -> None:
    value = random()
    value.query.requires_grad_()
    assert not value.load().requires_grad


def test_autocast_does_not_reach_the_weights() -> None:
    value = random()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(value.load(), random().load())


def test_a_score_mod_and_a_mask_mod_know_their_positions() -> None:
    def score_mod(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score + batch * head - 0.1 * (query - key).abs()

    def mask_mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query + 1 >= key

    value = random(score_mod=score_mod, mask_mod=mask_mod)
    batch, head, query, key = torch.meshgrid(*(torch.arange(size) for size in value.shape), indexing="ij")
    scores = 0.5 * value.query @ value.key.mT + batch * head - 0.1 * (query - key).abs()
    expected = scores.masked_fill(query + 1 < key, -math.inf).softmax(-1)
    assert torch.allclose(value.load(), expected, atol=1e-6)
    assert torch.allclose(value.read((1, 2, slice(3, 5), ALL)), expected[1, 2, 3:5], atol=1e-6)


def test_an_index_of_another_length_is_refused() -> None:
    with pytest.raises(IndexError, match="the index has 3 entries; attention weights have 4 axes"):
        small().read((0, 0, 0))


def test_a_head_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="out of range"):
        small().read((0, 1, ALL, ALL))


NUMBERS = torch.Generator().manual_seed(3)
RULES: dict[str, Any] = {
    "all": {},
    "causal": {"is_causal": True},
    "bool": {"attn_mask": torch.rand(5, 7, generator=NUMBERS) > 0.3},
    "padding": {"attn_mask": torch.tensor([[True] * 7, [True] * 4 + [False] * 3]).view(2, 1, 1, 7)},
    "per head": {"attn_mask": torch.randn(4, 5, 7, generator=NUMBERS)},
    "per head and item": {"attn_mask": torch.randn(2, 4, 5, 7, generator=NUMBERS)},
    "a query without keys": {"attn_mask": torch.arange(5)[:, None] > torch.zeros(7)},
    "scale": {"scale": 0.3},
    "grouped heads": {"enable_gqa": True},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", RULES)
def test_weights_times_values_are_what_torch_returns(rule: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    options = dict(RULES[rule])
    if "attn_mask" in options and options["attn_mask"].dtype is torch.float32:
        options["attn_mask"] = options["attn_mask"].to(dtype)
    heads = 2 if rule == "grouped heads" else 4
    query, key, value = (torch.randn(2, n, size, 8, dtype=dtype) for n, size in ((4, 5), (heads, 7), (heads, 7)))
    expected = scaled_dot_product_attention(query, key, value, **options)
    weights = sdpa_weights((query, key, value), options).load()
    tolerance = {torch.float16: 3e-3, torch.bfloat16: 3e-2}.get(dtype, 2e-6)
    values = value.double().repeat_interleave(4 // heads, 1)
    assert torch.allclose(weights.double() @ values, expected.double(), atol=tolerance)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 3, 4), (2, 2, 3, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_other_ranks_become_batch_and_heads(lead: tuple[int, ...], masked: bool) -> None:
    query, key, value = torch.randn(*lead, 5, 8), torch.randn(*lead, 7, 8), torch.randn(*lead, 7, 8)
    mask = torch.randn(*lead, 5, 7) if masked else None
    weights = sdpa_weights((query, key, value, mask), {})
    assert weights.shape[:2] == {0: (1, 1), 1: (3, 1), 2: (2, 3), 3: (6, 4), 4: (12, 4)}[len(lead)]
    expected = scaled_dot_product_attention(query, key, value, mask)
    assert torch.allclose(weights.load().view(*lead, 5, 7) @ value, expected, atol=1e-6)
