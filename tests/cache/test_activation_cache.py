"""ActivationCache: names, values by name, errors, bytes, closing."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import ClosedError, NotKeptError, UnknownRecordError


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU())


@pytest.fixture
def cache() -> ActivationCache:
    return ActivationCache.capture(two_layers(), torch.ones(2, 4), tokens=["a"], image="picture")


@pytest.fixture
def lstm() -> ActivationCache:
    return ActivationCache.capture(nn.ModuleDict({"enc": nn.LSTM(3, 4)}), call=lambda m: m["enc"](torch.ones(5, 1, 3)))


def test_names_come_in_execution_order(cache: ActivationCache) -> None:
    assert cache.names() == ("0", "1", "") == tuple(cache)
    assert len(cache) == 3 and "0" in cache and "conv" not in cache and 0 not in cache


def test_first_item_is_the_default(lstm: ActivationCache) -> None:
    assert lstm["enc"].shape == (5, 1, 4)
    assert torch.equal(lstm["enc"][-1:], lstm.get("enc", item="1.0"))


def test_bytes_count_each_value_once(cache: ActivationCache) -> None:
    assert cache.held_bytes == cache.recorded_bytes == 64
    assert cache.budget_bytes == 1 << 30


def test_tokens_and_image_are_kept(cache: ActivationCache) -> None:
    assert cache.tokens == ["a"] and cache.image == "picture"


def test_repr_is_one_short_line(cache: ActivationCache) -> None:
    assert repr(cache) == "<ActivationCache: 3 modules, 3 records, 64 B of 1.0 GiB>"
    cache.close()
    assert repr(cache) == "<ActivationCache: 3 modules, 3 records, closed>"


@pytest.mark.parametrize(
    ("path", "options", "text"),
    [
        ("en", {}, r"no record 'en' \(1 recorded\); nearest is 'enc'. List them with cache.names\(\)."),
        ("zzzzzz", {}, r"no record 'zzzzzz' \(1 recorded\). List them"),
        ("", {}, r"no record '': this module did not run. List records with cache.names\(\)."),
        ("enc", {"kind": "usage"}, r"'enc' has no kind 'usage'; there is 'output', 'hidden', 'cell', 'gate.i', "),
        ("enc", {"call": 7}, r"'enc' has no call 7; there is 0."),
        ("enc", {"item": "2"}, r"call 0 of 'enc' has no item '2'; there is '0', '1.0', '1.1'."),
    ],
)
def test_unknown_records(lstm: ActivationCache, path: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UnknownRecordError, match=text):
        lstm.get(path, **options)


def test_layer_that_was_left_out() -> None:
    cache = ActivationCache.capture(two_layers(), torch.ones(2, 4), layers=["0"])
    with pytest.raises(UnknownRecordError, match=r"no record '1': it ran, but layers= left it out"):
        cache.get("1")


@pytest.mark.filterwarnings("ignore")
def test_opaque_module() -> None:
    cache = ActivationCache.capture(nn.Sequential(torch.jit.script(nn.Linear(4, 4))), torch.ones(1, 4))
    with pytest.raises(UnknownRecordError, match=r"no record '0': '0' is a Linear compiled by TorchScript"):
        cache.get("0")


def test_over_the_budget_is_on_demand() -> None:
    cache = ActivationCache.capture(two_layers(), torch.ones(2, 4), budget=64)
    second = cache.find("1")
    assert second.shape == (2, 4) and second.stats is not None and second.stats.count == 8
    assert not second.kept and second.on_demand and second.available and second.note == ""
    assert cache.held_bytes <= 64 and cache.recorded_bytes == 64
    assert "2 on demand" in repr(cache) and cache.summary == "64 B recorded, 32 B kept, rest on demand"


def test_not_kept_says_the_price_and_two_ways() -> None:
    tensors = {"a": torch.ones(8), "b": torch.ones(8)}
    cache = ActivationCache.from_tensors(tensors, budget=40)
    with pytest.raises(
        NotKeptError,
        match=r"'b' \(call 0\) has no values here: not kept: its 32 B would bring the values held over the budget of "
        r"40 B. Capture with budget='64 B' to keep all, or layers=\['b'\] for this one.",
    ):
        cache.get("b")
    assert cache.summary == "64 B recorded, 1 of 2 tensors not kept"


def test_larger_than_the_whole_budget_says_so() -> None:
    cache = ActivationCache.from_tensors({"a": torch.ones(1024)}, budget="1 KiB")
    assert cache.records[0].note == (
        "not kept: 4.0 KiB is over the budget of 1.0 KiB. "
        "Capture with budget='4 KiB' to keep all, or layers=['a'] with budget='4 KiB' for this one."
    )


def test_nothing_is_copied_when_over_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz_widgets.cache.values.snapshot", lambda *args: pytest.fail("copied"))
    assert not ActivationCache.capture(nn.Linear(4, 4), torch.ones(1, 4), budget=0).records[0].kept


def test_failing_copy_is_noted_and_the_forward_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise RuntimeError("not enough memory")

    monkeypatch.setattr("memviz_widgets.cache.values.snapshot", full)
    record = ActivationCache.capture(nn.Linear(4, 4), torch.ones(1, 4)).records[0]
    assert record.note == "could not be copied: not enough memory" and record.stats is not None and not record.kept


def test_closed_cache_frees_values_and_keeps_records(cache: ActivationCache) -> None:
    value: Any = weakref.ref(cache.value(cache.records[0]))
    cache.close()
    assert cache.closed and cache.held_bytes == 0 and value() is None
    assert cache.records[0].shape == (2, 4) and cache.value_or_none(cache.records[0]) is None
    with pytest.raises(ClosedError, match=r"this cache was closed and its values are gone; .* Capture again."):
        cache["0"]
    cache.close()


def test_cache_keeps_neither_model_nor_its_tensors_alive() -> None:
    model, x = two_layers(), torch.ones(2, 4)
    kept = ActivationCache.capture(model, x)
    watched: list[Any] = [weakref.ref(model), weakref.ref(x)]
    del model, x
    gc.collect()
    assert [reference() for reference in watched] == [None, None] and len(kept) == 3


def test_value_is_the_held_tensor(cache: ActivationCache) -> None:
    record = cache.records[0]
    assert cache.value(record) is cache.value_or_none(record)
