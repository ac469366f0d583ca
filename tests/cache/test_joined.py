"""What a memory held call by call, as one record over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.cache import ActivationCache
from memviz_widgets.cache.joined import joined_records
from memviz_widgets.capture import LazyValue, MemoryTensor, register_memory, unregister_memory
from memviz_widgets.errors import AdapterError, NotKeptError, UnknownRecordError
from memviz_widgets.records import Draft, Placement, TensorRecord


class Slots(nn.Module):
    """A memory of four slots that is written to in place: the same tensor after every call."""

    def __init__(self) -> None:
        super().__init__()
        self.content = torch.zeros(2, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.content += x[:, None]
        return self.content.sum(1)


class Steps(nn.Module):
    """Calls the memory once per timestep."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Slots()

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.memory(step) for step in x.unbind(1)], 1)


class SlotsAdapter:
    """Reads the content after every call."""

    def match(self, module: nn.Module) -> bool:
        return type(module).__name__ == "Slots"

    def read(self, module: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> Iterator[MemoryTensor]:
        yield MemoryTensor("memory", module.content, ("batch", "slot", "width"))


class GrowingAdapter(SlotsAdapter):
    """A cache to which each call adds as many entries as it is given; two sequences, one after the other."""

    def __init__(self, starts: list[int]) -> None:
        self.starts = iter(starts)

    def read(self, module: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> Iterator[MemoryTensor]:
        entries = args[0][:, None, None].expand(2, 1, 2, 3)
        yield MemoryTensor("key", entries, ("batch", "head", "time", "channel"), start=next(self.starts))


@pytest.fixture
def adapter() -> Iterator[SlotsAdapter]:
    found = SlotsAdapter()
    register_memory(found)
    yield found
    unregister_memory(found)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))


def content(x: Tensor) -> Tensor:
    """(B, T, S, D): a running sum, the same in every slot."""
    return x.cumsum(1)[:, :, None].expand(2, 5, 4, 3)


def test_a_tensor_that_is_overwritten_keeps_every_step(adapter: SlotsAdapter, x: Tensor) -> None:
    cache = ActivationCache.capture(Steps(), x)
    whole = cache.get("memory", "memory")
    torch.testing.assert_close(whole, content(x))
    assert not torch.equal(whole[:, 0], whole[:, 1])
    torch.testing.assert_close(cache.get("memory", "memory", call=3), content(x)[:, 3])


def test_the_joined_record_says_what_it_joins(adapter: SlotsAdapter, x: Tensor) -> None:
    cache = ActivationCache.capture(Steps(), x)
    record = cache.find("memory", "memory")
    assert (record.dims, record.shape) == (("batch", "time", "slot", "width"), (2, 5, 4, 3))
    assert [cache.records[index].call for index in record.parts] == [0, 1, 2, 3, 4]
    assert record.index == len(cache.records) - 1
    assert cache.records[record.index] is record
    assert cache.memories() == {"memory": (record,)}


@pytest.mark.parametrize(
    "index",
    [
        (0, 2, 1, 0),
        (slice(None), 4, slice(1, 3), 2),
        (1, slice(1, 4), slice(None), slice(0, 2)),
        (slice(0, 1), slice(None), 0, slice(None)),
        (0, slice(2, 2), 0, slice(None)),
    ],
)
def test_parts_are_read_like_those_of_a_tensor(adapter: SlotsAdapter, x: Tensor, index: tuple[Any, ...]) -> None:
    cache = ActivationCache.capture(Steps(), x)
    value = cache.value(cache.find("memory", "memory"))
    assert isinstance(value, LazyValue)
    assert torch.equal(value.read(index), value.load()[index])


def test_statistics_are_those_of_all_steps(adapter: SlotsAdapter, x: Tensor) -> None:
    x[1, 2, 0] = torch.inf
    stats = ActivationCache.capture(Steps(), x).find("memory", "memory").stats
    values = content(x).double()
    finite = values[values.isfinite()]
    assert stats is not None
    assert (stats.count, stats.posinf, stats.nan) == (120, 12, 0)
    assert (stats.min, stats.max) == (float(finite.min()), float(finite.max()))
    torch.testing.assert_close(stats.mean, float(finite.mean()), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(stats.std, float(finite.std(correction=0)), rtol=1e-6, atol=1e-6)


def test_steps_of_the_users_loop_are_joined(adapter: SlotsAdapter, x: Tensor) -> None:
    model = Slots()
    with mv.record(model) as cache:
        for step in x.unbind(1):
            model(step)
    torch.testing.assert_close(cache.get("", "memory"), content(x))


def test_calls_of_several_forwards_are_joined_per_forward(adapter: SlotsAdapter, x: Tensor) -> None:
    model = Steps()
    with mv.record(model) as cache:
        model(x)
        model.memory.content = torch.zeros(2, 4, 3)
        model(2 * x)
    torch.testing.assert_close(cache.get("memory", "memory", step=0), content(x))
    torch.testing.assert_close(cache.get("memory", "memory", step=1), content(2 * x))


def test_entries_that_go_on_are_put_behind_each_other(x: Tensor) -> None:
    adapter = GrowingAdapter([0, 2, 4, 0, 2])
    register_memory(adapter)
    try:
        cache = ActivationCache.capture(Steps(), x)
    finally:
        unregister_memory(adapter)
    shapes = [record.shape for record in cache.records if record.parts]
    assert shapes == [(2, 1, 6, 3), (2, 1, 4, 3)]
    first = cache.value(next(record for record in cache.records if record.parts))
    torch.testing.assert_close(first.read((0, 0, slice(1, 5), 2)), x[0, [0, 1, 1, 2], 2])  # type: ignore[union-attr]


def test_values_that_are_given_up_come_back(adapter: SlotsAdapter, x: Tensor) -> None:
    class Fresh(Steps):
        def forward(self, x: Tensor) -> Tensor:
            self.memory.content = torch.zeros(2, 4, 3)
            return super().forward(x)

    cache = ActivationCache.capture(Fresh(), x, budget=500)
    record = cache.find("memory", "memory")
    assert record.on_demand
    torch.testing.assert_close(cache.get("memory", "memory"), content(x))


def test_a_closed_cache_says_so(adapter: SlotsAdapter, x: Tensor) -> None:
    cache = ActivationCache.capture(Steps(), x)
    record = cache.find("memory", "memory")
    cache.close()
    assert cache.value_or_none(record) is None
    with pytest.raises(mv.errors.ClosedError):
        cache.value(record)


def test_unknown_calls_are_named(adapter: SlotsAdapter, x: Tensor) -> None:
    cache = ActivationCache.capture(Steps(), x)
    with pytest.raises(UnknownRecordError, match="no call 5"):
        cache.get("memory", "memory", call=5)


def test_an_adapter_that_raises_is_a_remark_and_nothing_else(x: Tensor) -> None:
    class Broken(SlotsAdapter):
        def read(self, module: Any, args: Any, kwargs: Any, result: Any) -> Iterator[MemoryTensor]:
            raise KeyError("no such slot")

    adapter = Broken()
    register_memory(adapter)
    try:
        cache = ActivationCache.capture(Steps(), x)
    finally:
        unregister_memory(adapter)
    assert any("no such slot" in remark for remark in cache.remarks)
    assert cache["memory"].shape == (2, 3)


def test_a_part_without_a_value_says_why(x: Tensor) -> None:
    class Refusing(SlotsAdapter):
        def read(self, module: Any, args: Any, kwargs: Any, result: Any) -> Iterator[MemoryTensor]:
            yield MemoryTensor("hidden", None, (), note="dropout drew masks")

    adapter = Refusing()
    register_memory(adapter)
    try:
        cache = ActivationCache.capture(Steps(), x)
    finally:
        unregister_memory(adapter)
    with pytest.raises(NotKeptError, match="dropout drew masks"):
        cache.get("memory", "hidden", call=0)


@pytest.mark.parametrize("wrong", [SlotsAdapter, 3, object()])
def test_what_is_no_adapter_is_refused(wrong: Any) -> None:
    with pytest.raises(AdapterError, match=r"match\(module\)"):
        register_memory(wrong)


def test_the_latest_adapter_is_asked(adapter: SlotsAdapter, x: Tensor) -> None:
    class Later(SlotsAdapter):
        def read(self, module: Any, args: Any, kwargs: Any, result: Any) -> Iterator[MemoryTensor]:
            yield MemoryTensor("usage", module.content[..., 0], ("batch", "slot"))

    later = Later()
    register_memory(later)
    register_memory(later)
    try:
        cache = ActivationCache.capture(Steps(), x)
    finally:
        unregister_memory(later)
    assert [record.kind for record in cache.memories()["memory"]] == ["usage"]
    assert [record.kind for record in ActivationCache.capture(Steps(), x).memories()["memory"]] == ["memory"]


class Hops(nn.Module):
    """Three reads of the same six slots, each by what the one before found."""

    def forward(self, slots: Tensor, asked: Tensor) -> Tensor:
        for _ in range(3):
            shares = (slots @ asked[:, :, None]).squeeze(-1).softmax(-1)
            asked = asked + (shares[:, None] @ slots).squeeze(1)
        return asked


def test_what_is_joined_over_time_lies_over_ranks_in_its_parts() -> None:
    place = Placement((2,), ("tp",), (0, 1), ("shard 1",), (2, 8))
    one = TensorRecord(
        *(0, "cell", "GRUCell", 0, "hidden", "", ("batch", "channel"), (2, 4), "float32", "cpu", 32, None, True, ""),
        memory="cell",
        placement=place,
        rank=0,
    )
    records = [replace(one, index=index, call=index) for index in range(3)]
    drafts = [
        Draft(
            *(each.index, "cell", "GRUCell", each.index, "hidden", "", each.dims, each.shape, "float32", "cpu", 32, ""),
            memory="cell",
        )
        for each in records
    ]
    (joined,) = joined_records(drafts, records)
    assert joined.parts == (0, 1, 2) and joined.placement is None and joined.rank == 0


def test_hops_of_a_memory_network_are_reads_over_time() -> None:
    slots, asked = torch.randn(2, 6, 4), torch.randn(2, 4)
    cache = ActivationCache.capture(Hops(), (slots, asked))
    whole = cache.get("", "read_weights")
    assert whole.shape == (2, 3, 1, 6)
    for hop in range(3):
        shares = (slots @ asked[:, :, None]).squeeze(-1).softmax(-1)
        torch.testing.assert_close(whole[:, hop, 0], shares)
        asked = asked + (shares[:, None] @ slots).squeeze(1)
    value = cache.value(cache.find("", "read_weights"))
    assert isinstance(value, LazyValue)
    assert torch.equal(value.read((1, slice(0, 2), 0, 4)), whole[1, 0:2, 0, 4])
