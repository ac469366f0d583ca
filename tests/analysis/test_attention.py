"""What all measures of attention have in common: rows of zeros, dtypes, axes, pieces, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from memviz_widgets import analysis
from memviz_widgets.analysis import attention, attention_rows
from memviz_widgets.analysis import rollout as rollout_module
from memviz_widgets.errors import WeightsError

from .attention_maps import random_weights

NAN = math.nan
DEAD = torch.tensor([[0.5, 0.5], [0.0, 0.0]])  # the second query may attend to nothing

MEASURES: list[Callable[[Tensor], Tensor]] = [
    attention.entropy,
    attention.effective_keys,
    attention.normalised_entropy,
    attention.mean_distance,
    attention.sink_mass,
    attention.received,
    attention.head_similarity,
    attention.previous_token_score,
    attention.current_token_score,
    lambda weights: attention.induction_score(weights, [0] * weights.shape[-1]),
    attention.combine_heads,
    lambda weights: attention.head_difference(weights, 0, 1),
]
NAMES = [
    *("entropy", "effective_keys", "normalised_entropy", "mean_distance", "sink_mass", "received", "head_similarity"),
    *("previous_token_score", "current_token_score", "induction_score", "combine_heads", "head_difference"),
]
each_measure = pytest.mark.parametrize("measure", MEASURES, ids=NAMES)

# Rows of zeros


def test_query_that_attends_to_nothing_is_nan_and_left_out() -> None:
    assert attention.entropy(DEAD).tolist() == pytest.approx([math.log(2), NAN], nan_ok=True)
    assert attention.effective_keys(DEAD).tolist() == pytest.approx([2, NAN], nan_ok=True)
    assert attention.mean_distance(DEAD).tolist() == pytest.approx([0.5, NAN], nan_ok=True)
    assert attention.sink_mass(DEAD) == 0.5 and attention.current_token_score(DEAD) == 0.5
    assert attention.received(DEAD).tolist() == [0.5, 0.5]


@each_measure
def test_nothing_attended_to_at_all(measure: Callable[[Tensor], Tensor]) -> None:
    measured = measure(torch.zeros(2, 3, 3))
    is_map = measured.shape[-2:] == (3, 3)
    assert bool((measured == 0).all() if is_map else measured.isnan().all())


# Any weights


@each_measure
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_dtype(measure: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    weights = random_weights(2, 3, 6, 6, causal=True)
    measured = measure(weights.to(dtype))
    assert measured.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    torch.testing.assert_close(measured.float(), measure(weights), atol=0.02, rtol=0.02, equal_nan=True)


@each_measure
def test_leading_axes_are_kept(measure: Callable[[Tensor], Tensor]) -> None:
    weights = random_weights(2, 4, 3, 6, 6)
    measured = measure(weights)
    for batch in range(2):
        torch.testing.assert_close(measured[batch, 1], measure(weights[batch, 1]), equal_nan=True)


@each_measure
def test_result_has_no_gradient_and_input_is_as_it_was(measure: Callable[[Tensor], Tensor]) -> None:
    weights = random_weights(2, 5, 5).double().requires_grad_()
    before = weights.detach().clone()
    assert not measure(weights).requires_grad
    assert torch.equal(weights, before) and weights.grad is None


@each_measure
def test_inference_mode_inside_and_outside(measure: Callable[[Tensor], Tensor]) -> None:
    expected = measure(random_weights(2, 5, 5).double())
    with torch.inference_mode():
        weights = random_weights(2, 5, 5).double()
        assert torch.equal(measure(weights).nan_to_num(), expected.nan_to_num())
    assert torch.equal(measure(weights).nan_to_num(), expected.nan_to_num())


@each_measure
def test_order_in_memory_does_not_matter(measure: Callable[[Tensor], Tensor]) -> None:
    weights = random_weights(3, 2, 6, 6)
    torch.testing.assert_close(measure(weights.transpose(-1, -2).contiguous().mT), measure(weights), equal_nan=True)


@each_measure
def test_pieces_of_any_size_are_the_same(measure: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_weights(2, 3, 7, 7, causal=True)
    whole = measure(weights)
    monkeypatch.setattr(attention_rows, "PIECE_CELLS", 100)  # two queries at once
    torch.testing.assert_close(measure(weights), whole, equal_nan=True)


def test_no_queries_and_no_keys() -> None:
    assert attention.entropy(torch.zeros(2, 0, 3)).shape == (2, 0)
    assert attention.sink_mass(torch.zeros(2, 0, 3)).isnan().all()
    assert attention.entropy(torch.zeros(2, 0)).isnan().all()


# Bad input


@each_measure
@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([0.5, 0.2], r"row 1( of map \(1,\))? sums to 0\.7; attention weights are 0\.\.1 .* before dropout\."),
        ([1.5, -0.5], r"row 1( of map \(1,\))? has a weight of -0\.5; .* Give the weights after the softmax\."),
        ([NAN, 1.0], r"row 1( of map \(1,\))? holds NaN or Inf \(sum nan\); .* Look for the layer"),
        ([math.inf, 0.0], r"row 1( of map \(1,\))? holds NaN or Inf \(sum inf\)"),
    ],
)
def test_rows_that_are_no_attention(measure: Callable[[Tensor], Tensor], row: list[float], text: str) -> None:
    weights = torch.full((2, 2, 2), 0.5)
    weights[1, 1] = torch.tensor(row)
    with pytest.raises(WeightsError, match=text):
        measure(weights)


@each_measure
def test_one_axis_is_no_map(measure: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"got (torch.float32 of )?shape \(1,\)"):
        measure(torch.ones(1))


# Names


def test_names_of_the_module_reach_rollout() -> None:
    assert analysis.attention.rollout is rollout_module.rollout
    assert all(hasattr(attention, name) for name in attention.__all__)
