"""What the budget does not hold comes back bit for bit, or is said to be lost; and the model does not notice."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import NotReproducibleError


class Block(nn.Module):
    """A residual block that counts its calls."""

    runs = 0

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(16, 16), nn.ReLU(inplace=True), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        Block.runs += 1
        out: Tensor = self.inner(x)
        out += x
        return out


class Attends(nn.Module):
    """Scaled dot-product attention of its input to itself."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def blocks(count: int = 6) -> nn.Sequential:
    return nn.Sequential(*(Block() for _ in range(count)))


def values_of(model: nn.Module, x: Any, **options: Any) -> tuple[ActivationCache, ActivationCache]:
    """A capture of everything and one that keeps little, from the same random numbers."""
    state = torch.get_rng_state()
    whole = ActivationCache.capture(model, x)
    torch.set_rng_state(state)
    return whole, ActivationCache.capture(model, x, **options)


def test_every_value_comes_back_bit_for_bit_within_the_budget() -> None:
    whole, cache = values_of(blocks().train(), torch.randn(4, 16), budget="1500 B")
    assert sum(not record.kept for record in cache.records) > 10
    for record in cache.records:
        assert torch.equal(cache.get(record.path), whole.get(record.path)), record.path
        assert cache.held_bytes <= cache.budget_bytes
    assert cache.reproducible is True


def test_only_the_block_around_a_layer_runs_again() -> None:
    cache = ActivationCache.capture(blocks(), torch.randn(4, 16), budget="4 KiB")
    wanted = cache.find("4.inner.0")
    assert not wanted.kept
    Block.runs = 0
    cache.value(wanted)
    assert Block.runs == 1
    cache.value(wanted)
    assert Block.runs == 1


def test_model_and_generators_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout()).train()
    cache = ActivationCache.capture(model, torch.randn(4, 8), budget=0)
    model.eval()
    before, random = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    cache.get("2")
    assert torch.equal(torch.get_rng_state(), random) and not any(part.training for part in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model[0]._forward_hooks and not model[0]._forward_pre_hooks


def test_changed_weights_are_noticed_and_never_shown() -> None:
    last = nn.Linear(8, 8)
    cache = ActivationCache.capture(nn.Sequential(nn.Linear(8, 8), last), torch.randn(4, 8), budget=0)
    with torch.no_grad():
        last.bias.add_(1e-6)
    text = r"'1' \(call 0\) is not reproducible: captured values were dropped, and the model's weights were written"
    with pytest.raises(NotReproducibleError, match=text):
        cache.get("1")
    assert cache.reproducible is False and "1 not reproducible" in cache.summary


def test_blocks_whose_weights_stayed_still_come_back() -> None:
    model, x = blocks(), torch.randn(4, 16)
    whole, cache = values_of(model, x, budget="4 KiB")
    torch.nn.init.zeros_(model[5].inner[0].weight)  # type: ignore[union-attr, index]
    assert torch.equal(cache.get("4.inner.0"), whole.get("4.inner.0"))
    with pytest.raises(NotReproducibleError, match="weights were written to since"):
        cache.get("5.inner.0")


def test_weights_changed_without_a_version_are_noticed_by_the_values() -> None:
    model = nn.Linear(8, 8)
    cache = ActivationCache.capture(model, torch.randn(4, 8), budget=0)
    model.weight.data.numpy()[:] += 1
    with pytest.raises(NotReproducibleError, match="another run gave other values"):
        cache.get("")


def test_a_small_local_change_of_a_weight_is_noticed() -> None:
    last = nn.Linear(64, 4096)
    cache = ActivationCache.capture(nn.Sequential(last, nn.ReLU()), torch.randn(64, 64), budget=0)
    with torch.no_grad():
        last.bias[33] += 0.0005
    with pytest.raises(NotReproducibleError, match="weights were written to since"):
        cache.get("0")


def test_attention_larger_than_the_budget_comes_back() -> None:
    q = torch.randn(1, 2, 5, 4)
    model = Attends()
    whole = ActivationCache.capture(model, q).attention("")
    assert torch.equal(ActivationCache.capture(model, q, budget=0).attention(""), whole)


def test_a_forward_that_raises_when_run_again_says_so() -> None:
    done: list[int] = []

    class Once(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if done:
                raise ValueError("only once")
            done.append(1)
            return x + 1

    cache = ActivationCache.capture(Once(), torch.ones(2), budget=0)
    with pytest.raises(NotReproducibleError, match=r"another run raised ValueError: only once"):
        cache.get("")


def test_input_written_by_the_user_afterwards_does_not_matter() -> None:
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), torch.randn(4, 8)
    expected = model(x)
    cache = ActivationCache.capture(model, x, budget="200 B")
    x.zero_()
    assert torch.equal(cache.get("1"), expected)


def test_least_recently_viewed_values_go_first() -> None:
    cache = ActivationCache.capture(nn.Sequential(*(nn.Tanh() for _ in range(4))), torch.randn(8), budget=64 + 32)
    record = {path: cache.find(path) for path in ("0", "1", "2", "3")}
    assert cache.value_or_none(record["0"]) is not None
    cache.value(record["2"])
    cache.value(record["1"])
    cache.value(record["3"])
    held = [path for path in record if cache.value_or_none(record[path]) is not None]
    assert "3" in held and "2" not in held


def test_a_value_larger_than_the_budget_can_be_looked_at_one_at_a_time() -> None:
    cache = ActivationCache.capture(nn.Sequential(nn.Linear(4, 64), nn.Tanh()), torch.randn(1, 4), budget=32)
    first, second = cache.find("0"), cache.find("1")
    cache.value(first)
    assert torch.equal(cache.get("1"), torch.tanh(cache.get("0")))
    assert cache.value_or_none(second) is None and cache.held_bytes <= 32


def test_grad_mode_and_autocast_of_the_capture_are_used_again() -> None:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            slope: Tensor = torch.autograd.grad(x.square().sum(), x)[0]
            return slope @ slope.T

    x = torch.randn(2, 2, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        cache = ActivationCache.capture(Own(), x, budget=0)
    with torch.no_grad():
        assert cache.get("").dtype is torch.bfloat16
        assert torch.equal(cache.get(""), (2 * x).bfloat16() @ (2 * x).bfloat16().T)


def test_when_everything_fits_the_model_is_let_go() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    alive = weakref.ref(model)
    cache = ActivationCache.capture(model, torch.ones(1, 4))
    del model
    gc.collect()
    assert alive() is None and cache["0"].shape == (1, 4)


def test_closing_lets_the_model_go() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    alive = weakref.ref(model)
    cache = ActivationCache.capture(model, torch.ones(1, 4), budget=0)
    del model
    assert cache["0"].shape == (1, 4)
    cache.close()
    gc.collect()
    assert alive() is None


class Caches(nn.Module):
    """Blocks of attention whose keys and values the model returns beside its result, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, 64, batch_first=True) for _ in range(4))
        self.keys = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> dict[str, Any]:
        found = []
        for block, key in zip(self.blocks, self.keys, strict=True):
            found.append(key(x)[None])
            x = x + nn.functional.scaled_dot_product_attention(x[None], found[-1], x[None])[0]
            x = block(x)
        return {"out": x, "keys": found}


def test_the_models_own_result_is_kept_at_the_expense_of_earlier_values() -> None:
    model = blocks(8).eval()
    x = torch.randn(4, 16)
    cache = ActivationCache.capture(model, x, budget="1 KiB")
    assert [record.label for record in cache.records if record.kept][-1] == "(model)"
    assert torch.equal(cache[""], model(x))


def test_values_that_give_way_keep_their_statistics() -> None:
    x = torch.randn(4, 16)
    whole, cache = values_of(blocks(8).eval(), x, budget="1 KiB")
    given_up = [record for record in cache.records if record.on_demand]
    assert len(given_up) > 20
    for record in given_up:
        expected = whole.find(record.path, step=record.step, call=record.call).stats
        assert record.stats == expected, record.label


def test_a_value_with_two_names_comes_back_by_the_shorter_way() -> None:
    model = Caches().eval()
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        cache = ActivationCache.capture(model, x, budget="2000 B")
        keys = [record for record in cache.records if record.item.startswith("keys") and record.on_demand]
        assert keys
        calls: list[str] = []
        for name, module in model.named_modules():
            module.register_forward_pre_hook(lambda module, args, name=name: calls.append(name))
        for record in keys:
            value = cache.value(record)
            assert isinstance(value, Tensor) and torch.equal(value, model(x)["keys"][int(record.item.split(".")[-1])])
    assert cache.reproducible is True


def test_neighbours_in_the_same_block_come_along() -> None:
    model = blocks(6).eval()
    whole, cache = values_of(model, torch.randn(4, 16), budget="3 KiB")
    block = [record for record in cache.records if record.path.startswith("4.") and record.on_demand]
    assert len(block) > 2
    Block.runs = 0
    for record in block:
        assert torch.equal(cache.get(record.path), whole.get(record.path))
    assert Block.runs == 1
    assert cache.held_bytes <= cache.budget_bytes


def test_a_value_that_fills_the_budget_comes_without_neighbours() -> None:
    model = blocks(6).eval()
    whole, cache = values_of(model, torch.randn(4, 16), budget="300 B")
    for record in [record for record in cache.records if record.on_demand]:
        assert torch.equal(cache.get(record.path), whole.get(record.path)), record.label
