"""Which module, which call: repeated calls, recursion, shared modules, threads, modules that never run."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache

from .recording import Raises, hook_entries


class Recursive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor, depth: int) -> Tensor:
        out: Tensor = self.linear(x) if depth == 0 else self(self.linear(x), depth - 1)
        return out


class Catches(nn.Module):
    """Goes on after an error in a part, and runs a part while it handles one."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Raises(ValueError("caught"))
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            out: Tensor = self.part(x)
        except ValueError:
            out = self.linear(x)
        return out


def calls(cache: ActivationCache, path: str) -> list[int]:
    return [record.call for record in cache.records if record.path == path]


def test_records_come_in_the_order_in_which_modules_finish() -> None:
    cache = ActivationCache.capture(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())), torch.ones(1, 2))
    assert [record.path for record in cache.records] == ["0", "1.0", "1", ""]
    assert [record.index for record in cache.records] == [0, 1, 2, 3]
    assert [record.module_type for record in cache.records] == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_outermost_calls_are_steps() -> None:
    cell, x = nn.GRUCell(3, 4), torch.randn(1, 3)
    cache = ActivationCache.capture(cell, call=lambda m: m(x, m(x, m(x))))
    assert [(record.step, record.call) for record in cache.records if not record.memory] == [(0, 0), (1, 0), (2, 0)]
    assert torch.equal(cache.get("", step=1), cell(x, cell(x)))


def test_calls_within_a_step_are_numbered_and_know_their_caller() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.cell(x, self.cell(x))
            return out

    model, x = Loop(), torch.randn(1, 3)
    cache = ActivationCache.capture(model, call=lambda m: (m(x), m(x)))
    outputs = [record for record in cache.records if record.kind == "output"]
    found = [(record.path, record.step, record.call, record.caller) for record in outputs]
    assert found[:3] == [("cell", 0, 0, ("", 0)), ("cell", 0, 1, ("", 0)), ("", 0, 0, None)]
    assert found[3:] == [("cell", 1, 0, ("", 0)), ("cell", 1, 1, ("", 0)), ("", 1, 0, None)]
    assert torch.equal(cache.get("cell", call=1, step=1), model(x))


def test_recursion_counts_from_the_outside_in() -> None:
    model, x = Recursive(), torch.randn(1, 2)
    cache = ActivationCache.capture(model, (x, 2))
    assert calls(cache, "") == [2, 1, 0]
    assert calls(cache, "linear") == [0, 1, 2]
    assert torch.equal(cache.get("", call=0), cache.get("linear", call=2))


def test_shared_module_is_recorded_under_its_first_name_and_found_under_both() -> None:
    linear = nn.Linear(3, 3)
    cache = ActivationCache.capture(nn.Sequential(linear, nn.ReLU(), linear), torch.randn(1, 3))
    assert cache.names() == ("0", "1", "")
    assert torch.equal(cache.get("2", call=1), cache.get("0", call=1))
    assert "2" in cache


def test_error_that_the_model_catches_leaves_the_calls_in_order() -> None:
    cache = ActivationCache.capture(Catches(), torch.ones(1, 2))
    assert cache.names() == ("linear", "")
    assert torch.equal(cache["linear"], cache[""])


def test_modules_that_never_ran_are_listed() -> None:
    attention, q = nn.MultiheadAttention(4, 2, batch_first=True), torch.randn(1, 3, 4)
    model = nn.ModuleDict({"attention": attention, "unused": nn.ModuleList([nn.Linear(1, 1)])})
    cache = ActivationCache.capture(model, call=lambda m: m["attention"](q, q, q))
    assert cache.never_called == ("attention.out_proj", "unused.0")


def test_a_thread_that_ran_before_is_not_recorded() -> None:
    model, x = nn.Linear(2, 2), torch.ones(1, 2)
    go, done, over = threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        go.wait()
        model(x)
        done.set()
        over.wait()

    thread = threading.Thread(target=serve)
    thread.start()

    def call(m: Any) -> None:
        go.set()
        done.wait()
        m(x)

    cache = ActivationCache.capture(model, call=call)
    over.set()
    thread.join()
    assert len(cache.records) == 1


def test_a_thread_that_the_call_starts_is_followed() -> None:
    model, x = nn.Linear(2, 2), torch.ones(1, 2)

    def stream(m: Any) -> None:
        thread = threading.Thread(target=lambda: (m(x), m(2 * x)))
        thread.start()
        thread.join()

    cache = ActivationCache.capture(model, call=stream)
    assert torch.equal(cache.get("", step=1), model(2 * x)) and len(cache.records) == 2


def test_keywords_and_positional_arguments() -> None:
    model, x = nn.Bilinear(2, 2, 1), torch.ones(1, 2)
    assert torch.equal(
        ActivationCache.capture(model, (x, x))[""], ActivationCache.capture(model, {"input1": x, "input2": x})[""]
    )


def test_layers_choose_what_is_recorded() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Tanh()))
    assert ActivationCache.capture(model, torch.ones(1, 2), layers=["0", "1.*"]).names() == ("0", "1.0", "1.1")
    assert ActivationCache.capture(model, torch.ones(1, 2), layers="1").names() == ("1",)


def test_compiled_model_gives_the_names_of_the_plain_one() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(2, 4)
    compiled: Any = torch.compile(model, backend="eager")
    compiled(x)
    cache = ActivationCache.capture(compiled, x)
    assert cache.names() == ("0", "1", "") and not cache.never_called


@pytest.mark.filterwarnings("ignore")
def test_script_module_inside_is_listed_and_its_parent_recorded() -> None:
    cache = ActivationCache.capture(nn.Sequential(torch.jit.script(nn.Linear(4, 4)), nn.ReLU()), torch.randn(2, 4))
    assert cache.names() == ("1", "")
    assert cache.opaque == {"0": "'0' is a Linear compiled by TorchScript; it takes no hooks"}


def test_lazy_module_has_the_type_it_became() -> None:
    cache = ActivationCache.capture(nn.Sequential(nn.LazyLinear(3)), torch.randn(4, 5))
    assert cache.records[0].module_type == "Linear" and cache.records[0].shape == (4, 3)


def test_copy_made_during_the_forward_is_free_of_us() -> None:
    class Copies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            kept.append(copy.deepcopy(self.linear))
            pickle.dumps(self.linear)
            out: Tensor = kept[0](x)
            return out

    kept: list[nn.Module] = []
    cache = ActivationCache.capture(Copies(), torch.ones(1, 2))
    assert cache.names() == ("",)
    assert all(count <= 1 for _, _, count in hook_entries(kept[0]))
    assert kept[0](torch.ones(1, 2)).shape == (1, 2)


def test_hooks_of_the_user_run_before_ours() -> None:
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda module, args, output: output * 0)
    assert ActivationCache.capture(model, torch.ones(1, 2))[""].tolist() == [[0, 0]]


def test_nesting_that_fits_the_stack_without_hooks_fits_with_them() -> None:
    model: nn.Module = nn.Identity()
    for _ in range(sys.getrecursionlimit() * 3 // 10):  # a call takes 3 frames of the stack, 4 with hooks
        model = nn.Sequential(model)
    limit = sys.getrecursionlimit()
    assert "" in ActivationCache.capture(model, torch.ones(1, 2))
    assert sys.getrecursionlimit() == limit
