"""Attention that a model writes out itself: found when its softmax multiplies values, and only then."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from memviz_widgets.capture.attention_taps import AttentionTaps
from memviz_widgets.capture.einsum_terms import parse

from .tapping import tap

torch.manual_seed(0)
SCORES = torch.randn(2, 4, 3, 5)  # (B, N, Q, K)
VALUES = torch.randn(2, 4, 5, 8)  # (B, N, K, D)
WEIGHTS = SCORES.softmax(-1)


def only(function: Callable[[], Any]) -> Tensor:
    """Weights of the one attention of a function."""
    (seen,) = tap(function)
    return seen.weights


# -- what makes weights of a softmax


@pytest.mark.parametrize(
    "softmax",
    [
        lambda x: torch.softmax(x, -1),
        lambda x: torch.softmax(x, dim=3),
        lambda x: functional.softmax(x, dim=-1),
        lambda x: functional.softmax(x, dim=-1, dtype=torch.float32),
        lambda x: x.softmax(-1),
        lambda x: torch.special.softmax(x, -1),
        nn.Softmax(dim=-1),
        lambda x: torch.ops.aten.softmax(x, -1),
        lambda x: torch.ops.aten._softmax(x, -1, False),
    ],
)
def test_every_softmax_is_seen(softmax: Callable[[Tensor], Tensor]) -> None:
    assert torch.equal(only(lambda: softmax(SCORES) @ VALUES), WEIGHTS)


@pytest.mark.parametrize(
    "product",
    [
        lambda w, v: w @ v,
        torch.matmul,
        lambda w, v: w.matmul(v),
        torch.linalg.matmul,
        lambda w, v: torch.bmm(w.flatten(0, 1), v.flatten(0, 1)),
        lambda w, v: w.view(8, 3, 5).bmm(v.view(8, 5, 8)),
        lambda w, v: torch.baddbmm(torch.zeros(()), w.view(8, 3, 5), v.view(8, 5, 8)),
        lambda w, v: torch.einsum("bnqk,bnkd->bqnd", w, v),
        lambda w, v: torch.einsum("bnqk,bnkd", [w, v]),
        lambda w, v: torch.einsum("...qk,...kd->...qd", w, v),
        lambda w, v: torch.einsum("bnkd, bnqk -> bnqd", v, w),
        lambda w, v: v.transpose(-1, -2) @ w.transpose(-1, -2),
        lambda w, v: v.mT @ w.mT,
        lambda w, v: v.permute(0, 1, 3, 2) @ w.permute(0, 1, 3, 2),
        lambda w, v: (w[..., None] * v[:, :, None]).sum(-2),
        lambda w, v: (v[:, :, None].mT * w.unsqueeze(-2)).sum(-1),
        lambda w, v: torch.sum(v[:, :, None] * w.unsqueeze(-1), dim=3),
    ],
)
def test_every_product_is_seen(product: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert torch.equal(only(lambda: product(SCORES.softmax(-1), VALUES)), WEIGHTS)


@pytest.mark.parametrize(
    "step",
    [
        lambda w: w.to(torch.float64).to(torch.float32),
        lambda w: w.type_as(w.double()).float(),
        lambda w: w.reshape(8, 3, 5).view(2, 4, 3, 5).contiguous(),
        lambda w: functional.dropout(w, 0.5, training=False),
        nn.Dropout(0.0),
        lambda w: w * torch.ones(4, 1, 1),
        lambda w: torch.ones(4, 1, 1) * w,
        lambda w: w / w.sum(-1, keepdim=True).round(),
        lambda w: w.masked_fill(w < 0, 0.0),
        lambda w: torch.where(w < 0, 0.0, w),
        lambda w: w.clone().mul_(1.0),
        lambda w: w[:, :, :, :],
    ],
)
def test_weights_are_followed_through(step: Callable[[Tensor], Tensor]) -> None:
    assert torch.allclose(only(lambda: (step(SCORES.softmax(-1)).to(VALUES.dtype)) @ VALUES), WEIGHTS)


def test_weights_are_those_before_a_dropout() -> None:
    (seen,) = tap(lambda: functional.dropout(SCORES.softmax(-1), 0.5) @ VALUES)
    assert torch.equal(seen.weights, WEIGHTS) and seen.note == "before dropout"


@pytest.mark.parametrize(
    "product",
    [
        lambda w, v: v.mT @ w.mT,
        lambda w, v: v.permute(0, 1, 3, 2) @ torch.permute(w, dims=(0, 1, 3, 2)),
        lambda w, v: torch.einsum("bnkq,bnkd->bnqd", w.transpose(2, 3), v),
        lambda w, v: torch.einsum("bqnk,bnkd->bqnd", w.permute(0, 2, 1, 3), v),
        lambda w, v: torch.einsum("bqnk,bnkd->bqnd", w.swapaxes(1, 2).contiguous(), v),
        lambda w, v: torch.bmm(w.flatten(0, 1), v.flatten(0, 1)),
        lambda w, v: torch.bmm(w.mT.reshape(8, 5, 3).mT, v.view(8, 5, 8)),
        lambda w, v: (w.unsqueeze(2).expand(2, 4, 1, 3, 5) @ v[:, :, None]).squeeze(2),
    ],
)
def test_what_was_before_a_dropout_is_moved_as_the_weights_are(product: Callable[[Tensor, Tensor], Tensor]) -> None:
    (seen,) = tap(lambda: product(functional.dropout(SCORES.softmax(-1), 0.5), VALUES))
    assert torch.equal(seen.weights.reshape(WEIGHTS.shape), WEIGHTS)
    assert seen.note.startswith("before dropout")


def test_a_sink_is_cut_off_from_what_was_before_a_dropout() -> None:
    (seen,) = tap(lambda: functional.dropout(SCORES.softmax(-1), 0.5)[..., :4] @ VALUES[:, :, :4])
    assert torch.equal(seen.weights, WEIGHTS[..., :4])


def test_a_dropout_in_place_leaves_nothing_else_to_show() -> None:
    (seen,) = tap(lambda: functional.dropout(SCORES.softmax(-1), 0.5, inplace=True) @ VALUES)
    assert seen.note == "after dropout, which overwrote the weights"


def test_a_mask_after_the_softmax_is_in_the_weights() -> None:
    mask = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
    assert torch.equal(only(lambda: (SCORES.softmax(-1) * mask) @ VALUES), WEIGHTS * mask)


def test_an_attention_sink_is_cut_off_as_the_model_cuts_it_off() -> None:
    assert torch.equal(only(lambda: SCORES.softmax(-1)[..., :4] @ VALUES[:, :, :4]), WEIGHTS[..., :4])


def test_the_difference_of_two_softmaxes_is_one_attention() -> None:
    expected = WEIGHTS - 0.5 * SCORES.sin().softmax(-1)
    assert torch.equal(only(lambda: (SCORES.softmax(-1) - 0.5 * SCORES.sin().softmax(-1)) @ VALUES), expected)


# -- heads that are mixed after the softmax (talking heads, re-attention)

MIX = torch.randn(4, 4)


def heads_last(weights: Tensor) -> Tensor:
    return weights.permute(0, 2, 3, 1)


def heads_second(weights: Tensor) -> Tensor:
    return weights.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("name", "mix"),
    [
        ("conv2d", nn.Conv2d(4, 4, 1)),
        ("linear", lambda w: heads_second(functional.linear(heads_last(w), MIX))),
        ("linear", lambda w: heads_second(nn.Linear(4, 4)(heads_last(w)).contiguous())),
        ("matmul", lambda w: heads_second(heads_last(w) @ MIX)),
        ("einsum", lambda w: torch.einsum("bhij,hg->bgij", w, MIX)),
        ("einsum", lambda w: torch.einsum("gh,bhij->bgij", [MIX, w])),
        ("einsum", lambda w: torch.einsum("...hij, hg -> ...gij", w, MIX)),
        (
            "einsum",
            lambda w: heads_second(functional.layer_norm(heads_last(torch.einsum("bhij,hg->bgij", w, MIX)), [4])),
        ),
        ("layer_norm", lambda w: heads_second(nn.LayerNorm(4)(heads_last(w)))),
    ],
)
def test_weights_are_those_before_their_heads_are_mixed(name: str, mix: Callable[[Tensor], Tensor]) -> None:
    (seen,) = tap(lambda: mix(SCORES.softmax(-1)) @ VALUES)
    assert torch.equal(seen.weights, WEIGHTS)
    assert seen.note == f"before {name} mixes the heads"


def test_mixed_heads_may_stay_last() -> None:
    def attend() -> Tensor:
        return torch.einsum("bqkn,bnkd->bqnd", functional.linear(heads_last(SCORES.softmax(-1)), MIX), VALUES)

    (seen,) = tap(attend)
    assert torch.equal(seen.weights, WEIGHTS)


def test_a_dropout_before_or_after_the_mixing() -> None:
    mix = nn.Conv2d(4, 4, 1)
    (seen,) = tap(lambda: mix(functional.dropout(SCORES.softmax(-1), 0.5)) @ VALUES)
    assert torch.equal(seen.weights, WEIGHTS) and seen.note == "before dropout; before conv2d mixes the heads"
    (seen,) = tap(lambda: functional.dropout(mix(SCORES.softmax(-1)), 0.5) @ VALUES)
    assert torch.equal(seen.weights, WEIGHTS) and seen.note == "before conv2d mixes the heads"


@pytest.mark.parametrize(
    "mix",
    [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 6, 1),
        lambda w: functional.linear(w, torch.ones(5, 5)),
        nn.LayerNorm(5),
    ],
)
def test_another_mixing_is_not_followed(mix: Callable[[Tensor], Tensor]) -> None:
    assert tap(lambda: mix(SCORES.softmax(-1)).sum()) == []


# -- shapes


def test_a_query_axis_that_is_elsewhere_comes_third() -> None:
    scores = SCORES.transpose(1, 2).contiguous()  # (B, Q, N, K)
    assert torch.equal(only(lambda: torch.einsum("bqnk,bnkd->bqnd", scores.softmax(-1), VALUES)), WEIGHTS)


def test_weights_without_heads_have_one_head() -> None:
    assert torch.equal(only(lambda: SCORES[0].softmax(-1) @ VALUES[0]), WEIGHTS[0][:, None])


def test_values_may_come_first() -> None:
    assert torch.equal(only(lambda: VALUES[0, 0].t() @ SCORES[0, 0].softmax(-1).t()), WEIGHTS[0, 0][None, None])


def test_weights_of_one_item_and_head() -> None:
    assert torch.equal(only(lambda: SCORES[0, 0].softmax(-1) @ VALUES[0, 0]), WEIGHTS[0, 0][None, None])


def test_weights_without_a_query_axis_have_one_query() -> None:
    scores, values = SCORES[0, :, 0], VALUES[0]  # (B, K), (B, K, D)
    expected = WEIGHTS[0, :, 0].view(4, 1, 1, 5)
    assert torch.equal(only(lambda: torch.bmm(scores.softmax(-1).unsqueeze(1), values)), expected)
    assert torch.equal(only(lambda: torch.einsum("bk,bkd->bd", scores.softmax(-1), values)), expected)


def test_further_axes_join_the_batch() -> None:
    (seen,) = tap(lambda: SCORES[:, None].softmax(-1) @ VALUES[:, None])
    assert torch.equal(seen.weights, WEIGHTS) and seen.note == "the first axis is 2 x 1"


class SelfAttention(nn.Module):
    """Heads in the batch axis, as older code has them."""

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        x = x.view(batch, length, self.num_heads, -1).transpose(1, 2).flatten(0, 1)
        return ((x @ x.mT).softmax(-1) @ x).view(batch, length, width)


def test_heads_in_the_batch_axis_are_taken_apart_where_the_module_counts_them() -> None:
    x = torch.randn(3, 6, 4)
    (seen,) = tap(SelfAttention(2), x)
    assert seen.weights.shape == (3, 2, 6, 6)
    heads = x.view(3, 6, 2, 2).transpose(1, 2)
    assert torch.allclose(seen.weights, (heads @ heads.mT).softmax(-1), atol=1e-6)


# -- what is not attention


class Router(nn.Module):
    def forward(self, x: Tensor, experts: Tensor) -> Tensor:
        return x.softmax(-1) @ experts


@pytest.mark.parametrize(
    "function",
    [
        lambda: SCORES.softmax(-1),
        lambda: SCORES.softmax(-1).topk(2),
        lambda: SCORES.softmax(-1).sum(),
        lambda: (SCORES.softmax(-1)[..., None] * VALUES[:, :, None]).sum(-1),
        lambda: torch.sum(SCORES.softmax(-1)[..., None] * VALUES[:, :, None]),
        lambda: (SCORES.softmax(-1)[..., None] * VALUES[:, :, None]).relu().sum(-2),
        lambda: (SCORES.softmax(-1) * torch.arange(5.0)).sum(-1),
        lambda: SCORES.softmax(1).transpose(2, 3) @ torch.ones(3, 2),
        lambda: SCORES.softmax(2) @ VALUES,
        lambda: SCORES.sigmoid() @ VALUES,
        lambda: torch.ones(2, 3) @ SCORES[0, 0].softmax(-1),
        lambda: SCORES[0].softmax(-1) @ torch.ones(5, 2),
        lambda: SCORES[0, 0].softmax(-1) @ nn.Parameter(torch.ones(5, 2)),
        lambda: functional.linear(SCORES[0].softmax(-1), torch.ones(2, 5)),
        lambda: torch.einsum("nqk,nqd->nkd", SCORES[0].softmax(-1), torch.ones(4, 3, 2)),
    ],
)
def test_this_is_not_attention(function: Callable[[], Any]) -> None:
    assert tap(function) == []


@pytest.mark.parametrize(
    "likened",
    [lambda x, w: x.view_as(w), lambda x, w: x.reshape_as(w), lambda x, w: x.to(w), lambda x, w: x.type_as(w)],
)
def test_what_is_made_like_weights_is_none(likened: Callable[[Tensor, Tensor], Tensor]) -> None:
    def product() -> Tensor:
        weights = SCORES.softmax(-1)
        return likened(SCORES.sigmoid().double(), weights).float() @ VALUES

    assert tap(product) == []


def test_a_router_is_not_attention() -> None:
    assert tap(Router(), SCORES[0, 0], VALUES[0, 0]) == []


class MixtureOfExperts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.choice = nn.Linear(4, 3)
        self.experts = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        outputs = torch.stack([expert(x) for expert in self.experts], 1)  # (tokens, experts, channel)
        return torch.einsum("te,tec->tc", self.choice(x).softmax(-1), outputs)


def test_a_mixture_of_experts_is_not_attention() -> None:
    assert tap(MixtureOfExperts(), torch.randn(6, 4)) == []


def test_class_probabilities_are_not_attention() -> None:
    assert tap(nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1), nn.Linear(3, 2)), torch.randn(6, 4)) == []


# -- nothing is held


def test_a_softmax_is_not_kept_alive() -> None:
    taps = AttentionTaps(lambda value, note: None, lambda: True)
    taps.enter()
    weights = functional.dropout(before := SCORES.softmax(-1), 0.5)
    references = [weakref.ref(weights), weakref.ref(before)]
    del weights, before
    taps.leave()
    assert [reference() for reference in references] == [None, None]


def test_weights_that_are_gone_are_followed_no_more() -> None:
    taps = AttentionTaps(lambda value, note: None, lambda: True)
    taps.enter()
    assert taps._mode is not None
    few = taps._mode.table
    weights = SCORES.softmax(-1)
    assert taps._mode.table is not few
    del weights
    assert taps._mode.table is few
    taps.leave()


def test_two_products_with_the_same_weights_are_one_attention() -> None:
    def both(scores: Tensor) -> Tensor:
        weights = scores.softmax(-1)
        return weights @ VALUES + weights @ VALUES.sin()

    assert len(tap(both, SCORES)) == 1


def test_training_gives_the_same_gradients() -> None:
    scores = SCORES.clone().requires_grad_()
    (scores.softmax(-1) @ VALUES).sin().sum().backward()
    expected, scores.grad = scores.grad, None
    results: list[Tensor] = []
    tap(lambda: results.append(scores.softmax(-1) @ VALUES))
    results[-1].sin().sum().backward()
    assert torch.equal(scores.grad, expected)  # type: ignore[arg-type]


# -- einsum


@pytest.mark.parametrize(
    ("equation", "place", "order"),
    [
        ("bnqk,bnkd->bnqd", 0, [0, 1, 2, 3]),
        ("bqnk,bnkd->bqnd", 0, [0, 2, 1, 3]),
        ("bnij,jbnd->ibnd", 0, [0, 1, 2, 3]),
        ("jbnd,bnij->ibnd", 1, [0, 1, 2, 3]),
        ("bk,bkd->bd", 0, [0, None, 1]),
        ("...qk,...kd->...qd", 0, [0, 1, 2, 3]),
        ("bnqk,bkd->bnqd", 0, [0, 1, 2, 3]),
        ("bnqk,bnkd->bnqkd", 0, None),
        ("bnqk,bnqd->bnkd", 0, None),
        ("bnqk,bnkd->bnd", 0, None),
    ],
)
def test_an_equation_says_which_axes_are_queries_and_keys(
    equation: str, place: int, order: list[int | None] | None
) -> None:
    left = equation.split("->", maxsplit=1)[0].split(",")
    ranks = tuple(len(term.replace("...", "bn")) for term in left)
    assert parse(equation, ranks).weights_order(place, -1) == order  # type: ignore[arg-type]
