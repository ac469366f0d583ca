"""Attention flow, against numbers worked by hand and the smallest cuts of small graphs."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memviz_widgets.analysis.attention import attention_flow, rollout_row

from .attention_maps import random_layers

FIRST = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])  # (N, T, T), one head
LAST = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])


def test_flow_of_one_layer_is_its_row() -> None:
    assert attention_flow([FIRST], 1).tolist() == [0.25, 0.75]


def test_flow_of_two_layers_by_hand() -> None:
    # Into token s through token t of the layer between: min(A_2[1, t], A_1[t, s]); A as in the rollout by hand.
    assert attention_flow([FIRST, LAST], 1).tolist() == [0.5 + 0.25, 0.0 + 0.5]


def test_flow_where_paths_compete() -> None:
    # Both tokens of layer 2 lead through token 0 of layer 1 only, and from there 0.5 goes to each input token.
    half, to_first = torch.full((1, 2, 2), 0.5), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert attention_flow([half, to_first, half], 0, residual=0).tolist() == [0.5, 0.5]


def smallest_cut(steps: list[Tensor], query: int, sink: int) -> float:
    """Max-flow is min-cut (Ford & Fulkerson 1956): the cheapest of all ways to part the query from the sink."""
    tokens = len(steps[0])
    cuts = []
    for sides in itertools.product((0.0, 1.0), repeat=tokens * (len(steps) - 1)):
        between = torch.tensor(sides, dtype=torch.float64).reshape(-1, tokens)  # 1 = on the query's side
        ends = [torch.eye(tokens, dtype=torch.float64)[position] for position in (sink, query)]
        levels = [1 - ends[0], *between, ends[1]]  # other input tokens are no way to the sink: on the query's side
        cuts.append(sum(float(levels[at + 1] @ step @ (1 - levels[at])) for at, step in enumerate(steps)))
    return min(cuts)


@pytest.mark.parametrize("seed", range(4))
def test_flow_equals_the_smallest_cut(seed: int) -> None:
    layers = random_layers(4, 1, 3, 3, seed=seed, sharp=6.0)
    steps = [0.1 * torch.eye(3, dtype=torch.float64) + 0.9 * layer[0].double() for layer in layers]
    expected = [smallest_cut(steps, 2, sink) for sink in range(3)]
    assert attention_flow(layers, 2, residual=0.1).tolist() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=27, max_size=27))
def test_flow_among_dead_ends_and_bottlenecks(parts: list[int]) -> None:
    weights = torch.tensor(parts, dtype=torch.float64).reshape(3, 1, 3, 3)
    layers = list(weights / weights.sum(-1, keepdim=True).clamp(min=1))  # a row of zeros passes on its own token
    steps = [layer[0] + torch.diag((layer[0].sum(-1) == 0).double()) for layer in layers]
    expected = [smallest_cut(steps, 0, sink) for sink in range(3)]
    assert attention_flow(layers, 0, residual=0).tolist() == pytest.approx(expected, abs=1e-9)


def test_flow_is_at_least_rollout_and_at_most_one() -> None:
    layers = random_layers(5, 2, 3, 6, 6)
    flow = attention_flow(layers, -1)
    assert flow.shape == (2, 6)
    assert bool((flow >= rollout_row(layers, -1) - 1e-6).all()) and flow.max() <= 1
