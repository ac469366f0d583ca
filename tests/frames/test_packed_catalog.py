"""The catalog as it travels: nothing is lost, what is alike travels once, the browser is held to the same bytes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from memviz_widgets.frames import build_catalog
from memviz_widgets.frames.packed_catalog import PackedCatalog, pack_catalog

from .attention_cache import attention_cache, query_key
from .fake_cache import IMAGE, FakeCache
from .memory_world import lstm, memory_cache
from .unpacked import unpacked

SHARED = Path(__file__).parents[2] / "js/tests/packed_catalog.json"
"""One catalog and its columns, bytes as base64: js/tests/packed_catalog.test.ts reads it."""


def packed(catalog: Any) -> PackedCatalog:
    found: Any = pack_catalog(catalog)
    return found  # type: ignore[no-any-return]


def wire_bytes(value: Any) -> int:
    """JSON and buffers of a packed catalog."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + 4 + wire_bytes(item) for name, item in value.items())
    if isinstance(value, list):
        return 2 + sum(1 + wire_bytes(item) for item in value)
    return len(json.dumps(value))


def deep_cache(count: int) -> FakeCache:
    """Records of one shape in modules of their own, each with statistics of its own."""
    torch.manual_seed(0)
    cache = FakeCache(*[(torch.randn(1, 2, 2, 2), IMAGE) for _ in range(count)])
    for index in range(count):
        cache.change(index, path=f"blocks.{index}.conv")
    return cache


@pytest.mark.parametrize(
    "cache",
    [
        FakeCache(),
        deep_cache(300),  # more different numbers than are listed
        attention_cache(query_key((1, 2, 3, 3)), query_key((1, 2, 4, 4))),
        memory_cache(lstm(batch=2, steps=6)),
    ],
    ids=["nothing", "many", "attention", "memory"],
)
def test_every_entry_comes_back_as_it_was(cache: Any) -> None:
    catalog = build_catalog(cache)
    assert unpacked(packed(catalog)) == catalog


def test_labels_steps_and_calls_come_back() -> None:
    cache = FakeCache(*[(torch.zeros(1, 2), ("batch", "channel"))] * 5)
    for index, (path, kind, item, step, call) in enumerate(
        [("a", "output", "", 0, 0), ("a", "output", "", 2, 1), ("a", "output", "", 2, 0), ("a", "hidden", "1", 1, 0)]
    ):
        cache.change(index, path=path, kind=kind, item=item, step=step, call=call)
    cache.change(4, path="")
    catalog = build_catalog(cache)
    assert [layer["label"] for layer in catalog["layers"]] == ["a", "a[1] hidden", "(model)"]
    assert catalog["layers"][0]["records"] == [[0], [], [2, 1]]
    assert unpacked(packed(catalog)) == catalog
    renamed = {**catalog, "layers": [{**catalog["layers"][0], "label": "told otherwise"}]}
    assert unpacked(packed(renamed)) == renamed


@pytest.mark.parametrize("lost", [None, 0.1, 1e300])
def test_numbers_keep_all_their_digits(lost: float | None) -> None:
    catalog = build_catalog(deep_cache(300))
    stats: Any = catalog["records"][7]["stats"]
    stats["min"] = lost
    column = packed(catalog)["records"]["nested"]["stats"]["columns"]["min"]
    assert column["dtype"] == ("float32" if lost is None else "float64")
    assert unpacked(packed(catalog))["records"][7]["stats"]["min"] == lost


def test_records_without_statistics_have_none() -> None:
    cache = deep_cache(3)
    cache.change(1, stats=None)
    catalog = build_catalog(cache)
    assert packed(catalog)["records"]["nested"]["stats"]["count"] == 2
    assert unpacked(packed(catalog)) == catalog


def test_a_record_more_costs_some_fifty_bytes() -> None:
    few, many = (wire_bytes(packed(build_catalog(deep_cache(count)))) for count in (500, 1500))
    assert (many - few) / 1000 < 60, "its path, its place in the columns, its statistics"


def test_a_store_without_a_recording_has_nothing_to_pack() -> None:
    assert pack_catalog({}) == {}


def test_the_browsers_test_reads_what_is_sent() -> None:
    """To write the file anew: ``python -m tests.frames.test_packed_catalog``."""
    assert json.loads(SHARED.read_text()) == shared_example()


def shared_example() -> dict[str, Any]:
    """A catalog with memories and statistics, some of them None, and its columns."""
    cache = memory_cache(lstm(batch=2, steps=6))
    catalog = build_catalog(cache)
    catalog["records"][1]["stats"] = None
    example: dict[str, Any] = {"catalog": catalog, "packed": _as_text(packed(catalog))}
    long = build_catalog(deep_cache(300))
    long["records"] = [{**record, "frame": None, "sheet": None} for record in long["records"]]
    return {**example, "many": _as_text(packed(long)), "means": [_mean(record) for record in long["records"]]}


def _mean(record: Any) -> float:
    return float(record["stats"]["mean"])


def _as_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _as_text(item) for name, item in value.items()}
    return [_as_text(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    SHARED.write_text(json.dumps(shared_example(), indent=1) + "\n")
