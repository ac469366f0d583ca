"""Places of edits, memories that are carried from call to call, what is kept of the model, and what is refused."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache, zoo
from memviz_widgets.capture.what_if_places import exchanged, tensor_at
from memviz_widgets.errors import ClosedError, EditError, ForwardError, UnknownRecordError, WhatIfError


@dataclass(frozen=True)
class Result:
    """A result of the user's own class."""

    first: Tensor
    rest: list[Any]


def test_a_tensor_deep_in_a_result_is_exchanged() -> None:
    one, two = torch.ones(2), torch.zeros(2)
    result = Result(one, [{"a": (one, one)}])
    made = exchanged(result, "rest.0.a.1", two, "x")
    assert tensor_at(made, "rest.0.a.1", "x") is two
    assert tensor_at(made, "rest.0.a.0", "x") is one
    assert result.rest[0]["a"][1] is one
    assert exchanged(result, "first", two, "x").first is two


def test_a_place_that_is_not_there() -> None:
    with pytest.raises(EditError, match=r"'x' is not in the result of this call, which has no '3'; see cache\.records"):
        exchanged((torch.ones(2),), "3.0", torch.ones(2), "x")
    with pytest.raises(EditError, match="'x' is a int in this call, not a tensor"):
        tensor_at((5,), "0", "x")


class Pair(nn.Module):
    """Two results, and a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor, *, add: Tensor | None = None) -> dict[str, Tensor]:
        x = self.layer(x)
        x = self.layer(x if add is None else x + add)
        return {"same": x, "twice": x * 2}


def test_an_item_of_a_result() -> None:
    cache = ActivationCache.capture(Pair(), torch.randn(2, 3))
    twin = cache.what_if({"(model)[twice]": mv.edit.zero(channel=0)})
    assert twin.get("", item="twice")[:, 0].eq(0).all()
    assert torch.equal(twin.get("", item="twice")[:, 1:], cache.get("", item="twice")[:, 1:])
    assert torch.equal(twin.get("", item="same"), cache.get("", item="same"))


def test_one_of_two_calls() -> None:
    cache = ActivationCache.capture(Pair(), torch.randn(2, 3))
    twin = cache.what_if({"layer": mv.edit.zero(call=1)})
    assert torch.equal(twin.get("layer", call=0), cache.get("layer", call=0))
    assert twin.get("layer", call=1).eq(0).all()


def test_the_inputs_of_a_module_and_a_keyword() -> None:
    model, x, add = Pair(), torch.randn(2, 3), torch.randn(2, 3)
    cache = ActivationCache.capture(model, {"x": x, "add": add})
    twin = cache.what_if({"input[add]": mv.edit.zero()})
    assert torch.equal(twin.get("", item="same"), ActivationCache.capture(model, x).get("", item="same"))
    inside = cache.what_if({"layer input": mv.edit.zero(call=1)})
    assert torch.equal(inside.get("layer", call=1)[0], model.layer.bias.detach())


def test_several_edits_come_one_after_another() -> None:
    cache = ActivationCache.capture(nn.Linear(3, 3), torch.randn(2, 3))
    twin = cache.what_if({"": [mv.edit.set(2.0, channel=0), mv.edit.scale(3, channel=0), torch.neg]})
    assert twin[""][:, 0].tolist() == [-6.0, -6.0]
    assert torch.equal(twin[""][:, 1:], -cache[""][:, 1:])
    assert twin.remarks[0] == "what-if: '' is changed by set(2, channel=0)"


def test_values_over_the_budget_come_back_with_the_edits() -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(6)))
    x, edits = torch.randn(64, 8), {"2": mv.edit.zero(channel=1)}
    whole = ActivationCache.capture(model, x)
    expected = whole.what_if(edits)
    small = whole.what_if(edits, budget=3000)
    assert any(record.on_demand for record in small.records)
    assert all(torch.equal(small[path], expected[path]) for path in small.names())
    assert small.reproducible


def test_a_cache_that_holds_little_has_twins() -> None:
    model, x = nn.Sequential(*(nn.Linear(8, 8) for _ in range(6))), torch.randn(64, 8)
    edits = {"2": mv.edit.zero(channel=1)}
    expected = ActivationCache.capture(model, x).what_if(edits)
    twin = ActivationCache.capture(model, x, budget=3000).what_if(edits, budget="1 MiB")
    assert all(torch.equal(twin[path], expected[path]) for path in twin.names())


def test_run_by_a_function() -> None:
    model, x = Pair(), torch.randn(2, 3)
    cache = ActivationCache.capture(model, call=lambda module: module(x))
    twin = cache.what_if({"layer": mv.edit.zero(call=1)})
    assert twin.get("layer", call=1).eq(0).all()


# -- memories


class Slots(nn.Module):
    """Adds its input to a memory that it keeps in a buffer or hands on, and reads it."""

    memory: Tensor

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self.keeps = keeps
        self.register_buffer("memory", torch.zeros(1, 4, 3))

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        self.memory = (self.memory if self.keeps else memory) + x[:, None]
        return self.memory.sum(1), self.memory


class SlotsAdapter:
    """Knows it."""

    def match(self, module: nn.Module) -> bool:
        """By its class."""
        return isinstance(module, Slots)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[mv.MemoryTensor]:
        """The memory, and something that is computed only to be shown."""
        yield mv.MemoryTensor("memory", result[1], ("batch", "slot", "width"))
        yield mv.MemoryTensor("usage", result[1].abs().sum(2), ("batch", "slot"))


class Writer(nn.Module):
    """Calls it step by step."""

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self.slots = Slots(keeps=keeps)

    def forward(self, x: Tensor) -> Tensor:
        memory, read = torch.zeros(1, 4, 3), []
        for now in x:
            seen, memory = self.slots(now[None], memory)
            read.append(seen)
        return torch.cat(read)


@pytest.fixture
def known_slots() -> Iterable[None]:
    adapter = SlotsAdapter()
    mv.register_memory(adapter)
    yield
    mv.unregister_memory(adapter)


@pytest.mark.usefixtures("known_slots")
@pytest.mark.parametrize("keeps", [True, False], ids=["buffer", "handed on"])
def test_a_slot_zeroed_between_two_steps(keeps: bool) -> None:
    model = Writer(keeps=keeps)
    cache = ActivationCache.capture(model, torch.ones(3, 3))
    twin = cache.what_if({"slots memory": mv.edit.zero(slot=2, call=1)})
    assert cache[""][:, 0].tolist() == [4, 8, 12]
    assert twin[""][:, 0].tolist() == [4, 8, 10]
    assert twin.get("slots", "memory")[0, :, 2, 0].tolist() == [1, 0, 1]
    assert model.slots.memory.eq(0).all()


def copied(machine: nn.Module, edits: dict[str, Any]) -> list[bool]:
    """Which of 8 symbols a Turing machine copies right, with edits of its memory, which its heads read and write."""
    symbols, shown = zoo.copy_batch(1, 8, 6, torch.Generator().manual_seed(1))
    with torch.no_grad():
        twin = ActivationCache.capture(machine, symbols).what_if(edits)
    return ((twin[""][0, -8:] > 0) == (shown[0] > 0.5)).all(1).tolist()


def test_a_slot_of_a_memory_that_heads_write_is_wiped() -> None:
    machine = zoo.load("turing_machine")
    right = copied(machine, {"memory memory": mv.edit.zero(slot=4, time=9)})
    assert right == [True, True, True, False, True, True, True, True]  # symbol 4 is in slot 4
    right = copied(machine, {"memory memory": mv.edit.zero(slot=4, time=3)})
    assert all(right)  # before it is written


def test_what_a_head_read_is_changed_on_its_way_out() -> None:
    machine = zoo.load("turing_machine")
    assert not copied(machine, {"memory read": mv.edit.zero(time=9)})[0]  # symbol 1 is read at the end mark
    with pytest.raises(EditError, match="'memory erase' cannot be edited: this call does not carry it on"):
        copied(machine, {"memory erase": mv.edit.zero(time=3)})
    with pytest.raises(EditError, match="slot=40 is outside of 'memory memory', which has 16"):
        copied(machine, {"memory memory": mv.edit.zero(slot=40)})


@pytest.mark.usefixtures("known_slots")
def test_what_is_only_shown_cannot_be_edited() -> None:
    cache = ActivationCache.capture(Writer(keeps=True), torch.ones(3, 3))
    with pytest.raises(EditError, match="'slots usage' cannot be edited: this call does not carry it on"):
        cache.what_if({"slots usage": mv.edit.zero(slot=2)})


# -- the model


def test_a_cache_that_holds_everything_keeps_no_model() -> None:
    model = nn.Linear(3, 3)
    cache = ActivationCache.capture(model, torch.randn(2, 3))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    with pytest.raises(WhatIfError, match="the model is gone: a cache that holds all values does not keep it alive"):
        cache.what_if({"": mv.edit.zero()})
    assert cache.what_if({"": mv.edit.zero()}, model=nn.Linear(3, 3))[""].eq(0).all()


def test_a_model_that_was_written_to() -> None:
    model = nn.Linear(3, 3)
    cache = ActivationCache.capture(model, torch.randn(2, 3))
    with torch.no_grad():
        model.weight[1, 1] = 5
    with pytest.raises(WhatIfError, match="the model's weights or buffers were written to since the capture"):
        cache.what_if({"": mv.edit.zero(channel=0)})
    twin = cache.what_if({"": mv.edit.zero(channel=0)}, model=model)
    assert not torch.equal(twin[""][:, 1], cache[""][:, 1])


def test_the_mode_of_the_capture_is_that_of_the_twin() -> None:
    model, x = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3)), torch.randn(4, 3)
    cache = ActivationCache.capture(model, x)
    model.eval()
    twin = cache.what_if({"1": mv.edit.zero(channel=0)})
    assert torch.equal(twin["0"], cache["0"])
    assert not model[0].training


def test_an_input_that_changes_afterwards_was_copied() -> None:
    model, x = nn.Linear(3, 3), torch.randn(2, 3)
    cache = ActivationCache.capture(model, x)
    x.zero_()
    assert torch.equal(cache.what_if({"": mv.edit.zero(channel=0)})[""][:, 1:], cache[""][:, 1:])


# -- what is refused


@pytest.mark.parametrize(
    ("edits", "error", "text"),
    [
        ({}, EditError, r"the edits are empty; expected a mapping such as \{'conv1': mv\.edit\.zero\(channel=3\)\}"),
        ([1], EditError, "the edits are a list; expected a mapping"),
        ({"laier": mv.edit.zero()}, UnknownRecordError, "no record 'laier' .*; nearest is 'layer'"),
        ({"laier input": mv.edit.zero()}, UnknownRecordError, "no record 'laier' .*; nearest is 'layer'"),
        ({"layer gate.f": mv.edit.zero()}, UnknownRecordError, "'layer' has no kind 'gate.f'; there is 'output'"),
        ({"layer": mv.edit.zero(head=1)}, EditError, "'layer' has no axis 'head'; it has batch, channel of sizes"),
        ({"layer": mv.edit.zero(channel=3)}, EditError, "channel=3 is outside of 'layer', which has 3"),
        ({"layer": mv.edit.zero(call=2)}, EditError, "call=2 is outside of 'layer', which has 2"),
        ({"input": mv.edit.zero(channel=3)}, EditError, "channel=3 is outside of 'input', which has 3"),
        ({"input[mask]": mv.edit.zero()}, EditError, r"'input\[mask\]': the call has no argument 'mask'; it has 0\."),
        ({"input": mv.edit.zero(call=slice(2))}, EditError, "expected a number or a list of numbers from 0"),
        ({"layer input": mv.edit.zero(call=7)}, EditError, "the edit of 'layer input' was never made: no such call"),
        ({"layer": lambda value: value[0]}, EditError, r"the edit of 'layer' gave a tensor of \(3,\)"),
    ],
)
def test_refused(edits: Any, error: type[Exception], text: str) -> None:
    model = Pair()
    cache = ActivationCache.capture(model, torch.randn(2, 3))
    with pytest.raises(error, match=text):
        cache.what_if(edits)
    assert not model._forward_hooks
    assert not model.layer._forward_hooks
    assert not model.layer._forward_pre_hooks
    assert "forward" not in vars(model.layer)


def test_an_edit_after_which_the_forward_raises() -> None:
    class Checked(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self[0](x)
            if bool(result.eq(0).all()):
                raise RuntimeError("all zero")
            return result

    cache = ActivationCache.capture(Checked(nn.Linear(2, 2)), torch.randn(1, 2))
    with pytest.raises(ForwardError, match="RuntimeError: all zero"):
        cache.what_if({"0": mv.edit.zero()})


def test_caches_without_a_forward(tmp_path: Path) -> None:
    model, x = nn.Linear(3, 3), torch.randn(2, 3)
    foreign = ActivationCache.from_tensors({"a": torch.zeros(2, 3)})
    with pytest.raises(WhatIfError, match=r"not made by ActivationCache\.capture, so it knows no forward"):
        foreign.what_if({"a": mv.edit.zero()})
    cache = ActivationCache.capture(model, x)
    twin = cache.what_if({"": mv.edit.zero(channel=0)})
    with pytest.raises(WhatIfError, match="of a twin, ask the cache that it was made of"):
        twin.what_if({"": mv.edit.zero(channel=1)})
    spilled = ActivationCache.capture(model, x, spill=tmp_path)
    with pytest.raises(WhatIfError, match=r"the input of the model was not kept: .* Pass x= or call= again"):
        spilled.what_if({"": mv.edit.zero(channel=0)})
    assert torch.equal(spilled.what_if({"": mv.edit.zero(channel=0)}, x=x)[""], twin[""])


def test_a_closed_cache() -> None:
    cache = ActivationCache.capture(nn.Linear(3, 3), torch.randn(2, 3))
    cache.close()
    with pytest.raises(ClosedError, match="this cache was closed"):
        cache.what_if({"": mv.edit.zero()})
