"""Copies that are made while a layer runs: the bytes are those of the tensor, and a write in between is noticed."""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.capture import copies_ahead
from memviz_widgets.capture.copies_ahead import AHEAD_FROM, CopiesAhead
from memviz_widgets.errors import ForwardError

ROOM = 1 << 30
LARGE = AHEAD_FROM // 4


@pytest.fixture(autouse=True)
def free_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies_ahead, "_has_free_core", lambda: True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_a_copy_has_the_same_bytes(dtype: torch.dtype) -> None:
    ahead = CopiesAhead()
    tensors = [(torch.randn(4, LARGE) * 9).to(dtype) for _ in range(3)]
    ahead.begin(tensors, ROOM)
    assert ahead.nbytes == sum(each.nbytes for each in tensors)
    for tensor in tensors:
        copy = ahead.take(tensor)
        assert copy is not None and copy.dtype is dtype and torch.equal(copy, tensor)
        assert copy.data_ptr() != tensor.data_ptr()
    assert ahead.nbytes == 0
    assert ahead.take(tensors[0]) is None  # it has been taken


@pytest.mark.parametrize(
    "write",
    [lambda tensor: tensor.mul_(2), lambda tensor: tensor.data.mul_(2)],
    ids=["in place", "without a version"],
)
def test_a_write_in_between_is_noticed(write: Callable[[Tensor], Tensor]) -> None:
    ahead, tensor = CopiesAhead(), torch.randn(LARGE)
    ahead.begin([tensor], ROOM)
    for batch in ahead._batches.values():
        batch.wait()
    write(tensor)
    assert ahead.take(tensor) is None
    assert ahead.nbytes == 0


def test_what_is_not_worth_it_or_does_not_fit() -> None:
    ahead = CopiesAhead()
    small, strided, large = torch.randn(100), torch.randn(LARGE, 2)[:, 0], torch.randn(LARGE)
    with torch.inference_mode():
        inference = torch.randn(LARGE)
    ahead.begin([small, strided, inference, torch.empty(LARGE, device="meta")], ROOM)
    ahead.begin([large], large.nbytes - 1)
    assert ahead.nbytes == 0
    ahead.begin([large], large.nbytes)
    ahead.begin([large, torch.randn(LARGE)], ROOM)  # one of them is being copied already
    assert ahead.nbytes == large.nbytes
    ahead.clear()
    assert ahead.nbytes == 0 and ahead.take(large) is None


def test_without_a_free_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    ahead = CopiesAhead()
    ahead.begin([torch.randn(LARGE)], ROOM)
    assert ahead.nbytes == 0


def test_without_a_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    ahead, tensor = CopiesAhead(), torch.randn(LARGE)
    ahead.begin([tensor], ROOM)
    assert ahead.nbytes == 0 and ahead.take(tensor) is None


def test_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def like(self, tensor: Tensor) -> Tensor:
            raise MemoryError

    monkeypatch.setattr(copies_ahead, "PAGES", Full())
    ahead, tensor = CopiesAhead(), torch.randn(LARGE)
    ahead.begin([tensor], ROOM)
    assert ahead.take(tensor) is None
    assert ahead.nbytes == 0


def ends_with(threads: int) -> bool:
    """Whether no more than so many threads are left, of which the last may need a moment to end."""
    stop = time.monotonic() + 10
    while _thread._count() > threads and time.monotonic() < stop:
        time.sleep(0.001)
    return _thread._count() <= threads


def gates(cache: mv.ActivationCache) -> Tensor:
    return torch.cat([cache.get("", kind=f"gate.{letter}")[:] for letter in "ifgo"])


@pytest.mark.parametrize("budget", ["64 MiB", "12 MiB"])
def test_gates_of_an_lstm_after_its_weights_have_changed(monkeypatch: pytest.MonkeyPatch, budget: str) -> None:
    threads, taken = _thread._count(), list[bool]()
    take = CopiesAhead.take

    def noted(self: CopiesAhead, live: Tensor) -> Tensor | None:
        copy = take(self, live)
        taken.append(copy is not None)
        return copy

    monkeypatch.setattr(CopiesAhead, "take", noted)
    model, x = nn.LSTM(512, 512, batch_first=True), torch.randn(2, 6, 512)
    with torch.no_grad():
        expected = gates(mv.ActivationCache.capture(model, x, budget="1 GiB"))
        taken.clear()
        cache = mv.ActivationCache.capture(model, x, budget=budget)
        for parameter in model.parameters():
            parameter.zero_()
    assert sum(taken) == 2  # both matrices
    assert torch.equal(gates(cache), expected)
    assert ends_with(threads)


def test_a_forward_that_fails_leaves_no_thread() -> None:
    model, threads = nn.LSTM(512, 512, batch_first=True), _thread._count()
    with pytest.raises(ForwardError):
        mv.ActivationCache.capture(model, torch.randn(2, 6, 511))
    assert ends_with(threads)


def test_layers_that_are_not_chosen_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(CopiesAhead, "begin", lambda self, tensors, room: begun.append(len(list(tensors))))
    model = nn.ModuleDict({"rnn": nn.LSTM(8, 8), "head": nn.Linear(8, 8)})
    x = torch.randn(3, 2, 8)

    def run(parts: nn.ModuleDict) -> Tensor:
        return parts["head"](parts["rnn"](x)[0])

    mv.ActivationCache.capture(model, call=run, layers="head")
    assert not begun
    mv.ActivationCache.capture(model, call=run)
    assert begun == [4]
