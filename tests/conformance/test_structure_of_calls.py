"""Rows 11 to 15: which call of which module a value belongs to, and what is said of modules that were not called."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from memviz_widgets.errors import UnknownRecordError

from .model_state import Capture

X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5


def test_11_module_called_t_times(captured: Capture) -> None:
    """T records, each with its call number and the call that made it."""

    class Unrolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(3, 4)

        def forward(self, x: Tensor) -> Any:
            state = None
            for step in x:
                state = self.cell(step, state)
            return state

    model, x = Unrolled(), torch.randn(5, 1, 3)
    cache = captured(model, x)
    cells = [record for record in cache.records if record.path == "cell" and not record.memory]
    assert [(record.call, record.item) for record in cells] == [(t, item) for t in range(5) for item in ("0", "1")]
    assert {record.caller for record in cells} == {("", 0)} and {record.step for record in cells} == {0}
    h, c = torch.zeros(1, 4), torch.zeros(1, 4)
    for t in range(5):
        h, c = model.cell(x[t], (h, c))
        assert torch.equal(cache.get("cell", call=t, item="0"), h)
        assert torch.equal(cache.get("cell", call=t, item="1"), c)
    weights = sum(weight.nbytes for weight in model.cell.parameters())
    assert cache.held_bytes == 5 * 2 * 4 * 4 + x.nbytes + weights  # the gates are made of inputs and, once, weights


def test_11_outermost_calls_are_steps(captured: Capture) -> None:
    """A cell that the user's own loop calls: a step per call."""
    cell, x = nn.GRUCell(3, 4), torch.randn(5, 1, 3)

    def loop(model: Any) -> None:
        h = None
        for step in x:
            h = model(step, h)

    cache = captured(cell, call=loop)
    found = [(record.step, record.call, record.caller) for record in cache.records if record.kind == "output"]
    assert found == [(t, 0, None) for t in range(5)]
    h = None
    for t in range(5):
        h = cell(x[t], h)
        assert torch.equal(cache.get("", step=t), h)


def test_12_recursion(captured: Capture) -> None:
    """The outermost call returns last and is call 0; each call inside names the one around it."""

    class Recursive(nn.Module):
        def forward(self, x: Tensor, depth: int) -> Any:
            return x if depth == 0 else self(x, depth - 1) + 1

    cache = captured(Recursive(), (X, 3))
    assert [record.call for record in cache.records] == [3, 2, 1, 0]
    assert [record.caller for record in cache.records] == [("", 2), ("", 1), ("", 0), None]
    assert all(torch.equal(cache.get("", call=call), X + 3 - call) for call in range(4))


def test_13_shared_module_under_two_names(captured: Capture) -> None:
    """One record per call, under the first name, and found under both."""
    linear = nn.Linear(4, 4)
    cache = captured(nn.Sequential(linear, nn.ReLU(), linear), X)
    assert [(record.path, record.call) for record in cache.records] == [("0", 0), ("1", 0), ("0", 1), ("", 0)]
    assert torch.equal(cache.get("2", call=0), linear(X)) and "2" in cache
    assert torch.equal(cache.get("2", call=1), linear(linear(X).relu()))
    assert torch.equal(cache.get("2", call=1), cache.get("0", call=1)) and cache.never_called == ()


class Overrides(nn.Linear):
    """Does without nn.Module's call, and so without hooks."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)


class Bypasses(nn.Module):
    """Uses its parts without calling them: .forward(), their weights, a part in a plain list, a call of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.d, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), Overrides(4, 4), nn.Linear(4, 4)
        self.c = [nn.Linear(4, 4)]

    def forward(self, x: Tensor) -> Any:
        return self.c[0](functional.linear(self.d(self.a.forward(x)), self.b.weight))


def test_14_modules_that_are_used_without_a_call(captured: Capture) -> None:
    """They are listed as never called, and asking for one says so."""
    model = Bypasses()
    cache = captured(model, X)
    assert cache.names() == ("",) and torch.equal(cache[""], model(X))
    assert cache.never_called == ("a", "b", "d", "unused")
    with pytest.raises(UnknownRecordError, match="no record 'b'"):
        cache.get("b")


def test_14_where_the_weights_of_such_a_module_were_used(captured: Capture) -> None:
    """'b' was never called, but its weight went into linear() in the model: that is said, and of 'unused' it is not."""
    cache = captured(Bypasses(), X)
    assert any("'b'" in remark and "linear" in remark for remark in cache.remarks)
    assert not any("unused" in remark for remark in cache.remarks)


def test_15_attention_of_a_transformer_in_sdpa(captured: Capture) -> None:
    """Where output_attentions gives none: recomputed, the output bit-equal, the config untouched."""
    from transformers import BertConfig, BertModel

    config = BertConfig(num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    model, ids = BertModel(config).eval(), torch.tensor([[1, 2, 3, 4, 5]])
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    outputs: list[Any] = []
    before = model.config.to_dict()
    with torch.no_grad():
        cache = captured(model, call=lambda m: outputs.append(m(ids, output_attentions=True)))
        expected, plain = eager(ids, output_attentions=True).attentions, model(ids)
    assert not outputs[0].attentions and model.config.to_dict() == before
    assert torch.equal(outputs[0].last_hidden_state, plain.last_hidden_state)
    found = [record for record in cache.records if record.kind == "attention"]
    assert [record.path for record in found] == [f"encoder.layer.{layer}.attention.self" for layer in range(2)]
    for record, weights in zip(found, expected, strict=True):
        torch.testing.assert_close(cache.attention(record.path), weights, rtol=0, atol=1e-5)
