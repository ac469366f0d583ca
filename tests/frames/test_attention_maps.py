"""Maps of attention weights against weights computed by hand in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import attention
from memviz_widgets.frames import PageSource
from memviz_widgets.frames.quantise import NAN_CODE, NEG_INF_CODE

from .attention_cache import attention_cache, by_hand, query_key, shown, step_of
from .fake_cache import FakeLazy

CASES = {
    "plain": query_key((1, 3, 5, 5)),
    "causal": query_key((1, 2, 6, 6), causal=True),
    "grouped": query_key((2, 6, 4, 4), key_heads=2),
    "cross, batch of 3": query_key((3, 2, 4, 7)),
    "one query": query_key((2, 2, 1, 9)),
}
MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "frame": lambda weights: weights.flatten(0, 1),
    "row": lambda weights: (weights / weights.amax(-1, keepdim=True)).flatten(0, 1),
    "mean": lambda weights: weights.mean(1),
    "max": lambda weights: weights.amax(1),
    "difference": lambda weights: (weights.unsqueeze(2) - weights.unsqueeze(1)).flatten(0, 2),
}


@pytest.mark.parametrize("as_tensor", [False, True], ids=["q and k", "tensor"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", MAPS)
def test_map_is_that_of_the_weights_by_hand(kind: str, case: str, as_tensor: bool) -> None:
    weights = by_hand(CASES[case])
    expected = MAPS[kind](weights).numpy()
    cache = attention_cache(weights if as_tensor else CASES[case])
    assert shown_frames(cache, kind) == pytest.approx(expected, abs=2 / 504 + 1e-6), "within half a code"


@pytest.mark.parametrize("case", CASES)
def test_log_is_of_the_weights_and_0_has_none(case: str) -> None:
    weights = by_hand(CASES[case]).flatten(0, 1)
    page = PageSource(attention_cache(CASES[case])).page(0, "log", 0)
    given = (weights > 0).numpy()
    assert (page.cells != NEG_INF_CODE).tolist() == given.tolist()
    logs = weights.numpy()[given]
    assert shown(page)[given] == pytest.approx(np.log10(logs), abs=step_of(page))


def test_exactly_0_has_its_own_code_and_the_range_is_that_of_the_rest() -> None:
    page = PageSource(attention_cache(torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]]))).page(0, "frame", 0)
    assert page.cells.tolist() == [[[252, NEG_INF_CODE], [0, 168]]]
    assert (page.lows.tolist(), page.highs.tolist()) == ([0.25], [1.0])


@pytest.mark.parametrize("kind", ["frame", "row", "log", "mean", "max", "rollout", "tiles"])
def test_causal_maps_are_empty_above_the_diagonal_and_nowhere_else(kind: str) -> None:
    page = PageSource(attention_cache(CASES["causal"])).page(0, kind, 0)
    empty = page.cells == NEG_INF_CODE
    assert (empty == np.triu(np.ones((6, 6), bool), 1)).all()


def test_tiny_weight_is_not_0() -> None:
    weights = torch.tensor([[[[1.0, 1e-30, 0.0]]]])
    assert PageSource(attention_cache(weights)).page(0, "frame", 0).cells.tolist() == [[[252, 0, NEG_INF_CODE]]]


def test_record_that_is_no_attention_keeps_code_0_for_0() -> None:
    cache = attention_cache(torch.tensor([[[[1.0, 0.0]]]]))
    cache.change(0, kind="output")
    assert PageSource(cache).page(0, "frame", 0).cells.tolist() == [[[252, 0]]]


def test_query_that_attends_to_nothing_is_empty_in_every_map() -> None:
    weights = torch.tensor([[[[0.5, 0.5], [0.0, 0.0]], [[0.25, 0.75], [0.0, 0.0]]]])
    source = PageSource(attention_cache(weights))
    for kind in ("frame", "row", "log", "mean", "max", "tiles"):
        assert (source.page(0, kind, 0).cells[:, 1] == NEG_INF_CODE).all(), kind


def test_mean_leaves_out_heads_whose_query_attends_to_nothing() -> None:
    weights = torch.tensor([[[[0.5, 0.5]], [[0.0, 0.0]]]])
    assert shown_frames(attention_cache(weights), "mean").tolist() == [[[0.5, 0.5]]]
    assert attention.combine_heads(weights).tolist() == [[[0.5, 0.5]]]


def test_difference_is_signed_and_0_where_heads_agree() -> None:
    weights = torch.tensor([[[[1.0, 0.0]], [[0.25, 0.75]]]])
    page = PageSource(attention_cache(weights)).page(0, "difference", 0)
    assert page.shape == (2, 1, 2), "a page is a head minus every head"
    assert NEG_INF_CODE not in page.cells
    assert shown(page).tolist() == [[[0.0, 0.0]], [[0.75, -0.75]]]


def test_pooled_cell_is_empty_only_where_all_its_weights_are_0() -> None:
    weights = torch.zeros(1, 1, 1, 2048)
    weights[..., 5] = 1.0
    cells = PageSource(attention_cache(weights)).page(0, "frame", 0).cells[0, 0]
    assert cells[2] != NEG_INF_CODE and (np.delete(cells, 2) == NEG_INF_CODE).all()


def test_log_of_a_pooled_cell_is_that_of_its_largest_weight() -> None:
    weights = torch.full((1, 1, 1, 2048), 1e-6)
    weights[..., 5] = 0.01
    page = PageSource(attention_cache(weights)).page(0, "log", 0)
    assert (page.lows[0], page.highs[0]) == (pytest.approx(-6), pytest.approx(-2))
    assert page.cells[0, 0, 2] == 252


def test_nan_stays_loud_and_minus_infinity_is_no_weight() -> None:
    weights = torch.tensor([[[[math.nan, -math.inf, 1.0]]]])
    source = PageSource(attention_cache(weights))
    assert source.page(0, "frame", 0).cells[0, 0, :2].tolist() == [NAN_CODE, NAN_CODE]
    assert source.page(0, "log", 0).cells[0, 0, :2].tolist() == [NAN_CODE, NAN_CODE]


def test_tiles_are_the_largest_weights_of_a_sample_with_all_its_heads() -> None:
    weights = torch.rand(2, 3, 64, 64)
    page = PageSource(attention_cache(weights)).page(0, "tiles", 1)
    largest = weights[1].reshape(3, 32, 2, 32, 2).amax((2, 4))
    assert page.shape == (3, 32, 32) and not page.sampled
    assert shown(page) == pytest.approx(largest.numpy(), abs=step_of(page))


def test_tiles_of_a_long_sequence_are_of_some_queries() -> None:
    value = FakeLazy(torch.rand(1, 1, 4096, 2048))
    page = PageSource(attention_cache(value)).page(0, "tiles", 0)
    assert page.sampled and page.shape == (1, 32, 32)
    assert sum(math.prod(shape) for shape in value.reads) <= 2**22
    seen = value.values[0, 0, 32:96]  # 64 queries in the middle of the first 128
    assert shown(page)[0, 0] == pytest.approx(seen.reshape(64, 32, 64).amax((0, 2)).numpy(), abs=step_of(page))


def test_rollout_is_that_of_the_analysis() -> None:
    layers = [query_key((2, 3, 7, 7), seed=seed, causal=True) for seed in range(3)]
    source = PageSource(attention_cache(*layers))
    expected = attention.rollout([by_hand(layer) for layer in layers])  # (2, 7, 7)
    for sample in (0, 1):
        page = source.page(2, "rollout", sample)
        assert shown(page)[0] == pytest.approx(expected[sample].numpy(), abs=step_of(page))
        exact = [[source.value(2, sample, q, k, "rollout").number for k in range(7)] for q in range(7)]
        assert np.array(exact) == pytest.approx(expected[sample].numpy(), abs=1e-6)


def test_rollout_of_the_first_layer_is_half_of_it_and_half_the_token_itself() -> None:
    source = PageSource(attention_cache(torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])))
    assert source.value(0, 0, 1, 0, "rollout").number == 0.25
    assert source.value(0, 0, 1, 1, "rollout").number == 0.75


def test_a_map_reads_no_more_than_a_few_rows_at_once() -> None:
    value = FakeLazy(torch.rand(1, 8, 1024, 1024).softmax(-1))
    source = PageSource(attention_cache(value))
    for kind in ("row", "log", "mean", "max", "difference", "rollout", "heads"):
        source.page(0, kind, 0)
    assert value.most_read <= 2**21


def shown_frames(cache: object, kind: str) -> np.ndarray:
    """All frames of a kind, as the pages of the first record have them."""
    source = PageSource(cache)  # type: ignore[arg-type]
    entry = cache.records[0]  # type: ignore[attr-defined]
    batch, heads = entry.shape[:2]
    frames = {"frame": batch * heads, "row": batch * heads, "difference": batch * heads * heads}.get(kind, batch)
    found: list[np.ndarray] = []
    pages = 0
    while len(found) < frames:
        found += list(shown(source.page(0, kind, pages)))
        pages += 1
    return np.stack(found)
