"""Hooks come after the user's, and are gone afterwards, whatever the model's code did to the tables of hooks."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache

from .recording import hook_entries

X = torch.ones(1, 2)


class Inner(nn.Linear):
    """A layer whose forward lets the test do something to it."""

    def __init__(self, act: Any) -> None:
        super().__init__(2, 2)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Linear."""
        self.act(self)
        return super().forward(x)


def test_recorded_is_what_the_users_hooks_made_of_it() -> None:
    model = nn.Sequential(nn.Identity())
    model[0].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    model[0].register_forward_hook(lambda module, args, output: output * 10)
    model[0].register_forward_hook(lambda module, args, kwargs, output: output + 3, with_kwargs=True)
    cache = ActivationCache.capture(model, X)
    assert cache["0"].tolist() == [[23, 23]]


def test_hook_of_the_user_that_is_removed_inside_the_forward_comes_back() -> None:
    handles: list[Any] = []
    model = nn.Sequential(Inner(lambda module: handles[0].remove()), nn.ReLU())
    handles.append(model[0].register_forward_hook(lambda *args: None))
    before = hook_entries(model)
    ActivationCache.capture(model, X)
    assert hook_entries(model) == before and handles[0].id in model[0]._forward_hooks


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_loop_leaves_no_hook_in_tables_that_took_the_place_of_others(kind: type[dict[int, Any]]) -> None:
    first: list[Any] = []

    def exchange(module: nn.Module) -> None:
        first.append(module._forward_hooks)
        module._forward_hooks = kind(module._forward_hooks)

    model = nn.Sequential(Inner(exchange))
    with mv.record(model) as cache:
        model(X)
    assert [record.path for record in cache.records] == ["0", ""]
    assert not model[0]._forward_hooks and not first[0] and not model[0]._forward_hooks_with_kwargs


def test_tables_that_were_cleared_inside_the_forward_are_no_error() -> None:
    model = nn.Sequential(Inner(lambda module: module._forward_hooks.clear()), nn.ReLU())
    before = hook_entries(model)
    assert "1" in ActivationCache.capture(model, X)
    assert hook_entries(model) == before


def test_key_of_the_hooks_is_nobody_elses() -> None:
    handles: list[Any] = []
    model = nn.Sequential(Inner(lambda module: handles.append(module.register_forward_hook(lambda *args: None))))
    with mv.record(model):
        before = model[0]._forward_hooks.keys() | model[0]._forward_pre_hooks.keys()
        model(X)
    assert len(before) == 1 and handles[0].id not in before
    assert list(model[0]._forward_hooks) == [handles[0].id]


def test_own_way_to_take_hooks_is_asked() -> None:
    class Refuses(nn.ReLU):
        def register_forward_hook(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("no hooks here")

    model = nn.Sequential(Refuses(), nn.ReLU())
    before = hook_entries(model)
    cache = ActivationCache.capture(model, X)
    assert cache.opaque == {"0": "'0' takes no hooks: no hooks here"}
    assert hook_entries(model) == before and "1" in cache


def test_parts_that_torchscript_compiled_are_left_alone() -> None:
    model = nn.Sequential(torch.jit.script(nn.Linear(2, 2)), nn.ReLU())
    cache = ActivationCache.capture(model, X)
    assert cache.opaque == {"0": "'0' is a Linear compiled by TorchScript; it takes no hooks"} and "1" in cache


def test_copies_and_pickles_made_inside_have_hooks_that_do_nothing() -> None:
    copies: list[Any] = []

    def keep(module: Any) -> None:
        module.act = print
        copies.extend((copy.deepcopy(module), pickle.loads(pickle.dumps(module))))

    model = nn.Sequential(Inner(keep))
    cache = ActivationCache.capture(model, X)
    for each in copies:
        assert torch.equal(nn.Linear.forward(each, X), cache["0"])
        each.act = lambda module: None
        assert torch.equal(each(X), cache["0"])
    assert len(cache) == 2
