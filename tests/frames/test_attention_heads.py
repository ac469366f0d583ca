"""Measures of heads as rows of a page: closed forms, the measures of the analysis, a choice of queries."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import attention
from memviz_widgets.capture.attention import QueryKey
from memviz_widgets.frames.attention_heads import HEAD_KINDS, HEAD_MEASURES, head_measures

from .attention_cache import by_hand, harmonic, query_key, uniform_causal


def measured(
    weights: Tensor | QueryKey, sample: int = 0, texts: list[str] | None = None, **options: bool
) -> dict[str, list[float]]:
    """Measure -> its number per head."""
    table, _ = head_measures(weights, sample, texts, **options)
    return dict(zip(HEAD_MEASURES, table[:, 0].tolist(), strict=True))


def test_uniform_causal_attention_has_its_closed_forms() -> None:
    tokens = 100
    found = measured(uniform_causal(tokens)[None, None])
    assert found["entropy"] == [pytest.approx(1)]
    assert found["distance"] == [pytest.approx((tokens - 1) / 4, rel=1e-5)], "mean of t / 2"
    assert found["sink"] == [pytest.approx(harmonic(tokens) / tokens, rel=1e-5)]
    assert found["causal"] == [1.0]
    assert [HEAD_KINDS[int(kind)] for kind in found["kind"]] == ["broad"]


def test_kinds_are_named_with_the_score_that_decided() -> None:
    before = torch.cat([torch.eye(6)[:1], torch.eye(6)[:-1]])  # row t looks at t - 1, the first at itself
    heads = torch.stack([before, torch.eye(6), torch.eye(6)[:1].expand(6, 6)])[None]
    found = measured(heads)
    assert [HEAD_KINDS[int(kind)] for kind in found["kind"]] == ["previous token", "current token", "sink"]
    assert found["score"] == [1.0, 1.0, 1.0]
    assert found["previous"][:2] == [1.0, 0.0] and found["current"][1] == 1.0 and found["sink"][2] == 1.0


def test_no_rule_fits_is_minus_1_without_a_score() -> None:
    found = measured(torch.full((1, 1, 2, 2), 0.5))  # too few queries for a name
    assert found["kind"] == [-1.0] and math.isnan(found["score"][0])


@pytest.mark.parametrize("causal", [False, True])
def test_measures_are_those_of_the_analysis(causal: bool) -> None:
    value = query_key((2, 3, 12, 12), causal=causal)
    weights = by_hand(value)[1]
    texts = list("abcabcabcabc")
    found = measured(value, 1, texts)
    ids = [ord(text) for text in texts]
    assert found["distance"] == pytest.approx(attention.mean_distance(weights).mean(-1).tolist(), abs=1e-5)
    assert found["sink"] == pytest.approx(attention.sink_mass(weights).tolist(), abs=1e-6)
    assert found["previous"] == pytest.approx(attention.previous_token_score(weights).tolist(), abs=1e-6)
    assert found["current"] == pytest.approx(attention.current_token_score(weights).tolist(), abs=1e-6)
    assert found["induction"] == pytest.approx(attention.induction_score(weights, ids).tolist(), abs=1e-6)
    assert found["causal"] == [float(causal)] * 3


def test_induction_needs_the_text_of_every_token() -> None:
    for texts in (None, ["a"] * 5):
        assert all(map(math.isnan, measured(query_key((1, 2, 6, 6)), 0, texts)["induction"]))


def test_between_two_texts_positions_mean_nothing() -> None:
    found = measured(torch.rand(1, 2, 5, 9).softmax(-1))
    assert all(math.isnan(number) for name in ("distance", "previous", "current") for number in found[name])
    assert found["causal"] == [0.0, 0.0] and not any(map(math.isnan, found["sink"] + found["entropy"]))


def test_cross_attention_of_equal_lengths_is_told_by_its_name() -> None:
    found = measured(torch.eye(6)[None, None], cross=True)
    assert math.isnan(found["current"][0]) and found["kind"] == [-1.0] and found["causal"] == [0.0]


def test_queries_over_a_cache_of_keys_stand_at_the_last_keys() -> None:
    found = measured(uniform_causal(8)[None, None, 5:])  # queries 5, 6, 7
    assert found["causal"] == [1.0] and found["distance"] == [pytest.approx((5 + 6 + 7) / 2 / 3)]


def test_query_that_attends_to_nothing_does_not_count() -> None:
    weights = torch.eye(6)[None, None].clone()
    weights[..., 3, :] = 0
    assert measured(weights)["current"] == [1.0]


def test_long_sequence_is_measured_by_some_of_its_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = 400
    heads = torch.stack([uniform_causal(tokens), torch.eye(tokens)])[None]
    monkeypatch.setattr("memviz_widgets.frames.attention_heads.HEADS_CELLS", 2 * tokens * 64)
    table, sampled = head_measures(heads, 0)
    found = dict(zip(HEAD_MEASURES, table[:, 0].tolist(), strict=True))
    assert sampled
    assert found["entropy"] == pytest.approx([1, 0], abs=1e-6)
    assert found["distance"] == [pytest.approx((tokens - 1) / 4, rel=0.02), 0.0]
    assert found["current"][1] == 1.0 and found["causal"] == [1.0, 1.0]
    assert [HEAD_KINDS[int(kind)] for kind in found["kind"]] == ["broad", "current token"]


def test_few_queries_are_spread_over_the_whole_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = 640
    monkeypatch.setattr("memviz_widgets.frames.attention_heads.HEADS_CELLS", tokens * 2)
    table, sampled = head_measures(torch.eye(tokens)[None, None], 0)
    assert sampled and table[HEAD_MEASURES.index("current"), 0].tolist() == [1.0]
