"""A what-if equals the model edited by hand, bit for bit, record by record; and the model comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.capture import LazyValue, same_bits
from memviz_widgets.errors import EditError

from .model_state import Capture, unchanged

Edits = dict[str, Any]
ByHand = Callable[[nn.Module], Callable[[], None]]
"""Edits a model by hand; what it returns undoes that."""


def values(cache: ActivationCache) -> dict[tuple[object, ...], Tensor]:
    """Every value by place."""
    found: dict[tuple[object, ...], Tensor] = {}
    for record in cache.records:
        if record.available and not record.parts:
            value = cache.value(record)
            dense = value.load() if isinstance(value, LazyValue) and not isinstance(value, Tensor) else value
            found[record.path, record.kind, record.item, record.call, record.step] = dense
    return found


def check(captured: Capture, model: nn.Module, x: object, edits: Edits, by_hand: ByHand, reached: str) -> None:
    """The twin is what a capture of the edited model is; the original and the model stay; ``reached`` differs."""
    cache = captured(model, x)
    before = values(cache)
    with unchanged(model):
        twin = cache.what_if(edits)
    undo = by_hand(model)
    expected = values(captured(model, x))
    undo()
    found, after = values(twin), values(cache)
    assert [key for key in expected if not same_bits(found[key], expected[key])] == []
    assert found.keys() == expected.keys() == before.keys()
    assert [key for key in before if not same_bits(after[key], before[key])] == []
    assert not same_bits(found[reached, "output", "", 0, 0], before[reached, "output", "", 0, 0])
    twin.close()


def output_hook(path: str, change: Callable[[Tensor], Tensor]) -> ByHand:
    """A forward hook that changes what a module returns."""
    return lambda model: model.get_submodule(path).register_forward_hook(lambda *args: change(args[2])).remove


def with_part(index: Any, number: float) -> Callable[[Tensor], Tensor]:
    """Sets a part of a copy."""

    def change(tensor: Tensor) -> Tensor:
        made = tensor.clone()
        made[index] = number
        return made

    return change


class Residual(nn.Module):
    """Convolutions with a batch norm, an activation in place and a sum in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        first = self.act(self.norm(self.first(x)))
        x = self.second(first)
        x += first
        x = self.act(self.third(x))
        result: Tensor = self.head(x.mean((2, 3)))
        return result


EVERY = slice(None)
CNN_EDITS: list[tuple[Edits, ByHand]] = [
    ({"second": mv.edit.zero(channel=3)}, output_hook("second", with_part((slice(None), 3), 0))),
    ({"first": mv.edit.set(1.5, channel=[1, 6], height=0)}, output_hook("first", with_part((EVERY, [1, 6], 0), 1.5))),
    ({"norm": mv.edit.scale(0.5)}, output_hook("norm", lambda tensor: tensor * 0.5)),
    ({"third": lambda tensor: tensor.flip(-1)}, output_hook("third", lambda tensor: tensor.flip(-1))),
    (
        {"act": mv.edit.zero(channel=0, call=1)},
        lambda model: second_call(model.get_submodule("act"), with_part((slice(None), 0), 0)),
    ),
]


def second_call(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Callable[[], None]:
    calls: list[None] = []

    def hook(*args: Any) -> Tensor | None:
        calls.append(None)
        return change(args[2]) if len(calls) == 2 else None

    return module.register_forward_hook(hook).remove


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no grad"])
@pytest.mark.parametrize(("edits", "by_hand"), CNN_EDITS, ids=[next(iter(edits)) for edits, _ in CNN_EDITS])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_convolutional_network(captured: Capture, edits: Edits, by_hand: ByHand, training: bool, grad: bool) -> None:
    model = Residual().train(training)
    with torch.set_grad_enabled(grad):
        check(captured, model, torch.randn(2, 3, 6, 6), edits, by_hand, "head")


def test_an_input_pixel(captured: Capture) -> None:
    model, x = Residual().eval(), torch.randn(2, 3, 6, 6)
    twin = captured(model, x).what_if({"input": mv.edit.set(9.0, height=2, width=3)})
    expected = values(captured(model, with_part((..., 2, 3), 9.0)(x)))
    assert all(same_bits(value, expected[key]) for key, value in values(twin).items())
    assert float(x.max()) < 9


class Words(nn.Module):
    """An embedding, a layer of torch's transformer, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.block = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, dropout=0.25)
        self.head = nn.Linear(16, 20)

    def forward(self, ids: Tensor) -> Tensor:
        result: Tensor = self.head(self.block(self.embed(ids)))
        return result


def test_an_input_token(captured: Capture) -> None:
    model, ids = Words().eval(), torch.randint(20, (2, 5))
    twin = captured(model, ids).what_if({"input": mv.edit.set(7, batch=0, time=-1)})
    expected = values(captured(model, with_part((0, -1), 7)(ids)))
    assert all(same_bits(value, expected[key]) for key, value in values(twin).items())


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_random_mask_is_the_same_one(captured: Capture, training: bool) -> None:
    model = Words().train(training)
    by_hand = output_hook("embed", with_part((slice(None), 2), 0))
    check_seeded(captured, model, torch.randint(20, (2, 5)), {"embed": mv.edit.zero(time=2)}, by_hand)


def check_seeded(captured: Capture, model: nn.Module, x: object, edits: Edits, by_hand: ByHand) -> None:
    """As check: random numbers of the capture are those that the twin draws, whatever was drawn in between."""
    torch.manual_seed(3)
    cache = captured(model, x)
    torch.randn(5)
    now = torch.get_rng_state()
    twin = values(cache.what_if(edits))
    assert torch.equal(torch.get_rng_state(), now)
    undo = by_hand(model)
    torch.manual_seed(3)
    expected = values(captured(model, x))
    undo()
    assert [key for key in expected if not same_bits(twin[key], expected[key])] == []


class Heads(nn.Module):
    """Causal self-attention by scaled_dot_product_attention, or written out."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.by_hand: Callable[[Tensor], Tensor] = lambda tensor: tensor

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (each.unflatten(-1, (4, 4)).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        if self.fused:
            seen = self.by_hand(functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        else:
            later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
            scores = (q @ k.transpose(-1, -2)).masked_fill(later, -torch.inf)
            seen = self.by_hand(scores.softmax(-1)) @ v
        result: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return result


@pytest.mark.parametrize("fused", [True, False], ids=["sdpa", "written out"])
@pytest.mark.parametrize("edit", [mv.edit.zero(head=1), mv.edit.scale(0.3, head=[0, 3], query=2)], ids=str)
def test_heads_of_an_attention(captured: Capture, edit: mv.edit.Edit, fused: bool) -> None:
    model, x = Heads(fused=fused).eval(), torch.randn(2, 5, 16)
    cache = captured(model, x)
    twin = cache.what_if({"(model) attention": edit})
    rows = ("batch", "head", "query", "channel")
    model.by_hand = lambda tensor: edit.apply(tensor, rows, "")
    expected = captured(model, x)
    assert same_bits(twin[""], expected[""])
    assert not same_bits(twin[""], cache[""])
    weights = edit.apply(cache.attention(""), rows, "")
    assert torch.equal(twin.attention(""), weights)


@pytest.mark.parametrize("fused", [True, False], ids=["sdpa", "written out"])
def test_keys_of_an_attention(captured: Capture, fused: bool) -> None:
    model, x = Heads(fused=fused).eval(), torch.randn(2, 5, 16)
    cache = captured(model, x)
    twin = cache.what_if({" attention": mv.edit.zero(head=1, key=0)})
    weights = cache.attention("")
    weights[:, 1, :, 0] = 0
    value = cache["qkv"].chunk(3, -1)[2].unflatten(-1, (4, 4)).transpose(1, 2)
    expected = model.out((weights @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(twin[""], expected, atol=1e-6, rtol=0)
    assert torch.equal(twin.attention(""), weights)


@pytest.mark.parametrize("by_product", [True, False])
def test_heads_that_are_mixed_after_the_softmax(by_product: bool) -> None:
    mix = torch.randn(2, 2)

    class TalkingHeads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
            weights = (heads @ heads.mT).softmax(-1)
            if by_product:
                mixed = torch.einsum("bhij,hg->bgij", weights, mix)
            else:
                mixed = functional.conv2d(weights, mix[:, :, None, None])
            return mixed @ heads

    cache = mv.ActivationCache.capture(TalkingHeads(), torch.randn(2, 5, 8))
    assert torch.allclose(cache.attention("").sum(-1), torch.ones(2, 2, 5))
    with pytest.raises(
        EditError, match="cannot be edited: its weights as they are shown are not multiplied by a plain matmul"
    ):
        cache.what_if({" attention": mv.edit.zero(head=1)})


@pytest.mark.parametrize("grad", [True, False], ids=["python", "fused"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_heads_of_torchs_attention(captured: Capture, need_weights: bool, grad: bool) -> None:
    model, x = nn.MultiheadAttention(16, 4, batch_first=True).eval(), torch.randn(2, 5, 16)
    given = {"query": x, "key": x, "value": x, "need_weights": need_weights}
    with torch.set_grad_enabled(grad):
        twin = captured(model, given).what_if({" attention": mv.edit.zero(head=2)})
        with torch.no_grad():
            model.out_proj.weight[:, 8:12] = 0
        expected = captured(model, given)
    assert same_bits(twin.get("", item="0"), expected.get("", item="0"))
    assert torch.equal(twin.attention("", head=2), torch.zeros(2, 5, 5))


@pytest.mark.parametrize("grad", [True, False], ids=["python", "fused"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_of_torchs_attention(captured: Capture, need_weights: bool, grad: bool) -> None:
    model, x = nn.MultiheadAttention(16, 4, batch_first=True).eval(), torch.randn(2, 5, 16)
    with torch.set_grad_enabled(grad):
        cache = captured(model, {"query": x, "key": x, "value": x, "need_weights": need_weights})
        twin = cache.what_if({" attention": mv.edit.set(0.2, head=[0, 1, 2, 3], query=1)})
    value = functional.linear(x, model.in_proj_weight[32:], model.in_proj_bias[32:])
    mean = model.out_proj(value.mean(1))
    torch.testing.assert_close(twin.get("", item="0")[:, 1], mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(twin.get("", item="0")[:, 0], cache.get("", item="0")[:, 0], atol=1e-6, rtol=0)


class Sequence(nn.Module):
    """A recurrent layer between two linear ones."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.into, self.layer, self.head = nn.Linear(3, 4), layer, nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.layer(self.into(x))[0])
        return result


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no grad"])
def test_the_output_of_a_recurrent_layer(captured: Capture, kind: type[nn.Module], grad: bool) -> None:
    model = Sequence(kind(4, 5, num_layers=2, batch_first=True))
    change = with_part((slice(None), 7, 2), 1.0)

    def by_hand(model: nn.Module) -> Callable[[], None]:
        hook = lambda *args: (change(args[2][0]), args[2][1])  # noqa: E731
        return model.get_submodule("layer").register_forward_hook(hook).remove

    with torch.set_grad_enabled(grad):
        check(captured, model, torch.randn(2, 9, 3), {"layer": mv.edit.set(1.0, time=7, channel=2)}, by_hand, "head")


class Counted(nn.Module):
    """Counts its calls where nothing puts them back."""

    def __init__(self, ran: list[str], name: str) -> None:
        super().__init__()
        self.note, self.inner = partial(ran.append, name), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.note()
        result: Tensor = self.inner(x)
        return result


def test_layers_before_the_edit_are_not_computed_again(captured: Capture) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    with torch.no_grad():
        cache = captured(model, torch.randn(3, 4))
        twin = cache.what_if({"3": mv.edit.zero(channel=1)})
    assert twin.remarks[-1] == "what-if: 2 calls gave what was recorded, and were not computed again"


def test_a_module_of_the_users_always_runs(captured: Capture) -> None:
    ran: list[str] = []
    model = nn.Sequential(Counted(ran, "a"), Counted(ran, "b"))
    with torch.no_grad():
        twin = captured(model, torch.randn(3, 4)).what_if({"1": mv.edit.zero()})
    assert ran == ["a", "b", "a", "b"]
    assert twin.remarks[-1] == "what-if: 2 calls gave what was recorded, and were not computed again"


def test_with_gradients_all_is_computed(captured: Capture) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    twin = captured(model, torch.randn(3, 4)).what_if({"1": mv.edit.zero(channel=1)})
    assert twin.remarks == ("what-if: '1' is changed by set(0, channel=1)",)
