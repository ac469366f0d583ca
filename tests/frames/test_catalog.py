"""The catalog: order, geometry, messages, JSON."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from memviz_widgets.frames import build_catalog
from memviz_widgets.frames.catalog import RecordEntry

from .fake_cache import IMAGE, FakeCache


def entry_of(values: torch.Tensor, *dims: str, **fields: Any) -> RecordEntry:
    """The catalog's entry of one record, some of its fields replaced."""
    cache = FakeCache((values, dims))
    cache.change(0, **fields)
    return build_catalog(cache)["records"][0]


def test_layers_stand_in_the_order_of_first_completion() -> None:
    cache = FakeCache(*[(torch.zeros(1), ("channel",))] * 3)
    for index, path in enumerate(("b", "a", "")):
        cache.change(index, path=path)
    assert [layer["label"] for layer in build_catalog(cache)["layers"]] == ["b", "a", "(model)"]


def test_records_of_a_layer_stand_by_call() -> None:
    cache = FakeCache(*[(torch.zeros(1), ("channel",))] * 3)
    for index, call in enumerate((1, 0, 2)):  # a recursive call completes before the one it is in
        cache.change(index, call=call)
    layers = build_catalog(cache)["layers"]
    assert [layer["records"] for layer in layers] == [[[1, 0, 2]]]


def test_records_of_a_layer_stand_by_step_and_every_layer_has_all_steps() -> None:
    cache = FakeCache(*[(torch.zeros(1), ("channel",))] * 4)
    for index, (path, step, call) in enumerate((("a", 0, 0), ("b", 1, 1), ("b", 1, 0), ("a", 2, 0))):
        cache.change(index, path=path, step=step, call=call)
    layers = build_catalog(cache)["layers"]
    assert [layer["records"] for layer in layers] == [[[0], [], [3]], [[], [2, 1], []]]


def test_items_of_one_module_are_layers_of_their_own() -> None:
    cache = FakeCache(*[(torch.zeros(1), ("channel",))] * 2)
    cache.change(0, item="0")
    cache.change(1, item="1")
    layers = build_catalog(cache)["layers"]
    assert [(layer["label"], layer["records"]) for layer in layers] == [("conv[0]", [[0]]), ("conv[1]", [[1]])]


def test_attention_is_a_layer_beside_the_output_of_its_module() -> None:
    cache = FakeCache((torch.zeros(1, 2, 3, 3), ("batch", "head", "query", "key")), (torch.zeros(1), ("channel",)))
    cache.change(0, kind="attention", stats=None)
    catalog = build_catalog(cache)
    assert [(layer["label"], layer["kind"]) for layer in catalog["layers"]] == [
        ("conv attention", "attention"),
        ("conv", "output"),
    ]
    frame = catalog["records"][0]["frame"]
    assert frame is not None and (frame["row_dim"], frame["col_dim"]) == ("query", "key")
    assert [axis["trait"] for axis in frame["axes"]] == ["sample", "head"]
    assert catalog["records"][0]["stats"] is None


def test_picture_entry_says_what_a_cell_stands_for() -> None:
    entry = entry_of(torch.zeros(2, 3, 4, 2048), *IMAGE)
    assert entry["frame"] == {
        "rows": 4,
        "cols": 1024,
        "full_rows": 4,
        "full_cols": 2048,
        "pool_rows": 1,
        "pool_cols": 2,
        "row_dim": "height",
        "col_dim": "width",
        "row_trait": "",
        "col_trait": "",
        "axes": [{"trait": "sample", "dim": "batch", "size": 2}, {"trait": "channel", "dim": "channel", "size": 3}],
        "frames": 6,
        "frames_per_page": 6,
    }
    assert entry["channels"] == 3 and entry["extents"] == {"sample": 2, "channel": 3}


def test_range_is_finite_and_over_all_records() -> None:
    cache = FakeCache(
        (torch.tensor([-1.0, 2.0, math.inf]), ("channel",)), (torch.tensor([5.0, math.nan]), ("channel",))
    )
    catalog = build_catalog(cache)
    assert (catalog["lo"], catalog["hi"]) == (-1.0, 5.0)


def test_catalog_of_nothing() -> None:
    catalog = build_catalog(FakeCache())
    assert (catalog["layers"], catalog["records"], catalog["lo"], catalog["hi"]) == ([], [], None, None)


MESSAGES = [
    (torch.tensor([1.0, 2.0]), ("channel",), ""),
    (torch.zeros(0, 3), ("batch", "channel"), "empty: shape (0, 3)"),
    (torch.zeros(0), ("channel",), "empty: shape (0,)"),
    (torch.full((64, 64), math.nan), ("height", "width"), "all 4,096 values are NaN"),
    (torch.full((2,), -math.inf), ("channel",), "no value is finite: 0 NaN, 0 +Inf, 2 -Inf"),
    (torch.full((2,), 0.5), ("channel",), "every value is 0.5"),
    (torch.full((2,), 0.1), ("channel",), "every value is 0.1"),
    (torch.full((2,), 7), ("channel",), "every value is 7"),
    (torch.ones(2, dtype=torch.bool), ("channel",), "every value is True"),
    (torch.tensor(2.5), (), ""),
    (torch.tensor([0.5, 0.5, math.nan]), ("channel",), ""),
    (torch.tensor([1j, 2.0]), ("channel",), "|z| of complex values is shown"),
    (torch.tensor([3 + 4j, 5.0]), ("channel",), "every |z| is 5.0; |z| of complex values is shown"),
    (
        torch.arange(8192).reshape(1, 8192).expand(8192, 8192),
        ("height", "width"),
        "",
    ),
    (torch.arange(4).reshape(2, 2, 1, 1, 1), ("a", "b", "c", "height", "width"), "index 0 of c is shown"),
]


@pytest.mark.parametrize(("values", "dims", "message"), MESSAGES)
def test_message(values: torch.Tensor, dims: tuple[str, ...], message: str) -> None:
    if values.numel() > 10**6:  # the statistics of a large record are not what is tested
        assert entry_of(torch.zeros(1), shape=tuple(values.shape), dims=dims, stats=None)["message"] == message
    else:
        assert entry_of(values, *dims)["message"] == message


def test_record_that_is_not_kept_says_so_and_has_no_picture() -> None:
    entry = entry_of(torch.ones(2, 3), "batch", "channel", kept=False, note="not kept: 24 B over the budget")
    assert entry["message"] == "not kept: 24 B over the budget"
    assert (entry["frame"], entry["sheet"], entry["series"]) == (None, None, None)
    assert entry["extents"] == {"sample": 2, "channel": 3}, "its sliders keep their place while one scrubs past it"


def test_record_on_demand_has_pictures_and_the_facts_of_its_values() -> None:
    entry = entry_of(torch.full((2, 3), 0.5), "batch", "channel", kept=False, on_demand=True)
    assert (entry["kept"], entry["on_demand"], entry["message"]) == (False, True, "every value is 0.5")
    assert entry["frame"] is not None and entry["sheet"] is not None


def test_note_of_a_kept_record_comes_first() -> None:
    assert entry_of(torch.full((2,), 0.5), "channel", note="a view of its input")["message"] == (
        "a view of its input; every value is 0.5"
    )


def test_catalog_is_json_without_nan_and_infinity() -> None:
    cache = FakeCache((torch.tensor([math.nan, math.inf]), ("channel",)), (torch.ones(2), ("channel",)))
    stats = cache.records[1].stats
    assert stats is not None
    cache.change(1, stats=replace(stats, std=math.inf))  # values whose squares overflow
    read = json.loads(json.dumps(build_catalog(cache), allow_nan=False))["records"]
    assert read[0]["stats"]["min"] is None and read[1]["stats"]["std"] is None


def test_300_records_take_less_than_30_ms() -> None:
    cache = FakeCache(*[(torch.zeros(1, 64, 8, 8), IMAGE)] * 300)
    build_catalog(cache)
    started = time.perf_counter()
    build_catalog(cache)
    assert (time.perf_counter() - started) * 1000 < 30


def test_queries_of_attention_are_timesteps_too() -> None:
    entry = entry_of(torch.rand(1, 2, 4, 6), "batch", "head", "query", "key", kind="attention")
    assert entry["extents"] == {"sample": 1, "head": 2, "query": 4, "key": 6, "time": 4}
    assert "time" not in entry_of(torch.rand(4, 6), "query", "key")["extents"]
