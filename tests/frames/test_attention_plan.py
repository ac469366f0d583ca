"""Geometry of the maps of attention weights, and which layers a rollout goes through."""

from __future__ import annotations

import torch

from memviz_widgets.frames import build_catalog
from memviz_widgets.frames.attention_plan import plan_attention, rollout_chains
from memviz_widgets.frames.plan import PAGE_BYTES

from .attention_cache import attention_cache, query_key
from .fake_cache import FakeCache


def layers(*shapes: tuple[int, int, int, int]) -> FakeCache:
    return attention_cache(*[query_key(shape) for shape in shapes or [(1, 2, 3, 3)]])


def counted(cache: FakeCache) -> dict[int, list[int]]:
    """Index of a record -> the layers of its rollout."""
    return {index: indices[:count] for index, (indices, count) in rollout_chains(cache.records).items()}


def test_axes_of_the_maps() -> None:
    plan = plan_attention((2, 3, 5, 7))
    assert plan.difference is not None
    for picture, traits in (
        (plan.tiles, ["sample", "head"]),
        (plan.row, ["sample", "head"]),
        (plan.mean, ["sample"]),
        (plan.difference, ["sample", "head", "other"]),
    ):
        assert [axis.trait for axis in picture.axes] == traits
        assert (picture.rows, picture.cols) == (5, 7)
    assert plan.difference.frames == 2 * 3 * 3 and plan.rollout is None


def test_long_maps_are_made_small_as_their_frame_is() -> None:
    plan = plan_attention((1, 16, 2048, 3000))
    assert (plan.row.rows, plan.row.cols) == (1024, 1000)
    assert (plan.tiles.rows, plan.tiles.cols) == (32, 32)


def test_a_page_of_tiles_is_a_sample_and_one_of_differences_a_head() -> None:
    plan = plan_attention((4, 12, 64, 64))
    assert plan.difference is not None
    assert (plan.tiles.frames_per_page, plan.difference.frames_per_page) == (12, 12)


def test_pages_stay_small_whatever_the_heads() -> None:
    plan = plan_attention((64, 96, 512, 512))
    assert plan.difference is not None
    for picture in (plan.row, plan.mean, plan.difference):
        assert picture.frames_per_page * picture.rows * picture.cols <= PAGE_BYTES


def test_one_head_has_no_difference_and_a_square_map_may_have_a_rollout() -> None:
    plan = plan_attention((1, 1, 4, 4))
    assert plan.difference is None and plan.rollout is not None


def test_rollout_goes_from_the_first_layer_on() -> None:
    assert counted(layers(*[(1, 2, 3, 3)] * 3)) == {0: [0], 1: [0, 1], 2: [0, 1, 2]}


def test_rollout_ends_where_tokens_change() -> None:
    assert counted(layers((1, 2, 3, 3), (1, 4, 3, 3), (1, 2, 4, 4), (1, 2, 3, 3))) == {0: [0], 1: [0, 1]}


def test_there_is_none_from_cross_attention_on() -> None:
    assert counted(layers((1, 2, 3, 4), (1, 2, 3, 3))) == {}


def test_steps_have_rollouts_of_their_own() -> None:
    cache = layers((1, 2, 3, 3), (1, 2, 4, 4))
    cache.change(1, step=1, path="layer.0")
    assert counted(cache) == {0: [0], 1: [1]}


def test_calls_of_several_modules_are_passes_through_the_model() -> None:
    cache = layers(*[(1, 2, 3, 3)] * 4)
    for index, (path, call) in enumerate((("a", 0), ("b", 0), ("a", 1), ("b", 1))):
        cache.change(index, path=path, call=call)
    assert counted(cache) == {0: [0], 1: [0, 1], 2: [2], 3: [2, 3]}


def test_calls_of_one_module_are_layers() -> None:
    cache = layers(*[(1, 2, 3, 3)] * 3)
    for index in range(3):
        cache.change(index, path="shared", call=index)
    assert counted(cache)[2] == [0, 1, 2]


def test_calls_that_overlap_have_no_order_of_layers() -> None:
    cache = layers(*[(1, 2, 3, 3)] * 4)
    for index, (path, call) in enumerate((("a", 0), ("a", 1), ("b", 0), ("b", 1))):
        cache.change(index, path=path, call=call)
    assert counted(cache) == {}


def test_decoder_of_equal_length_does_not_go_on_from_the_encoder() -> None:
    cache = layers(*[(1, 2, 3, 3)] * 2)
    for index, path in enumerate(("encoder.layers.0.self_attn", "decoder.layers.0.self_attn")):
        cache.change(index, path=path)
    assert counted(cache) == {0: [0]}


def test_two_kinds_of_attention_in_one_layer_are_not_two_layers() -> None:
    cache = layers(*[(1, 2, 3, 3)] * 2)
    for index, path in enumerate(("layers.0.self_attn", "layers.0.multihead_attn")):
        cache.change(index, path=path, caller=("layers.0", 0))
    assert counted(cache) == {0: [0]}


def test_layer_without_values_ends_it() -> None:
    cache = layers(*[(1, 2, 3, 3)] * 3)
    cache.change(1, kept=False)
    assert counted(cache) == {0: [0]}


def test_entry_of_a_record_of_attention() -> None:
    entry = build_catalog(layers((2, 3, 5, 5)))["records"][0]["attention"]
    assert entry is not None and (entry["queries"], entry["keys"], entry["heads"]) == (5, 5, 3)
    assert entry["rollout"] is not None and entry["difference"] is not None
    assert entry["difference"]["axes"][2] == {"trait": "other", "dim": "head", "size": 3}
    assert entry["query_tokens"] == entry["key_tokens"] == {"sequence": -1, "offset": 0}


def test_other_records_have_no_entry() -> None:
    shown = layers((1, 2, 3, 3), (1, 2, 3, 3), (1, 2, 0, 3))
    shown.change(0, kind="output")
    shown.change(1, kept=False, note="not kept")
    assert [record["attention"] for record in build_catalog(shown)["records"]] == [None] * 3
    weights = FakeCache((torch.ones(3, 3), ("query", "key")))
    weights.change(0, kind="attention")
    assert build_catalog(weights)["records"][0]["attention"] is None, "its dims are not those of weights"
