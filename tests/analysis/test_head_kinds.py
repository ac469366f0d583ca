"""Names of heads: of clear ones, of none, and what the sentence says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import attention
from memviz_widgets.errors import WeightsError

from .attention_maps import one_hot, random_weights, uniform_causal


def kinds(weights: Tensor, ids: list[int] | None = None) -> list[str]:
    return [head.kind for head in attention.head_kinds(weights, ids)]


def test_kinds_of_clear_heads() -> None:
    before, tokens = [0, *range(39)], 40
    near = random_weights(tokens, tokens, seed=1).mul(torch.ones(tokens, tokens).tril().triu(-3))
    heads = torch.stack(
        [
            one_hot(*before),
            torch.eye(tokens),
            one_hot(*[0] * tokens),
            near / near.sum(-1, keepdim=True),
            uniform_causal(tokens).float(),
        ]
    )
    assert kinds(heads) == ["previous token", "current token", "sink", "local", "broad"]


def test_induction_is_tried_before_sink() -> None:
    ids = [*range(8), *range(8)]
    weights = one_hot(*[0] * 8, *range(1, 9))  # at rest on the first token until the text repeats
    found = attention.head_kinds(weights.unsqueeze(0), ids)
    assert (found[0].kind, found[0].score) == ("induction", 1.0)
    assert kinds(weights.unsqueeze(0)) == ["sink"]


def test_sentence_says_score_chance_and_number() -> None:
    head = attention.head_kinds(one_hot(0, 0, 1, 2, 3).unsqueeze(0))[0]
    chance = (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4  # 0.32
    assert chance == pytest.approx(0.32, abs=0.005)
    expected = "1.00 of the attention is on the token before; uniform attention has 0.32 there (4 queries)."
    assert head == attention.HeadKind("previous token", 1.0, expected)


def test_no_rule_no_name() -> None:
    head = attention.head_kinds(random_weights(1, 30, 30, causal=True), list(range(30)))[0]
    assert head.kind == "" and math.isnan(head.score)
    assert head.sentence.startswith("No rule fits: previous token 0.") and "induction has no queries" in head.sentence


def test_broad_is_about_queries_with_a_choice() -> None:
    head = attention.head_kinds(uniform_causal(5).unsqueeze(0))[0]
    assert head.kind == "broad" and head.score == pytest.approx(1)
    assert head.sentence == "1.00 of the entropy of uniform attention (4 queries)."


def test_short_text_gives_no_name() -> None:
    assert kinds(one_hot(0, 0, 1).unsqueeze(0)) == [""], "two queries have a token before"
    assert kinds(uniform_causal(4).unsqueeze(0)) == [""], "three have a choice; a sink mass of 0.52 is chance"


def test_kinds_without_common_positions() -> None:
    weights = torch.stack([one_hot(*[0] * 5, of=9), torch.full((5, 9), 1 / 9)])
    assert kinds(weights) == ["sink", "broad"]
    with pytest.raises(WeightsError, match="expected self-attention over all tokens"):
        attention.head_kinds(weights, [1, 2, 3])


def test_kinds_of_a_batch_are_over_all_items() -> None:
    rests, looks = one_hot(*[0] * 4), one_hot(0, 0, 1, 2)
    found = attention.head_kinds(torch.stack([rests, looks, looks]).unsqueeze(1), [1, 2, 3, 4])
    assert [head.kind for head in found] == ["previous token"]
    assert found[0].score == pytest.approx((1 + 3 + 3) / 9)  # the resting head has its second query on the first token


def test_causal_is_seen_or_said() -> None:
    both_ways = torch.full((1, 8, 8), 1 / 8)
    assert kinds(both_ways) == ["broad"]
    with pytest.raises(WeightsError, match="causal=True, but a query attends to a key after its own"):
        attention.head_kinds(both_ways, causal=True)


def test_kinds_need_a_head_axis() -> None:
    with pytest.raises(
        WeightsError, match=r"expected weights \(head, query, key\) or with a batch; got shape \(2, 2\)"
    ):
        attention.head_kinds(torch.eye(2))


def test_a_choice_of_queries_is_named_by_where_they_stand() -> None:
    at = torch.arange(1, 20, 2)
    before = torch.eye(20).roll(1, 0)[at].unsqueeze(0)  # query t looks at t - 1
    assert [kind.kind for kind in attention.head_kinds(before, at=at)] == ["previous token"]
    assert [kind.kind for kind in attention.head_kinds(before)] == [""], "as the last 10 of 20 they look anywhere"


def test_causal_is_told_by_where_queries_stand() -> None:
    weights = torch.eye(6)[2:4].unsqueeze(0)  # queries 2 and 3 look at themselves
    assert attention.is_causal(weights) and attention.is_causal(weights, torch.tensor([2, 3]))
    assert not attention.is_causal(weights, torch.tensor([1, 3]))
    assert not attention.is_causal(torch.full((1, 2, 2), 0.5))


def test_every_name_is_among_the_kinds() -> None:
    assert attention.KINDS == ("previous token", "current token", "induction", "sink", "local", "broad")
