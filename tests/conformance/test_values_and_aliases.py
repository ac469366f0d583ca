"""Rows 1 to 10: a value is what the module returned, whatever is written over it, and costs its own bytes once.

``budget`` 0 makes every value come from a replay, in which the same hazards wait.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from memviz_widgets.errors import NotReproducibleError

from .model_state import Capture

held_or_replayed = pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["held", "replayed"])
X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5


def outputs_by_hooks(model: nn.Module, x: Tensor, take: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Path -> output of every module that returns a tensor, as ``take`` keeps it."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            seen[name] = take(output)

    hooks = [
        part.register_forward_hook(lambda module, args, output, name=name: keep(name, output))
        for name, part in model.named_modules()
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return seen


@held_or_replayed
def test_01_in_place_activation(captured: Capture, budget: object) -> None:
    """'0' holds the value before the ReLU that overwrites it."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
    cache = captured(model, X, budget=budget)
    before = functional.linear(X, model[0].weight, model[0].bias)
    assert (before < 0).any() and torch.equal(cache["0"], before)
    assert torch.equal(cache["1"], before.relu()) and torch.equal(cache[""], before.relu())
    assert cache.recorded_bytes == 2 * 8 * 4 * 4


@held_or_replayed
def test_02_residual_added_in_place(captured: Capture, budget: object) -> None:
    """`y += x` after the hook: the value at the time of return, also where a stored tensor would be wrong."""
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
    model, x = ResNetModel(config).eval(), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        stored, right = outputs_by_hooks(model, x, lambda out: out), outputs_by_hooks(model, x, torch.clone)
        cache = captured(model, x, budget=budget)
        wrong = [name for name, value in right.items() if not torch.equal(stored[name], value)]
        assert len(wrong) >= 3, "the hazard is there"
        assert [name for name, value in right.items() if not torch.equal(cache[name], value)] == []


def test_03_input_overwritten_by_the_module(captured: Capture) -> None:
    """The inputs by which a block is run again are those before the call, also keyword ones."""
    runs = []

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Linear(4, 64), nn.Linear(64, 4)

        def forward(self, *, x: Tensor) -> Any:
            runs.append(1)
            return self.narrow(self.wide(x.relu_().add_(1)))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block(), Block(), Block()])

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x=x)
            return x

    model: Any = Net()
    whole, cache = captured(model, X.clone()), captured(model, X.clone(), budget=2048)
    runs.clear()
    assert not cache.find("blocks.2.wide").kept
    assert torch.equal(cache["blocks.2.wide"], whole["blocks.2.wide"])
    assert len(runs) == 1, "the block alone, from its saved input"
    assert torch.equal(whole["blocks.0.wide"], model.blocks[0].wide(X.relu() + 1))


def test_03_input_that_could_not_be_saved(captured: Capture) -> None:
    """The user's own tensor, overwritten and larger than the budget: the replay is refused, its values never shown."""

    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.add_(1)

    x = X.clone()
    cache = captured(Adds(), x, budget=0)
    assert torch.equal(x, X + 1) and cache.find("").on_demand
    with pytest.raises(NotReproducibleError, match="another run gave other values"):
        cache.get("")
    assert torch.equal(captured(Adds(), X.clone(), budget=128)[""], X + 1)


@held_or_replayed
def test_04_batchnorm_statistics_bump_no_version(captured: Capture, budget: object) -> None:
    """A buffer that is returned before and after BatchNorm wrote to it is two values."""

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.read = nn.BatchNorm1d(4), nn.Identity()

        def forward(self, x: Tensor) -> Any:
            self.read(self.norm.running_mean)
            version = self.norm.running_mean._version  # type: ignore[union-attr]
            self.norm(x)
            assert self.norm.running_mean._version == version  # type: ignore[union-attr]
            return self.read(self.norm.running_mean)

    cache = captured(Reads().train(), X, budget=budget)
    assert cache.get("read", call=0).tolist() == [0, 0, 0, 0]
    torch.testing.assert_close(cache.get("read", call=1), 0.1 * X.mean(0))
    assert torch.equal(cache[""], cache.get("read", call=1))


@held_or_replayed
@pytest.mark.parametrize(
    "write",
    [lambda out: out.data.add_(1), lambda out: np.add(out.detach().numpy(), 1, out=out.detach().numpy())],
    ids=["data", "numpy"],
)
def test_04_writes_that_bump_no_version(captured: Capture, budget: object, write: Callable[[Tensor], object]) -> None:
    """What was written through .data or numpy after the hook is a new value, and the old one is still there."""

    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Any:
            out = self.linear(x)
            version = out._version
            write(out)
            assert out._version == version
            return out

    model: Any = Writes()
    cache = captured(model, X, budget=budget)
    assert torch.equal(cache["linear"], model.linear(X))
    assert torch.equal(cache[""], model.linear(X) + 1)


@held_or_replayed
def test_05_inference_tensors_have_no_version(captured: Capture, budget: object) -> None:
    """They are copied, and the copies are normal tensors that autograd takes."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Identity())
    with torch.inference_mode():
        cache = captured(model, X, budget=budget)
    before = functional.linear(X, model[0].weight, model[0].bias).detach()
    value = cache["0"]
    assert torch.equal(value, before) and torch.equal(cache["2"], before.relu())
    assert not value.is_inference()
    factor = torch.ones((), requires_grad=True)
    (value * factor).sum().backward()
    assert factor.grad is not None and torch.equal(factor.grad, before.sum())


@held_or_replayed
def test_05_inference_tensors_are_counted_once(captured: Capture, budget: object) -> None:
    """Two values under four names: an alias is told by its contents where it has no version."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Identity())
    with torch.inference_mode():
        cache = captured(model, X, budget=budget)
    assert cache.recorded_bytes == 2 * 128 and cache.held_bytes == (2 * 128 if budget else 0)


class Memory(nn.Module):
    """Returns one preallocated buffer at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.slot: Tensor
        self.register_buffer("slot", torch.zeros(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.slot.copy_(x)


@held_or_replayed
@pytest.mark.parametrize("first", ["linear", ""], ids=["part first", "model first"])
def test_05_one_element_of_an_inference_tensor_written(captured: Capture, budget: object, first: str) -> None:
    """Two values, though no version and no sample tells: wherever the written element is, neither shows the other."""

    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 100)

        def forward(self, x: Tensor) -> Any:
            out = self.linear(x)
            out[3, 57] = out[3, 57] + 0.001
            return out

    model: Any = Writes()
    with torch.inference_mode():
        cache = captured(model, X, budget=budget)
        before, after = model.linear(X), model(X)
    values = {path: cache[path] for path in (first, *cache.names())}
    assert torch.equal(values["linear"], before) and torch.equal(values[""], after)


@held_or_replayed
def test_06_one_buffer_returned_at_every_call(captured: Capture, budget: object) -> None:
    """Every call keeps its own value, and an inner call costs its own bytes."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory = Memory()

        def forward(self, x: Tensor) -> Any:
            self.memory(x)
            return self.memory(2 * x)

    cache = captured(Twice(), X, budget=budget)
    assert torch.equal(cache.get("memory", call=0), X) and torch.equal(cache.get("memory", call=1), 2 * X)
    assert torch.equal(cache[""], 2 * X)
    assert cache.recorded_bytes == 2 * 128 and cache.held_bytes == (2 * 128 if budget else 0)


def test_06_one_buffer_returned_at_every_step(captured: Capture) -> None:
    """The same for outermost calls."""
    cache = captured(Memory(), call=lambda m: [m(k * torch.ones(8, 4)) for k in range(3)])
    assert [cache.get("", step=step)[0, 0].item() for step in range(3)] == [0, 1, 2]
    assert cache.held_bytes == 3 * 128


def test_07_identity_dropout_and_containers_are_one_value(captured: Capture) -> None:
    """Counted once, shown under all names."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Identity(), nn.Dropout()).eval()
    cache = captured(model, X)
    assert cache.names() == ("0", "1", "2", "")
    assert all(torch.equal(cache[name], functional.linear(X, model[0].weight, model[0].bias)) for name in cache)  # type: ignore[arg-type]
    assert len({id(cache.value(record)) for record in cache.records}) == 1
    assert cache.held_bytes == cache.recorded_bytes == 128
    assert [record.nbytes for record in cache.records] == [128] * 4


def test_08_addresses_are_used_again(captured: Capture) -> None:
    """A tensor at the address of a dead one is another value."""
    ids: list[int] = []
    addresses: list[int] = []

    class Temporaries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            for k in range(200):
                out = self.part(torch.full((99,), float(k)))
                ids.append(id(out))
                addresses.append(out.data_ptr())
            return x

    cache = captured(Temporaries(), X)
    assert len(set(ids)) < 200 or len(set(addresses)) < 200, "the hazard is there"
    values = [cache.get("part", call=k) for k in range(200)]
    assert all(torch.equal(value, torch.full((99,), float(k))) for k, value in enumerate(values))
    assert cache.held_bytes == 200 * 99 * 4 + 128


def test_09_a_slice_does_not_pin_its_base(captured: Capture) -> None:
    """The slice costs its own 4,000 bytes, and its base of 4,000,000 is free."""
    bases = []

    class Slices(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            base = x.new_zeros(1000, 1000) + torch.arange(1000.0)
            bases.append(weakref.ref(base))
            return base[:, -1]

    cache = captured(Slices(), X)
    held = cache.value(cache.find(""))
    assert isinstance(held, Tensor) and held.untyped_storage().nbytes() == 4000
    assert cache.held_bytes == cache.recorded_bytes == cache.find("").nbytes == 4000
    assert held.tolist() == [999.0] * 1000 and bases[0]() is None


@held_or_replayed
def test_10_an_expanded_tensor_stays_small(captured: Capture, budget: object) -> None:
    """It costs the 4 bytes of its storage, not the 36 MB of its elements, held and in the hands of the user."""

    class Expands(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum().view(1, 1).expand(3000, 3000)

    cache = captured(Expands(), torch.ones(7), budget=budget)
    record, value = cache.find(""), cache[""]
    assert record.nbytes == 36_000_000 and cache.recorded_bytes == 4 and cache.held_bytes == (4 if budget else 0)
    assert value.shape == (3000, 3000) and value.untyped_storage().nbytes() == 4 and value[2999, 7] == 7
    assert record.stats is not None and (record.stats.mean, record.stats.count) == (7, 9_000_000)
