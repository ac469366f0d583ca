"""Entropy, distance and likeness of heads, against closed forms (uniform, one-hot) and numbers worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memviz_widgets.analysis import attention
from memviz_widgets.errors import WeightsError

from .attention_maps import one_hot, random_weights, uniform_causal


def test_uniform_causal_attention_has_its_closed_forms() -> None:
    weights, t = uniform_causal(50), torch.arange(50.0, dtype=torch.float64)
    torch.testing.assert_close(attention.entropy(weights), (t + 1).log(), atol=1e-12, rtol=0)
    torch.testing.assert_close(attention.effective_keys(weights), t + 1)
    torch.testing.assert_close(attention.mean_distance(weights), t / 2)
    assert attention.normalised_entropy(weights, causal=True).tolist() == pytest.approx([0.0] + [1.0] * 49)


def test_identity_attention_reads_one_key_at_no_distance() -> None:
    weights = torch.eye(4)
    assert attention.entropy(weights).tolist() == [0, 0, 0, 0]
    assert attention.effective_keys(weights).tolist() == [1, 1, 1, 1]
    assert attention.mean_distance(weights).tolist() == [0, 0, 0, 0]


def test_entropy_of_a_single_key_is_no_negative_zero() -> None:
    assert math.copysign(1, attention.entropy(torch.ones(1, 1)).item()) == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**16), st.sampled_from([torch.float32, torch.float64]))
def test_entropy_equals_the_entropy_of_torch(queries: int, keys: int, seed: int, dtype: torch.dtype) -> None:
    weights = random_weights(2, queries, keys, seed=seed).to(dtype)
    expected = torch.distributions.Categorical(probs=weights.double()).entropy()
    torch.testing.assert_close(attention.entropy(weights).double(), expected, atol=1e-6, rtol=0)


def test_normalised_entropy_counts_the_keys_that_are_open() -> None:
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])  # K - Q = 1: open keys 2 and 3
    assert attention.normalised_entropy(weights, causal=True).tolist() == pytest.approx([0, math.log(2) / math.log(3)])
    assert attention.normalised_entropy(weights).tolist() == pytest.approx([0, math.log(2) / math.log(3)])
    assert attention.normalised_entropy(torch.ones(3, 1)).tolist() == [0, 0, 0]


def test_causal_entropy_of_attention_in_both_directions() -> None:
    with pytest.raises(WeightsError, match="causal=True, but a query attends to a key after its own position"):
        attention.normalised_entropy(torch.full((2, 2), 0.5), causal=True)


def test_distance_counts_from_the_query() -> None:
    weights = one_hot(0, 2, of=4)  # the queries stand at 2 and 3
    assert attention.mean_distance(weights).tolist() == [2, 1]
    assert attention.mean_distance(weights, query_offset=0).tolist() == [0, 1]


def test_similarity_worked_by_hand() -> None:
    weights = torch.stack([one_hot(0, 0), one_hot(1, 1), torch.full((2, 2), 0.5)])
    # JS of (1, 0) and (.5, .5) in bits is H(.75, .25) - H(.5, .5) / 2 = (2 - .75 log2 3) - .5 = 0.31.
    half = 1 - (1.5 - 0.75 * math.log2(3))
    expected = [[1, 0, half], [0, 1, half], [half, half, 1]]
    torch.testing.assert_close(attention.head_similarity(weights), torch.tensor(expected))


def test_similarity_is_symmetric_with_ones_on_the_diagonal() -> None:
    similarity = attention.head_similarity(random_weights(2, 5, 7, 9))
    assert torch.equal(similarity, similarity.mT)
    assert similarity.shape == (2, 5, 5) and bool((similarity.diagonal(dim1=-2, dim2=-1) == 1).all())
    assert 0 < similarity.min() < similarity.max() == 1


def test_similarity_leaves_out_queries_that_attend_to_nothing_in_one_of_both() -> None:
    weights = torch.stack([one_hot(0, 0), one_hot(0, 1), torch.zeros(2, 2)])
    weights[1, 1] = 0
    expected = torch.tensor([[1, 1, math.nan], [1, 1, math.nan], [math.nan, math.nan, math.nan]])
    torch.testing.assert_close(attention.head_similarity(weights), expected, equal_nan=True)


def test_similarity_needs_heads() -> None:
    with pytest.raises(WeightsError, match=r"expected weights \(\.\.\., head, query, key\); got shape \(2, 2\)"):
        attention.head_similarity(torch.eye(2))


@pytest.mark.parametrize("causal", [False, True])
def test_a_choice_of_queries_has_the_numbers_of_all_when_it_says_where_they_stand(causal: bool) -> None:
    weights, at = random_weights(2, 9, 9, causal=causal), torch.tensor([0, 3, 8])
    assert torch.equal(
        attention.normalised_entropy(weights[:, at], causal, at), attention.normalised_entropy(weights, causal)[:, at]
    )
    assert torch.equal(attention.mean_distance(weights[:, at], at=at), attention.mean_distance(weights)[:, at])


@pytest.mark.parametrize("at", [torch.tensor([0, 1]), torch.tensor([0.0, 1.0, 2.0])], ids=str)
def test_positions_are_one_integer_per_query(at: torch.Tensor) -> None:
    with pytest.raises(WeightsError, match=r"expected at as integers \(3,\), the position of each query; got torch"):
        attention.mean_distance(random_weights(1, 3, 5), at=at)
