"""KV caches of models of one's own: tuples that are returned, caches known by their attributes only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.capture.memory import MemoryTensor
from memviz_widgets.capture.memory_kv import CacheAdapter

HEADS, WIDTH = 2, 3


class Attention(nn.Module):
    """Attention that returns (output, (keys, values)); ``time_first``: kept as (B, T, N, D)."""

    def __init__(self, *, time_first: bool = False) -> None:
        super().__init__()
        self.project = nn.Linear(4, 2 * HEADS * WIDTH)
        self.axis = 1 if time_first else 2

    def forward(self, x: Tensor, layer_past: tuple[Tensor, Tensor] | None = None) -> Any:
        batch, steps, _ = x.shape
        both = self.project(x).view(batch, steps, 2, HEADS, WIDTH).unbind(2)
        keys, values = both if self.axis == 1 else (each.transpose(1, 2) for each in both)
        if layer_past is not None:
            keys = torch.cat([layer_past[0], keys], self.axis)
            values = torch.cat([layer_past[1], values], self.axis)
        return x, (keys, values)


class Stack(nn.Module):
    """Layers whose presents are given back as one tuple of pairs."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Attention(**options) for _ in range(2))

    def forward(self, x: Tensor, past_key_values: Any = None) -> Any:
        presents = []
        for position, layer in enumerate(self.layers):
            x, present = layer(x, past_key_values[position] if past_key_values else None)
            presents.append(present)
        return x, tuple(presents)


class Opaque(nn.Module):
    """Keys and values are made outside of every module, and returned for two layers."""

    def forward(self, x: Tensor, past: Any = None) -> Any:
        new = x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        old = past or [(new[:, :, :0], new[:, :, :0])] * 2
        return x, [(torch.cat([k, new], 2), torch.cat([v, -new], 2)) for k, v in old]


class TakesCache(nn.Module):
    """Attention that updates a cache as transformers' do, without transformers."""

    def __init__(self, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx

    def forward(self, x: Tensor, past_key_values: Any = None, key_value_states: Any = None) -> Tensor:
        new = x[:, None]
        layer = past_key_values.layers[self.layer_idx]
        layer.keys = new if layer.keys is None else torch.cat([layer.keys, new], 2)
        layer.values = 2 * layer.keys
        return x


class Block(nn.Module):
    """A block that has the number of its layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_idx = 0
        self.inner = TakesCache(0)

    def forward(self, x: Tensor, past_key_values: Any) -> Tensor:
        result: Tensor = self.inner(x, past_key_values=past_key_values)
        return result


class Layer:
    """A layer of a cache: what is known of it is that it has keys and values."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None


def fed_step_by_step(model: nn.Module, x: Tensor, prefill: int = 3) -> tuple[Any, Any]:
    """A recording of a loop that feeds the past back, and the last presents."""
    past = None
    with torch.no_grad(), mv.record(model) as cache:
        for chunk in (x[:, :prefill], *x[:, prefill:].split(1, 1)):
            past = model(chunk, past)[1]
    return cache, past


def last(cache: Any, memory: str, kind: str) -> Tensor:
    record = [each for each in cache.records if each.memory == memory and each.kind == kind][-1]
    value = cache.value(record)
    return value if isinstance(value, Tensor) else value.load()


@pytest.mark.parametrize("time_first", [False, True], ids=["B N T D", "B T N D"])
def test_tuples_are_recorded_with_the_attention_that_returned_them(time_first: bool) -> None:
    cache, past = fed_step_by_step(Stack(time_first=time_first), torch.randn(2, 5, 4))
    assert {each.memory for each in cache.records if each.memory} == {"layers.0", "layers.1"}
    for place in range(2):
        keys, values = (each.transpose(1, 2) if time_first else each for each in past[place])
        assert torch.equal(last(cache, f"layers.{place}", "key"), keys)
        assert torch.equal(last(cache, f"layers.{place}", "value"), values)


def test_tuples_of_several_layers_are_told_apart() -> None:
    cache, past = fed_step_by_step(Opaque(), torch.randn(2, 5, 6))
    assert {each.memory for each in cache.records if each.memory} == {"(model) layer 0", "(model) layer 1"}
    assert torch.equal(last(cache, "(model) layer 1", "value"), past[1][1])


def test_only_new_entries_of_tuples_are_recorded() -> None:
    cache, _ = fed_step_by_step(Attention(), torch.randn(1, 5, 4))
    assert [each.shape[2] for each in cache.records if each.kind == "key"] == [3, 1, 1, 5]


class TwoMaps(nn.Module):
    """Takes a past and returns two maps of another length: no cache."""

    def forward(self, x: Tensor, past: Any = None) -> Any:
        return x, (x.new_zeros(1, 2, 9, 9), x.new_zeros(1, 2, 9, 9))


def test_other_pairs_are_no_cache() -> None:
    cache, _ = fed_step_by_step(TwoMaps(), torch.randn(1, 5, 4))
    assert not [each for each in cache.records if each.memory]


def steps_of_block(layers: list[Layer], x: Tensor) -> Any:
    model, cache = Block(), SimpleNamespace(layers=layers)
    with torch.no_grad(), mv.record(model) as recording:
        for chunk in x.split(2, 1):
            model(chunk, cache)
    return recording


def test_a_cache_is_known_by_its_attributes_and_belongs_to_the_inner_module() -> None:
    x, layer = torch.randn(2, 6, 3), Layer()
    recording = steps_of_block([layer], x)
    assert {each.memory for each in recording.records if each.memory} == {"inner"}
    assert torch.equal(last(recording, "inner", "key"), x[:, None])
    assert torch.equal(last(recording, "inner", "value"), 2 * x[:, None])


def read_once(adapter: CacheAdapter, module: nn.Module, x: Tensor, cache: Any, **kwargs: Any) -> list[MemoryTensor]:
    result = module(x, past_key_values=cache, **kwargs)
    return list(adapter.read(module, (x,), {"past_key_values": cache, **kwargs}, result))


def test_start_is_the_position_of_the_first_new_entry() -> None:
    adapter, module, cache = CacheAdapter(), TakesCache(0), SimpleNamespace(layers=[Layer()])
    starts = [read_once(adapter, module, torch.randn(1, steps, 3), cache)[0].start for steps in (4, 1, 2)]
    assert starts == [0, 4, 5]


def test_cross_attention_is_no_memory() -> None:
    cache = SimpleNamespace(layers=[Layer()])
    x = torch.randn(1, 4, 3)
    assert read_once(CacheAdapter(), TakesCache(0), x, cache, key_value_states=x) == []


def test_a_layer_without_keys_or_a_number_out_of_range_is_passed_over() -> None:
    adapter, x = CacheAdapter(), torch.randn(1, 4, 3)
    assert list(adapter.read(TakesCache(0), (x,), {"past_key_values": SimpleNamespace(layers=[Layer()])}, x)) == []
    assert list(adapter.read(TakesCache(7), (x,), {"past_key_values": SimpleNamespace(layers=[Layer()])}, x)) == []
    assert list(adapter.read(TakesCache(0), (x,), {"past_key_values": None}, x)) == []


def test_keys_of_another_form_are_named_with_the_reason() -> None:
    layer = Layer()
    layer.keys = layer.values = torch.zeros(1, 4, 3)
    x, module = torch.randn(1, 4, 3), TakesCache(0)
    found = list(CacheAdapter().read(module, (x,), {"past_key_values": SimpleNamespace(layers=[layer])}, x))
    assert [(each.kind, each.value) for each in found] == [("key", None), ("value", None)]
    assert found[0].note == "the cache keeps keys of 3 axes; expected (batch, head, time, channel)"


@pytest.mark.parametrize(("module", "matches"), [(Attention(), True), (nn.Linear(2, 2), False), (nn.GRU(2, 2), False)])
def test_modules_that_take_a_cache_match(module: nn.Module, matches: bool) -> None:
    assert CacheAdapter().match(module) is matches


def test_nothing_of_the_model_is_kept_alive() -> None:
    import gc
    import weakref

    adapter, module, layer = CacheAdapter(), TakesCache(0), Layer()
    read_once(adapter, module, torch.randn(1, 4, 3), SimpleNamespace(layers=[layer]))
    assert layer.keys is not None
    alive = [weakref.ref(each) for each in (module, layer, layer.keys)]
    del module, layer
    gc.collect()
    assert [each() for each in alive] == [None] * 3
