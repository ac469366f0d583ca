"""Attention flow as pages: of one query, through the layers of a rollout, and only where it does not take long."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import attention
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames import PageSource, build_catalog
from memviz_widgets.frames.attention_plan import plan_attention
from memviz_widgets.frames.joined_layers import FLOW_SECONDS, flow_seconds
from memviz_widgets.frames.quantise import NEG_INF_CODE

from .attention_cache import attention_cache, by_hand, query_key, shown, step_of
from .fake_cache import FakeLazy


def test_flow_is_that_of_the_analysis() -> None:
    layers = [query_key((2, 3, 7, 7), seed=seed, causal=True) for seed in range(3)]
    source = PageSource(attention_cache(*layers))
    expected = torch.stack(
        [attention.attention_flow([by_hand(each) for each in layers], query) for query in range(7)], 1
    )
    for sample, query in ((0, 0), (0, 6), (1, 4)):
        page = source.page(2, "flow", sample * 7 + query)
        assert shown(page)[0, 0] == pytest.approx(expected[sample, query].numpy(), abs=step_of(page))
        cells = [source.value(2, sample * 7 + query, 0, key, "flow") for key in range(7)]
        assert [cell.number for cell in cells] == pytest.approx(expected[sample, query].tolist(), abs=1e-6)
        assert [cell.index for cell in cells] == [(sample, -1, query, key) for key in range(7)]


def test_flow_through_one_layer_is_half_the_row_and_half_the_token_itself() -> None:
    source = PageSource(attention_cache(torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])))
    assert [source.value(0, 1, 0, key, "flow").number for key in (0, 1)] == [0.25, 0.75]
    assert source.page(0, "flow", 1).highs.tolist() == [0.75]


def test_where_nothing_can_flow_is_empty() -> None:
    page = PageSource(attention_cache(*[query_key((1, 2, 6, 6), causal=True)] * 3)).page(2, "flow", 3)
    assert (page.cells[0, 0] == NEG_INF_CODE).tolist() == [False] * 4 + [True] * 2


def test_flow_is_a_row_for_each_sample_and_query() -> None:
    plan = plan_attention((2, 3, 2500, 2500))
    assert plan.flow is not None and plan_attention((1, 1, 3, 4)).flow is None
    assert [(axis.trait, axis.size) for axis in plan.flow.axes] == [("sample", 2), ("query", 2500)]
    assert (plan.flow.rows, plan.flow.cols, plan.flow.pool_cols, plan.flow.frames_per_page) == (1, 834, 3, 1)


def test_entry_of_a_flow_is_there_where_that_of_a_rollout_is() -> None:
    records = build_catalog(attention_cache(query_key((1, 2, 3, 3)), query_key((1, 2, 4, 4))))["records"]
    first, second = (record["attention"] for record in records)
    assert first is not None and second is not None and second["flow"] is None
    assert first["flow"] is not None
    assert (first["flow"]["row_dim"], first["flow"]["row_trait"], first["flow"]["col_trait"]) == ("", "", "key")
    assert [axis["trait"] for axis in first["flow"]["axes"]] == ["sample", "query"]


def test_pooled_cell_is_the_largest_flow_of_its_keys() -> None:
    weights = torch.zeros(1, 1, 1030, 1030)
    weights[..., :2] = torch.tensor([0.25, 0.75])
    source = PageSource(attention_cache(weights))
    assert source.value(0, 5, 0, 0, "flow").index == (0, -1, 5, 1)
    assert source.page(0, "flow", 5).cells.shape == (1, 1, 515)


def test_layers_are_read_once_as_the_query_moves() -> None:
    value = FakeLazy(torch.rand(1, 2, 4, 4).softmax(-1))
    source = PageSource(attention_cache(value))
    source.page(0, "flow", 0)
    read = len(value.reads)
    source.page(0, "flow", 3)
    source.value(0, 3, 0, 2, "flow")
    assert len(value.reads) == read


def test_flow_of_a_query_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    flow = attention.attention_flow

    def counted(layers: list[Tensor], query: int, *, residual: float) -> Tensor:
        asked.append(query)
        return flow(layers, query, residual=residual)

    monkeypatch.setattr("memviz_widgets.frames.joined_layers.attention_flow", counted)
    source = PageSource(attention_cache(query_key((2, 2, 4, 4))))
    for frame in (1, 3, 1, 5, 1):
        source.page(0, "flow", frame)
        source.value(0, frame, 0, 0, "flow")
    assert asked == [1, 3, 1, 1], "frame 5 is query 1 of another sample, and only those of the last one are held"


def test_layers_that_do_not_follow_on_each_other_have_no_flow() -> None:
    source = PageSource(attention_cache(query_key((1, 2, 3, 3)), query_key((1, 2, 4, 4))))
    with pytest.raises(
        PageRefusedError, match=r"'layer.1 attention' has no flow: the attention layers up to it are not"
    ):
        source.page(1, "flow", 0)


def test_flow_that_takes_too_long_says_how_to_get_it() -> None:
    source = PageSource(attention_cache(*[query_key((1, 1, 128, 128))] * 3))
    source.page(1, "flow", 0)
    text = r"attention flow to 'layer.2 attention' is through 3 layers over 128 x 128 tokens: about 11 s for one query"
    with pytest.raises(PageRefusedError, match=f"{text}.*mv.analysis.attention.attention_flow\\(weights, query\\)"):
        source.page(2, "flow", 0)


@pytest.mark.parametrize(("layers", "tokens"), [(1, 2048), (2, 512), (6, 64), (12, 32), (24, 24)])
def test_what_takes_up_to_two_seconds_is_allowed(layers: int, tokens: int) -> None:
    assert flow_seconds(layers, tokens) < FLOW_SECONDS


@pytest.mark.parametrize(("layers", "tokens"), [(1, 4096), (2, 2048), (3, 128), (6, 96), (12, 64), (24, 48)])
def test_what_takes_longer_is_not(layers: int, tokens: int) -> None:
    assert flow_seconds(layers, tokens) > FLOW_SECONDS


def test_longest_flows_that_are_allowed_do_not_keep_one_waiting() -> None:
    for layers, tokens in ((6, 64), (12, 32)):
        source = PageSource(attention_cache(*causal_layers(layers, tokens)))
        started = time.perf_counter()
        page = source.page(layers - 1, "flow", tokens - 1)
        assert time.perf_counter() - started < 5 * FLOW_SECONDS, "far from the limit: two cores are shared"
        assert np.isfinite(page.highs).all()


def causal_layers(layers: int, tokens: int) -> list[Tensor]:
    """Causal, sharp, a sink on the first token: of the weights that were tried, among those that take longest."""
    generator = torch.Generator().manual_seed(0)
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    scores = torch.randn(layers, 1, 1, tokens, tokens, generator=generator) * 4
    scores[..., 0] += 4
    return list(scores.masked_fill(future, -torch.inf).softmax(-1))
