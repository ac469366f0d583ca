"""Memories in the catalog: parts, forms, laws, phases, texts, ranges; layers of joined records; the warning."""

from __future__ import annotations

import json

import pytest
import torch

from memviz_widgets.frames import build_catalog
from memviz_widgets.frames.entries import Catalog
from memviz_widgets.frames.memory_entries import ENTRY_MEASURES

from .fake_cache import FakeCache, stats_of
from .memory_world import AFTER, BEFORE, CACHED, VECTOR, lstm, memory_cache, numbers, slots

WEIGHTS = ("batch", "head", "query", "key")


def kinds_of(catalog: Catalog, memory: int = 0) -> list[str]:
    return [catalog["layers"][place]["kind"] for place in catalog["memories"][memory]["layers"]]


def test_memory_of_an_lstm() -> None:
    catalog = build_catalog(memory_cache(lstm()))
    (memory,) = catalog["memories"]
    assert (memory["label"], memory["form"], memory["phase"], memory["attention"]) == ("enc l0", "vector", "", -1)
    assert memory["law"] == "cell_t = f_t · cell_{t-1} + i_t · g_t"
    assert kinds_of(catalog) == ["cell", "hidden", "gate.i", "gate.f", "gate.g"]
    assert catalog["layers"][memory["content"]]["kind"] == "cell"
    json.dumps(catalog, allow_nan=False)


def test_what_the_parts_of_an_lstm_show() -> None:
    frames = [record["memory"] for record in build_catalog(memory_cache(lstm()))["records"]]
    cell, gate = frames[0], frames[2]
    assert cell is not None and gate is not None
    assert (cell["memory"], cell["units"], cell["lags"], cell["saturation"], cell["pinned"]) == (
        0,
        "channel",
        6,
        False,
        None,
    )
    assert (gate["lags"], gate["saturation"], gate["pinned"]) == (0, True, [0, 1])
    assert cell["wrote"] is not None and cell["wrote"] == gate["wrote"] and cell["reads"] is None
    assert cell["wrote"]["row_dim"] == "read at" and cell["wrote"]["col_dim"] == "written at"


@pytest.mark.parametrize(("note", "phase"), [(AFTER, "after_write"), (BEFORE, "before_write")])
def test_memory_of_slots(note: str, phase: str) -> None:
    cache = memory_cache(slots())
    cache.change(4, note=note)
    catalog = build_catalog(cache)
    (memory,) = catalog["memories"]
    assert (memory["form"], memory["phase"]) == ("slots", phase)
    assert memory["law"].startswith("memory_t = (1 - w_t e_t")
    reads = catalog["records"][4]["memory"]
    assert reads is not None and reads["reads"] is not None
    assert [axis["trait"] for axis in reads["reads"]["axes"]] == ["sample", "head"]
    assert catalog["records"][0]["extents"] == {"sample": 2, "time": 5, "slot": 4, "axis": 3}


def test_reads_need_a_phase() -> None:
    reads = build_catalog(memory_cache(slots()))["records"][4]["memory"]
    assert reads is not None and reads["reads"] is None and reads["wrote"] is not None


@pytest.mark.parametrize(
    ("kind", "dims", "form"),
    [
        ("state", ("batch", "time", "channel", "state"), "matrix"),
        ("state", ("batch", "time", "head", "channel"), "vector"),
        ("hidden", VECTOR, "vector"),
        ("key", CACHED, "kv"),
        ("association", ("batch", "head", "query", "slot"), "association"),
        ("read_weights", ("batch", "time", "head", "slot"), "slots"),
    ],
)
def test_form_by_kinds_without_a_law(kind: str, dims: tuple[str, ...], form: str) -> None:
    (memory,) = build_catalog(memory_cache({kind: (torch.ones([2] * len(dims)), dims)}))["memories"]
    assert (memory["form"], memory["law"]) == (form, "")
    assert memory["content"] == (-1 if kind == "read_weights" else 0)


def test_attention_of_a_cache_is_the_layer_of_its_module() -> None:
    cache = FakeCache(
        (torch.ones(1, 2, 3, 3), WEIGHTS), (torch.ones(1, 2, 3, 4), CACHED), (torch.ones(1, 2, 3, 4), CACHED)
    )
    cache.change(0, kind="attention")
    cache.change(1, kind="key", memory="conv")
    cache.change(2, kind="value", memory="conv")
    catalog = build_catalog(cache)
    (memory,) = catalog["memories"]
    assert (memory["form"], memory["attention"], memory["content"]) == ("kv", 0, 1)
    key = catalog["records"][1]["memory"]
    assert key is not None and key["entries"] == 2 and catalog["entry_measures"] == list(ENTRY_MEASURES)
    assert catalog["records"][0]["memory"] is None


@pytest.mark.parametrize(
    ("texts", "place", "sent"),
    [
        ([[["a"] * 6]], 0, 2),
        ([[["a"] * 7], [["b"] * 6]], 1, 2),
        ([[["a"] * 5], [["b"] * 9]], 1, 2),
        ([[["a"] * 5]], -1, 1),
        ([[["a"] * 6] * 3], -1, 3),
    ],
)
def test_texts_along_time(texts: list[list[list[str]]], place: int, sent: int) -> None:
    catalog = build_catalog(memory_cache(lstm(batch=2, steps=6), texts=texts))
    memory = catalog["records"][0]["memory"]
    assert memory is not None and memory["tokens"] == {"sequence": place, "offset": 0}
    assert len(catalog["tokens"][place if place >= 0 else 0]) == sent, "one for all is sent once per sample"


def test_exponential_gates_are_not_pinned() -> None:
    gate = torch.tensor([0.5, 3.0]).reshape(1, 2, 1)
    cache = memory_cache({"gate.i": (gate, VECTOR)})
    cache.change(0, stats=stats_of(gate))
    memory = build_catalog(cache)["records"][0]["memory"]
    assert memory is not None and memory["pinned"] is None


def test_joined_records_are_layers_in_place_of_their_parts() -> None:
    one = (torch.ones(2, 3), ("batch", "channel"))
    cache = FakeCache(one, one, (numbers(2, 2, 3), VECTOR))
    for index in range(3):
        cache.change(index, kind="hidden", memory="conv", step=min(index, 1))
    cache.change(2, step=0, parts=(0, 1))
    catalog = build_catalog(cache)
    assert [layer["records"] for layer in catalog["layers"]] == [[[2], [2]]], "of every step that it joins"
    assert catalog["records"][0]["memory"] is None and catalog["records"][2]["memory"] is not None


def test_attention_that_is_joined_as_hops_stays_a_layer() -> None:
    hop = (torch.full((2, 1, 1, 3), 1 / 3), WEIGHTS)
    cache = FakeCache(hop, hop, (torch.full((2, 2, 1, 3), 1 / 3), ("batch", "time", "head", "slot")))
    for index in range(2):
        cache.change(index, kind="attention", path=f"hop.{index}")
    cache.change(2, kind="read_weights", memory="hops", parts=(0, 1))
    catalog = build_catalog(cache)
    assert [layer["kind"] for layer in catalog["layers"]] == ["attention", "attention", "read_weights"]
    (memory,) = catalog["memories"]
    assert (memory["form"], memory["content"], memory["layers"]) == ("slots", -1, [2])


def test_part_without_values_belongs_to_the_memory_and_shows_nothing() -> None:
    cache = memory_cache(lstm())
    cache.change(1, kept=False, note="dropout between layers: record in eval()")
    catalog = build_catalog(cache)
    gate = catalog["records"][1]["memory"]
    assert gate is not None and (gate["time"], gate["wrote"], gate["saturation"]) == (None, None, False)
    assert catalog["memories"][0]["law"] == "" and "dropout between layers" in catalog["memories"][0]["note"]


def test_two_memories_keep_their_parts_apart() -> None:
    parts = lstm()
    cache = FakeCache(*parts.values(), *parts.values())
    for index, kind in enumerate([*parts, *parts]):
        layer = "l0" if index < len(parts) else "l1"
        cache.change(index, kind=kind, item=layer, memory=f"conv {layer}", stats=None)
    catalog = build_catalog(cache)
    assert [memory["label"] for memory in catalog["memories"]] == ["conv l0", "conv l1"]
    assert catalog["memories"][1]["content"] == 5


def test_recovered_values_that_are_far_off_are_not_trusted() -> None:
    cache = memory_cache(lstm())
    cache.change(0, residual=3e-3)
    cache.change(1, residual=9e-5)
    records = build_catalog(cache)["records"]
    assert records[0]["message"] == "not trusted: recovered values differ by up to 3e-3 from what the module returned"
    assert records[1]["message"] == ""
