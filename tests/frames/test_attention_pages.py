"""The numbers of single cells, head measures as a page, a long layer, and the sentences of refusals."""

from __future__ import annotations

import time

import pytest
import torch

from memviz_widgets.errors import NotKeptError, PageRefusedError
from memviz_widgets.frames import PageSource, build_catalog, joined_layers
from memviz_widgets.frames.attention_heads import HEAD_MEASURES
from memviz_widgets.frames.page import ATTENTION_KINDS

from .attention_cache import attention_cache, by_hand, query_key
from .fake_cache import FakeCache, FakeLazy

SHAPE = (2, 3, 4, 5)


@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 2, 3, 4), (1, 0, 2, 1)])
@pytest.mark.parametrize("kind", ["frame", "row", "log", "tiles"])
def test_number_of_a_cell_of_one_head_is_the_weight_itself(kind: str, place: tuple[int, int, int, int]) -> None:
    value = query_key(SHAPE)
    sample, head, query, key = place
    cell = PageSource(attention_cache(value)).value(0, sample * 3 + head, query, key, kind)
    assert cell.number == pytest.approx(by_hand(value)[place].item(), abs=1e-6)
    assert cell.index == place


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_number_of_a_cell_over_heads_is_that_of_the_map(kind: str) -> None:
    value = query_key(SHAPE)
    weights = by_hand(value)[1, :, 2, 4]
    cell = PageSource(attention_cache(value)).value(0, 1, 2, 4, kind)
    assert cell.number == pytest.approx((weights.mean() if kind == "mean" else weights.max()).item(), abs=1e-6)
    assert cell.index == (1, -1, 2, 4)


def test_number_of_a_difference_is_signed() -> None:
    source = PageSource(attention_cache(torch.tensor([[[[1.0, 0.0]], [[0.25, 0.75]]]])))
    assert [source.value(0, 1, 0, key, "difference").number for key in (0, 1)] == [0.75, -0.75]
    assert [source.value(0, 2, 0, key, "difference").text for key in (0, 1)] == ["-0.75", "0.75"]
    assert source.value(0, 2, 0, 1, "difference").index == (0, 1, 0, 1)


def test_number_of_a_pooled_share_is_the_weight_with_the_largest_share() -> None:
    weights = torch.zeros(1, 1, 2048, 4)
    weights[..., 0, :2] = torch.tensor([0.5, 0.5])
    weights[..., 1, :2] = torch.tensor([0.1, 0.9])
    source = PageSource(attention_cache(weights))
    assert source.value(0, 0, 0, 0, "row").index == (0, 0, 0, 0), "0.5 is its row's largest weight, 0.1 is not"
    assert source.value(0, 0, 0, 1, "row").number == pytest.approx(0.5), "the first of equal shares"
    assert source.value(0, 0, 0, 1, "frame").number == pytest.approx(0.9)


def test_heads_are_a_page_per_sample_with_a_row_per_measure() -> None:
    source = PageSource(attention_cache(query_key(SHAPE)))
    page = source.page(0, "heads", 1)
    assert (page.dtype, page.shape, page.lo.nbytes, page.sampled) == ("float32", (len(HEAD_MEASURES), 1, 3), 0, False)
    with pytest.raises(PageRefusedError, match=r"'layer.0 attention' has heads pages 0 .. 1, got 2\."):
        source.page(0, "heads", 2)


def test_induction_is_measured_by_the_texts_of_its_own_sample() -> None:
    weights = torch.eye(4).expand(2, 1, 4, 4).clone()
    weights[1, 0, 2] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # token 2 looks at what followed its like
    texts = [[list("abcd"), list("abad")]]
    source = PageSource(attention_cache(weights, texts=texts))
    row = HEAD_MEASURES.index("induction")
    assert source.page(0, "heads", 0).cells[row, 0].tolist() == [pytest.approx(float("nan"), nan_ok=True)]
    assert source.page(0, "heads", 1).cells[row, 0].tolist() == [1.0]


def test_2048_tokens_of_16_heads_do_not_keep_one_waiting() -> None:
    value = query_key((1, 16, 2048, 2048), key_heads=4, causal=True)
    source = PageSource(attention_cache(value))
    source.page(0, "frame", 0)
    took = {}
    for kind, page in (("frame", 3), ("tiles", 0), ("heads", 0)):
        started = time.perf_counter()
        assert source.page(0, kind, page).sampled == (kind != "frame")
        took[kind] = time.perf_counter() - started
    assert took["frame"] < 2 and took["tiles"] + took["heads"] < 3, "far from the limit: two cores are shared"


def test_every_page_of_the_catalog_can_be_had() -> None:
    cache = attention_cache(query_key((2, 3, 6, 6)), query_key((2, 3, 6, 6), causal=True))
    source = PageSource(cache)
    for index, record in enumerate(build_catalog(cache)["records"]):
        attention = record["attention"]
        assert attention is not None
        for kind in ATTENTION_KINDS:
            if kind != "heads":
                entry = attention[kind]  # type: ignore[typeddict-item]
                pages = -(-entry["frames"] // entry["frames_per_page"])
                shapes = [source.page(index, kind, page).shape for page in range(pages)]
                assert sum(shape[0] for shape in shapes) == entry["frames"], kind
                assert {shape[1:] for shape in shapes} == {(entry["rows"], entry["cols"])}, kind


def test_nothing_is_read_before_it_is_asked_for() -> None:
    value = FakeLazy(torch.rand(1, 2, 4, 4))
    cache = attention_cache(value)
    build_catalog(cache)
    PageSource(cache)
    assert value.reads == []


def test_hovering_a_rollout_computes_it_once() -> None:
    value = FakeLazy(torch.rand(1, 2, 4, 4).softmax(-1))
    source = PageSource(attention_cache(value))
    source.page(0, "rollout", 0)
    read = len(value.reads)
    source.value(0, 0, 1, 2, "rollout")
    assert len(value.reads) == read


@pytest.mark.parametrize("kind", ATTENTION_KINDS)
def test_what_is_no_attention_has_no_such_page(kind: str) -> None:
    source = PageSource(FakeCache((torch.ones(2, 3), ("time", "channel"))))
    text = f"record 'conv' has no {kind}: that is of attention weights \\(batch, head, query, key\\) only\\."
    with pytest.raises(PageRefusedError, match=text):
        source.page(0, kind, 0)
    with pytest.raises(PageRefusedError, match=text):
        source.value(0, 0, 0, 0, kind)


def test_one_head_has_no_difference() -> None:
    source = PageSource(attention_cache(query_key((1, 1, 3, 3))))
    with pytest.raises(PageRefusedError, match=r"record 'layer.0 attention' has no difference: it has one head"):
        source.page(0, "difference", 0)


@pytest.mark.parametrize("shapes", [[(1, 2, 3, 4)], [(1, 2, 3, 3), (1, 2, 4, 4)]], ids=["cross", "other tokens"])
def test_layers_that_do_not_follow_on_each_other_have_no_rollout(shapes: list[tuple[int, int, int, int]]) -> None:
    source = PageSource(attention_cache(*map(query_key, shapes)))
    with pytest.raises(PageRefusedError, match="has no rollout: the attention layers up to it are not all self-atten"):
        source.page(len(shapes) - 1, "rollout", 0)


def test_rollout_that_is_too_much_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz_widgets.frames.joined_layers.ROLLOUT_CELLS", 3 * 3 * 2 - 1)
    source = PageSource(attention_cache(query_key((1, 2, 3, 3)), query_key((1, 2, 3, 3))))
    source.page(0, "rollout", 0)
    text = r"the rollout to 'layer.1 attention' is of 2 layers over 3 x 3 tokens: .* mv.analysis.attention.rollout"
    with pytest.raises(PageRefusedError, match=text):
        source.page(1, "rollout", 0)


def test_limit_of_a_rollout_lets_a_vision_transformer_through() -> None:
    assert 197 * 197 * 12 < 512 * 512 * 24 < joined_layers.ROLLOUT_CELLS < 2048 * 2048 * 12


def test_layer_without_values_is_named_by_the_rollout() -> None:
    cache = attention_cache(query_key((1, 2, 3, 3)), query_key((1, 2, 3, 3)))
    given = cache.value

    def value(record: object) -> object:
        if record is cache.records[0]:
            raise NotKeptError("'layer.0 attention' has no values here")
        return given(record)  # type: ignore[arg-type]

    cache.value = value  # type: ignore[method-assign, assignment]
    with pytest.raises(PageRefusedError, match=r"'layer.0 attention' has no values here"):
        PageSource(cache).page(1, "rollout", 0)


@pytest.mark.parametrize("kind", ["heads", "rollout"])
def test_what_are_no_weights_is_refused_where_it_must_be_weights(kind: str) -> None:
    source = PageSource(attention_cache(torch.full((1, 2, 3, 3), 0.9)))
    with pytest.raises(PageRefusedError, match=r"sums to 2\.7"):
        source.page(0, kind, 0)
    assert source.page(0, "mean", 0).shape == (1, 3, 3), "but it can be looked at"


def test_measures_and_unknown_kinds_have_no_cells() -> None:
    source = PageSource(attention_cache(query_key(SHAPE)))
    with pytest.raises(PageRefusedError, match=r"heads of record 'layer.0 attention' are measures, without cells"):
        source.value(0, 0, 0, 0, "heads")
    with pytest.raises(PageRefusedError, match="no values of kind 'median'; ask for one of frame, tiles, row"):
        source.value(0, 0, 0, 0, "median")
    with pytest.raises(PageRefusedError, match=r"has frames 0 .. 1 of 4 x 5 cells, got frame 2, cell \(0, 0\)\."):
        source.value(0, 2, 0, 0, "mean")
