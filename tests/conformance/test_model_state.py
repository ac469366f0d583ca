"""The table that the other tests compare notices what a capture might leave behind."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from .model_state import changes, full_state, unchanged

Undo = Callable[[], object]


def hook(model: Any) -> Undo:
    return model[0].register_forward_hook(lambda *args: None).remove


def global_hook(model: Any) -> Undo:
    return nn.modules.module.register_module_forward_hook(lambda *args: None).remove


def mode(model: Any) -> Undo:
    entered = torch.overrides.BaseTorchFunctionMode()
    entered.__enter__()
    return lambda: entered.__exit__(None, None, None)


def symbol(model: Any) -> Undo:
    own = functional.scaled_dot_product_attention
    setattr(functional, "scaled_dot_product_attention", lambda *args: None)  # noqa: B010
    return lambda: setattr(functional, "scaled_dot_product_attention", own)


def grad(model: Any) -> Undo:
    model[0].weight.grad = torch.zeros(2, 2)
    return lambda: None


def switch(model: Any) -> Undo:
    torch.backends.mha.set_fastpath_enabled(False)
    return lambda: torch.backends.mha.set_fastpath_enabled(True)


def depth(model: Any) -> Undo:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 1)
    return lambda: sys.setrecursionlimit(limit)


def done(act: Callable[[Any], object]) -> Callable[[Any], Undo]:
    """A change that needs no undoing."""
    return lambda model: (act(model), lambda: None)[1]


CHANGES: dict[str, tuple[Callable[[Any], Undo], str]] = {
    "hook": (hook, "0._forward_hooks keys"),
    "hook of all modules": (global_hook, "process: _global_forward_hooks keys"),
    "function mode": (mode, "process: function modes"),
    "name of torch": (symbol, "torch.nn.functional.scaled_dot_product_attention"),
    "grad": (grad, "0._parameters.weight.grad"),
    "fast path": (switch, "process: mha fast path"),
    "recursion limit": (depth, "process: recursion limit"),
    "training flag": (done(lambda model: model[1].eval()), "1.training"),
    "requires_grad": (done(lambda model: model[0].weight.requires_grad_(False)), "0._parameters.weight flags"),
    "version": (done(lambda model: model[0].weight.detach().add_(0)), "0._parameters.weight version"),
    "quiet write": (done(lambda model: model[1].running_var.data.add_(1)), "1._buffers.running_var bits"),
    "other buffer": (
        done(lambda model: model[1].register_buffer("running_var", torch.ones(2))),
        "1._buffers.running_var",
    ),
    "forward": (done(lambda model: setattr(model[0], "forward", print)), "0.forward"),
    "torch generator": (done(lambda model: torch.rand(1)), "process: torch generator"),
    "python generator": (done(lambda model: random.random()), "process: python generator"),
    "list in a dict": (done(lambda model: model.log["a"].append(1)), "(model).log.a length"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_noticed(name: str) -> None:
    change, place = CHANGES[name]
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model.log = {"a": [0]}
    before = full_state(model)
    undo = change(model)
    try:
        assert place in changes(before, full_state(model))
    finally:
        undo()


def test_looking_changes_nothing() -> None:
    model = nn.Sequential(nn.LSTM(2, 2), nn.MultiheadAttention(2, 1), nn.LazyLinear(3))
    with unchanged(model):
        full_state(model)


def test_failing_block_is_compared_too() -> None:
    model = nn.Sequential(nn.Linear(2, 2))

    def fails() -> None:
        with unchanged(model):
            model.eval()
            raise KeyboardInterrupt

    with pytest.raises(AssertionError, match=r"the capture changed \['\(model\).training', '0.training'\]"):
        fails()
