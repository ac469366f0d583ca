"""Heads combined, rollout and gradient rollout, against numbers worked by hand; what all joins of layers refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.attention import (
    LIMITS,
    attention_flow,
    combine_heads,
    gradient_rollout,
    head_difference,
    rollout,
    rollout_row,
)
from memviz_widgets.errors import WeightsError

from .attention_maps import random_layers

FIRST = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])  # (N, T, T), one head
LAST = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])

ALL: list[Callable[[list[Tensor]], Tensor]] = [
    rollout,
    lambda layers: rollout_row(layers, -1),
    lambda layers: attention_flow(layers, -1),
    lambda layers: gradient_rollout(layers, [torch.ones_like(layer) for layer in layers]),
]
each_way = pytest.mark.parametrize("join", ALL, ids=["rollout", "rollout_row", "attention_flow", "gradient_rollout"])


# Heads


def test_heads_combined_by_hand() -> None:
    weights = torch.tensor([[[1.0, 0.0]], [[0.25, 0.75]]])  # (N, Q, K)
    assert combine_heads(weights).tolist() == [[0.625, 0.375]]
    assert combine_heads(weights, "max").tolist() == [[1.0, 0.75]]
    assert combine_heads(weights, "min").tolist() == [[0.25, 0.0]]
    assert head_difference(weights, 0, 1).tolist() == [[0.75, -0.75]]


@pytest.mark.parametrize("how", ["mean", "max", "min"])
def test_head_that_attends_to_nothing_is_left_out(how: str) -> None:
    weights = torch.tensor([[[0.25, 0.75], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert combine_heads(weights, how).tolist() == [[0.25, 0.75], [0.0, 0.0]]  # type: ignore[arg-type] # from a list


def test_unknown_way_to_combine() -> None:
    with pytest.raises(WeightsError, match="no way 'sum' to combine heads; choose one of mean, max, min"):
        combine_heads(FIRST, "sum")  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("weights", [torch.eye(2), torch.zeros(0, 2, 2)])
def test_no_heads(weights: Tensor) -> None:
    with pytest.raises(WeightsError, match=r"expected weights \(\.\.\., head, query, key\) of one head or more; got"):
        combine_heads(weights)


@pytest.mark.parametrize("head", [-1, 1])
def test_head_that_is_not_there(head: int) -> None:
    with pytest.raises(WeightsError, match=f"no head {head}; they are 0 to 0"):
        head_difference(FIRST, 0, head)


def test_weights_of_a_head_that_are_no_attention() -> None:
    with pytest.raises(WeightsError, match="head 1: row 0 sums to 2; attention weights are"):
        head_difference(torch.ones(2, 2, 2) * torch.tensor([0.5, 1.0]).reshape(2, 1, 1), 0, 1)


# Rollout


def test_rollout_of_two_layers_by_hand() -> None:
    # A_1 = [[1, 0], [.25, .75]], A_2 = [[1, 0], [.5, .5]]; A_2 A_1 = [[1, 0], [.5 + .125, .375]]
    assert rollout([FIRST, LAST]).tolist() == [[1.0, 0.0], [0.625, 0.375]]
    assert rollout([LAST, FIRST]).tolist() == [[1.0, 0.0], [0.625, 0.375]]
    # without residual: [[1, 0], [1, 0]] after [[1, 0], [.5, .5]]
    assert rollout([FIRST, LAST], residual=0).tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_order_of_layers_matters() -> None:
    swap, copy = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    # The last layer looks at token 0, into which the first has put token 1.
    assert rollout([swap, copy], residual=0).tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert rollout([copy, swap], residual=0).tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_rollout_of_identity_is_identity() -> None:
    assert torch.equal(rollout([torch.eye(3).expand(2, 3, 3)] * 4), torch.eye(3))
    assert torch.equal(rollout(random_layers(2, 2, 3, 3), residual=1), torch.eye(3))


def test_largest_heads_are_renormalised() -> None:
    heads = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    # largest: [1, 1] and [0, 1]; with the residual .5 I + .5 W: [1, .5] / 1.5 and [0, 1]
    torch.testing.assert_close(rollout([heads], heads="max"), torch.tensor([[2 / 3, 1 / 3], [0.0, 1.0]]))
    # smallest: [0, 0] and [0, 1]: nothing in common, the token stays
    assert rollout([heads], heads="min", residual=0).tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
@pytest.mark.parametrize("residual", [0.0, 0.5, 0.9])
def test_rows_sum_to_one_and_one_row_equals_all(heads: str, residual: float) -> None:
    layers = random_layers(5, 3, 2, 8, 8)  # (B, N, T, T)
    layers[2][:, :, 3] = 0
    whole = rollout(iter(layers), residual=residual, heads=heads)  # type: ignore[arg-type] # from a list
    torch.testing.assert_close(whole.sum(-1), torch.ones(3, 8))
    for query in (0, 3, -1):
        row = rollout_row(layers, query, residual=residual, heads=heads)  # type: ignore[arg-type] # from a list
        torch.testing.assert_close(row, whole[:, query])


def test_iterator_is_consumed_one_layer_at_a_time() -> None:
    seen: list[int] = []

    def layers() -> Iterator[Tensor]:
        yield FIRST
        seen.append(1)
        yield torch.ones(1, 3, 3) / 3
        seen.append(2)

    with pytest.raises(WeightsError, match=r"layer 1: is \(3, 3\) without its heads, the layer before it \(2, 2\)"):
        rollout(layers())
    assert seen == [1]


# Gradient rollout


def test_gradient_rollout_by_hand() -> None:
    first, last = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]]), torch.tensor([[[0.0, 1.0], [0.5, 0.5]]])
    up, down = torch.tensor([[[2.0, -2.0], [0.0, 4.0]]]), torch.tensor([[[1.0, 1.0], [2.0, -1.0]]])
    # R_1 = I + [[1, 0], [0, 2]]; R_2 = R_1 + [[0, 1], [1, 0]] R_1 = [[2, 0], [0, 3]] + [[0, 3], [2, 0]]
    assert gradient_rollout([first, last], [up, down]).tolist() == [[2.0, 3.0], [2.0, 3.0]]


def test_negative_parts_are_cut_per_head() -> None:
    layer = torch.full((2, 1, 1), 1.0)
    assert gradient_rollout([layer], [torch.tensor([[[3.0]], [[-5.0]]])]).tolist() == [[2.5]]  # 1 + (3 + 0) / 2


def test_gradient_of_a_real_layer() -> None:
    weights = random_layers(1, 1, 3, 3)[0].requires_grad_()
    (weights[0] @ torch.tensor([1.0, 2.0, -1.0]))[1].backward()
    assert weights.grad is not None
    relevance = gradient_rollout([weights], [weights.grad])
    expected = torch.eye(3)
    expected[1] += weights.detach()[0, 1] * torch.tensor([1.0, 2.0, 0.0])
    torch.testing.assert_close(relevance, expected)
    assert not relevance.requires_grad


@pytest.mark.parametrize(
    ("layers", "gradients", "text"),
    [
        ([FIRST, LAST], [FIRST], "layer 1: has no gradient; give as many layers as gradients"),
        ([FIRST], [FIRST, LAST], "layer 1: has no weights; give as many layers as gradients"),
        ([FIRST], [FIRST[0]], r"layer 0: a gradient of shape \(2, 2\) for weights of shape \(1, 2, 2\)"),
        ([FIRST], [FIRST * math.nan], "layer 0: the gradient has NaN or Inf"),
    ],
)
def test_gradients_that_do_not_fit(layers: list[Tensor], gradients: list[Tensor], text: str) -> None:
    with pytest.raises(WeightsError, match=text):
        gradient_rollout(layers, gradients)


# All of them


@each_way
def test_dtype_gradient_and_input(join: Callable[[list[Tensor]], Tensor]) -> None:
    layers = [layer.requires_grad_() for layer in random_layers(3, 2, 4, 4)]
    before = [layer.detach().clone() for layer in layers]
    joined = join(layers)
    assert joined.dtype is torch.float32 and not joined.requires_grad
    assert join([layer.double() for layer in layers]).dtype is torch.float64
    torch.testing.assert_close(join([layer.bfloat16() for layer in layers]), joined, atol=0.02, rtol=0.02)
    assert all(map(torch.equal, layers, before))


@each_way
def test_inference_mode_inside_and_outside(join: Callable[[list[Tensor]], Tensor]) -> None:
    expected = join([layer.double() for layer in random_layers(3, 2, 4, 4)])
    with torch.inference_mode():
        layers = [layer.double() for layer in random_layers(3, 2, 4, 4)]
        assert torch.equal(join(layers), expected)
    assert torch.equal(join(layers), expected)


@each_way
def test_each_item_is_joined_alone(join: Callable[[list[Tensor]], Tensor]) -> None:
    layers = random_layers(3, 2, 3, 4, 4)
    joined = join([layer.transpose(0, 1).contiguous().transpose(0, 1) for layer in layers])
    torch.testing.assert_close(joined[1], join([layer[1] for layer in layers]))


@each_way
def test_no_layers(join: Callable[[list[Tensor]], Tensor]) -> None:
    with pytest.raises(WeightsError, match="no layers; give the attention weights of at least one"):
        join([])


@each_way
@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (torch.ones(1, 2, 3) / 3, r"layer 1: expected self-attention of all tokens, .* \(1, 2, 3\)\. .* no cross-att"),
        (torch.eye(2), r"layer 1: expected weights \(\.\.\., head, query, key\) of one head or more"),
        (torch.ones(1, 2, 2), r"layer 1: row 0 of map \(0,\) sums to 2; attention weights"),
    ],
)
def test_layer_that_does_not_fit(join: Callable[[list[Tensor]], Tensor], layer: Tensor, text: str) -> None:
    with pytest.raises(WeightsError, match=text):
        join([FIRST, layer])


@each_way
def test_layers_of_two_models(join: Callable[[list[Tensor]], Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"layer \d: is \(\d, \d\) without its heads, the layer before it"):
        join([FIRST, torch.eye(3).unsqueeze(0)])


@pytest.mark.parametrize("residual", [-0.1, 1.5, math.nan])
def test_residual_out_of_range(residual: float) -> None:
    with pytest.raises(WeightsError, match=f"residual={residual}; it is the part of a token that a layer leaves"):
        rollout([FIRST], residual=residual)


@pytest.mark.parametrize("query", [-3, 2])
def test_query_that_is_not_there(query: int) -> None:
    for one_query in (rollout_row, attention_flow):
        with pytest.raises(WeightsError, match=f"no query {query}; there are 2 tokens, counted from 0"):
            one_query([FIRST], query)


def test_each_way_says_its_limits_in_one_line() -> None:
    assert set(LIMITS) == {"rollout", "attention_flow", "gradient_rollout"}
    assert all(text.endswith(".") and "\n" not in text for text in LIMITS.values())
