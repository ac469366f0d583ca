"""What keys receive and the scores of chosen keys, against closed forms and numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import attention
from memviz_widgets.errors import WeightsError

from .attention_maps import harmonic, one_hot, uniform_causal

# Received


def test_received_worked_by_hand() -> None:
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    assert attention.received(weights).tolist() == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_uniform_received_is_the_baseline_of_uniform_causal_attention() -> None:
    baseline = attention.uniform_received(20, 20, causal=True)
    assert baseline.tolist() == pytest.approx([(harmonic(20) - harmonic(key)) / 20 for key in range(20)])
    ratio = attention.received(uniform_causal(20)) / baseline
    torch.testing.assert_close(ratio, torch.ones_like(ratio))


def test_uniform_received_over_a_cache_and_over_all() -> None:
    assert attention.uniform_received(1, 4, causal=True).tolist() == [0.25] * 4
    assert attention.uniform_received(2, 3, causal=True).tolist() == pytest.approx([5 / 12, 5 / 12, 2 / 12])
    assert attention.uniform_received(3, 4).tolist() == [0.25] * 4


def test_uniform_received_of_a_mask_leaves_out_queries_that_may_attend_to_nothing() -> None:
    allowed = torch.tensor([[[True, True], [False, False]], [[False, True], [True, True]]])
    assert attention.uniform_received(2, 2, allowed=allowed).tolist() == [[0.5, 0.5], [0.25, 0.75]]
    assert attention.uniform_received(2, 2, allowed=allowed, causal=True).tolist() == [[1, 0], [0.5, 0.5]]


@pytest.mark.parametrize("allowed", [torch.ones(2, 2), torch.ones(2, 3, dtype=torch.bool)])
def test_uniform_received_refuses_another_mask(allowed: Tensor) -> None:
    with pytest.raises(WeightsError, match=r"expected allowed as bool \(\.\.\., 2, 2\), True where .* got torch"):
        attention.uniform_received(2, 2, allowed=allowed)


# Sinks


def test_sink_mass_of_uniform_causal_attention() -> None:
    assert attention.sink_mass(uniform_causal(50)).item() == pytest.approx(harmonic(50) / 50, abs=1e-12)


def test_sink_mass_of_several_keys() -> None:
    weights = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])
    assert attention.sink_mass(weights).item() == 0.25
    assert attention.sink_mass(weights, sinks=2).item() == 0.625


@pytest.mark.parametrize("sinks", [0, 3])
def test_sinks_out_of_range(sinks: int) -> None:
    with pytest.raises(WeightsError, match=f"sinks={sinks}; expected 1 to 2, the number of keys"):
        attention.sink_mass(torch.eye(2), sinks)


# Token scores


def test_identity_attention_is_on_the_token_itself() -> None:
    weights = torch.eye(4)
    assert attention.received(weights).tolist() == [0.25] * 4
    assert attention.current_token_score(weights) == 1 and attention.previous_token_score(weights) == 0


def test_one_hot_previous_token() -> None:
    weights = one_hot(0, 0, 1, 2)
    assert attention.previous_token_score(weights) == 1
    assert attention.current_token_score(weights) == 0.25
    assert attention.mean_distance(weights).tolist() == [0, 1, 1, 1]


def test_previous_token_of_one_token_is_nan() -> None:
    assert attention.previous_token_score(torch.ones(1, 1)).isnan()


@pytest.mark.parametrize("score", [attention.previous_token_score, attention.current_token_score])
def test_token_scores_need_all_tokens(score: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"expected self-attention .* got shape \(2, 3\).* without a cache"):
        score(one_hot(0, 1, of=3))


def test_induction_worked_by_hand() -> None:
    ids = [7, 8, 9, 7, 8, 7]  # 3 -> 1; 4 -> 2; 5 -> 1 and 4
    weights = torch.eye(6)
    weights[3] = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    weights[4] = torch.tensor([0.5, 0.0, 0.5, 0.0, 0.0, 0.0])
    weights[5] = torch.tensor([0.25, 0.25, 0.0, 0.0, 0.5, 0.0])
    assert attention.induction_score(weights, ids).item() == pytest.approx((1 + 0.5 + 0.75) / 3)


def test_induction_is_not_about_oneself_nor_about_later_tokens() -> None:
    assert attention.induction_score(torch.eye(3), [5, 5, 6]).isnan(), "5 5: what follows is the query itself"
    looks_ahead = one_hot(2, 2, 2)  # query 0 looks at what precedes, and follows, the second 4
    assert attention.induction_score(looks_ahead, [4, 3, 4]).item() == 0, "only query 2 counts, and key 1"


def test_induction_without_a_repetition_is_nan() -> None:
    assert attention.induction_score(torch.eye(3), torch.tensor([1, 2, 3])).isnan()


def test_induction_ids_of_each_item() -> None:
    weights = one_hot(0, 0, 1).expand(2, 4, 3, 3)  # (B, N, T, T)
    scores = attention.induction_score(weights, torch.tensor([[1, 2, 1], [1, 2, 3]]))
    assert scores[0].tolist() == [1, 1, 1, 1] and bool(scores[1].isnan().all())


@pytest.mark.parametrize(
    ("ids", "got"),
    [
        ([1, 2], r"got torch.int64 of shape \(2,\)\. Give the ids that the model was run with"),
        ([1.0, 2.0, 3.0], r"got torch.float32 of shape \(3,\)"),
        ([[1, 2, 3]] * 4, r"got torch.int64 of shape \(4, 3\)"),
        (["the", "cat", "the"], r"got list that is no such array"),
        ([None, None, None], r"got list that is no such array \(Could not infer dtype"),
    ],
)
def test_induction_refuses_other_ids(ids: list[int], got: str) -> None:
    with pytest.raises(WeightsError, match=r"expected token ids as integers, \(3,\) or \(2, 3\); " + got):
        attention.induction_score(torch.eye(3).expand(2, 3, 3), ids)
