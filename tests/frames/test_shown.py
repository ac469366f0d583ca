"""Which map is shown at a cursor: of any record, of the attention and of the memory that belong to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.entries import Catalog
from memviz_widgets.frames.record_facts import pooling_note, record_facts
from memviz_widgets.frames.shown import flat_index, nearest_layer, not_run, shown_frame, texts_along
from memviz_widgets.frames.shown_attention import attention_layer, shown_attention
from memviz_widgets.frames.shown_memory import memory_layer, part_name, shown_memory, strips

WORDS = ["the", "cat", "sat", "on"]


def catalog_of(model: nn.Module, x: torch.Tensor, **options: Any) -> Catalog:
    with torch.no_grad():
        return build_catalog(mv.ActivationCache.capture(model, x, **options))


@pytest.fixture(scope="module")
def encoder() -> Catalog:
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    return catalog_of(model, torch.randn(2, 4, 8), tokens=[WORDS, WORDS[::-1]])


@pytest.fixture(scope="module")
def lstm() -> Catalog:
    torch.manual_seed(0)
    return catalog_of(nn.LSTM(3, 6, batch_first=True), torch.randn(1, 4, 3), tokens=WORDS)


def at(catalog: Catalog, label: str) -> int:
    return [layer["label"] for layer in catalog["layers"]].index(label)


def test_the_frame_of_a_record_is_counted_over_its_axes() -> None:
    catalog = catalog_of(nn.Conv2d(1, 4, 3), torch.randn(3, 1, 8, 8))
    shown = shown_frame(catalog, {"sample": 2, "channel": 1})
    assert (shown.flat, shown.words) == (2 * 4 + 1, ("batch 2 of 3", "channel 1 of 4"))
    assert shown.picture is not None and flat_index(shown.picture, {"sample": 9, "channel": 9}) == 11  # moved inside
    assert shown.place is not None
    assert record_facts(shown.place.record).split(" \N{MIDDLE DOT} ")[1:3] == ["float32", "1.7 KiB"]


def test_a_pooled_picture_says_how_much_one_cell_stands_for() -> None:
    shown = shown_frame(catalog_of(nn.Identity(), torch.randn(1, 1, 2048, 4)), {})
    assert pooling_note(shown.picture) == "1 of 2 \N{MULTIPLICATION SIGN} 1 cells shown: largest |x|"
    assert pooling_note(shown_frame(catalog_of(nn.Identity(), torch.randn(1, 1, 4, 4)), {}).picture) == ""


def test_the_attention_that_belongs_to_a_layer(encoder: Catalog) -> None:
    first, second = (at(encoder, f"layers.{number}.self_attn attention") for number in (0, 1))
    assert attention_layer(encoder, first) == first
    assert attention_layer(encoder, at(encoder, "layers.1")) == second  # inside it
    assert attention_layer(encoder, at(encoder, "layers.0.linear1")) == second  # the next one
    assert nearest_layer(encoder, [], 0) == -1


@pytest.mark.parametrize(
    ("kind", "page", "words"),
    [
        ("weights", "frame", "head 1 of 2"),
        ("row", "row", "head 1 of 2, each row in shares of its largest weight"),
        ("mean", "mean", "mean of 2 heads"),
        ("difference", "difference", "head 1 minus head 0"),
    ],
)
def test_maps_of_an_attention(encoder: Catalog, kind: str, page: str, words: str) -> None:
    layer = at(encoder, "layers.0.self_attn attention")
    shown = shown_attention(encoder, {"layer": layer, "head": 1, "sample": 1}, kind, 0)
    assert (shown.kind, shown.words) == (page, ("batch 1 of 2", words))
    texts = texts_along(encoder, shown, "key", {"sample": 1})
    assert texts is not None and [texts(index) for index in range(5)] == [*WORDS[::-1], None]


def test_code_253_is_an_exact_0_of_weights_but_not_of_a_difference(encoder: Catalog) -> None:
    kinds = ("weights", "difference")
    assert [shown_attention(encoder, {}, kind, 1).empty_zeros for kind in kinds] == [True, False]


def test_a_model_without_attention_or_memory_says_so() -> None:
    catalog = catalog_of(nn.Linear(2, 2), torch.randn(1, 2))
    assert shown_attention(catalog, {}, "weights", 0).absence.startswith("No attention was found")
    assert shown_memory(catalog, {}, "time", "index", True).absence.startswith("No memory was found")
    assert not_run("conv1", {"step": 3}) == "conv1 did not run in step 3"


def test_maps_of_a_memory(lstm: Catalog) -> None:
    layer = at(lstm, "(model)[l0] cell")
    cursor = {"layer": layer, "channel": 5, "time": 2}
    time = shown_memory(lstm, cursor, "time", "timescale", False)
    assert (time.kind, time.order) == ("timescale", "by time constant, longest first")
    wrote = shown_memory(lstm, cursor, "wrote", "index", False)
    assert (wrote.kind, wrote.flat, wrote.empty_zeros) == ("wrote_unit", 5, True)
    assert wrote.words[:2] == ("cell of (model) l0", "channel 5 of 6")
    assert "has no read weights" in shown_memory(lstm, cursor, "reads", "index", True).absence


def test_a_layer_that_is_no_memory_leads_to_the_one_it_belongs_to(lstm: Catalog) -> None:
    assert memory_layer(lstm, at(lstm, "(model)[0]")) in lstm["memories"][0]["layers"]


def test_strips_are_the_parts_in_order_with_their_ranges(lstm: Catalog) -> None:
    found = strips(lstm, {"layer": at(lstm, "(model)[l0] cell")}, "index")
    assert [(strip.name, strip.pinned) for strip in found][:3] == [
        ("cell state", None),
        ("hidden state", None),
        ("input gate i", (0.0, 1.0)),
    ]
    assert part_name("link_matrix") == "link matrix"
