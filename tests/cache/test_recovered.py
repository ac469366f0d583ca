"""Values that are recovered from the tensors of a call: computed once, held under the budget, with their residual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.cache import ActivationCache
from memviz_widgets.capture import MemoryTensor, RecoveredValue, RecurrentError, register_memory, unregister_memory
from memviz_widgets.capture.recurrent_cells import Recovered
from memviz_widgets.errors import NotKeptError

STEPS, UNITS = 4096, 64
STATE_BYTES = STEPS * UNITS * 4


class Twice(nn.Module):
    """Returns its input twice as large."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Doubling:
    """Recovers three and four times the input, and counts how often it is asked."""

    def __init__(self, residual: float = 0.25, error: str = "") -> None:
        self.computed = self.windows = 0
        self._residual = residual
        self._error = error

    def compute(self, given: Mapping[str, Tensor]) -> Recovered:
        if self._error:
            raise RecurrentError(self._error)
        self.computed += 1
        values = {("hidden", ""): 3 * given["x"], ("cell", ""): 4 * given["x"]}
        return Recovered(values, {}, (), self._residual, "half precision")

    def window(self, given: Mapping[str, Tensor], key: tuple[str, str], start: int, stop: int) -> Tensor:
        if self._error:
            raise RecurrentError(self._error)
        self.windows += 1
        return (3 if key[0] == "hidden" else 4) * given["x"][:, start:stop]

    def residual(self, given: Mapping[str, Tensor]) -> float:
        return self._residual


class TwiceAdapter:
    """Two values recovered from a call of Twice."""

    def __init__(self, recovery: Doubling) -> None:
        self.recovery = recovery

    def match(self, module: nn.Module) -> bool:
        return isinstance(module, Twice)

    def read(self, module: Any, args: Any, kwargs: Any, result: Any) -> Iterator[MemoryTensor]:
        for kind in ("hidden", "cell"):
            value = RecoveredValue(self.recovery, (kind, ""), {"x": args[0]}, tuple(args[0].shape), 1)
            yield MemoryTensor(kind, value, ("batch", "time", "channel"))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, STEPS, UNITS, generator=torch.Generator().manual_seed(2))


def captured(recovery: Doubling, x: Tensor, budget: int) -> ActivationCache:
    adapter = TwiceAdapter(recovery)
    register_memory(adapter)
    try:
        return ActivationCache.capture(nn.Sequential(nn.Identity(), Twice()), x, budget=budget)
    finally:
        unregister_memory(adapter)


def test_nothing_is_computed_before_it_is_looked_at(x: Tensor) -> None:
    recovery = Doubling()
    cache = captured(recovery, x, 20 * STATE_BYTES)
    assert recovery.computed == 0
    assert cache.find("1", "hidden").residual is None
    assert torch.equal(cache.get("1", "hidden"), 3 * x)


def test_what_is_computed_together_is_held_together(x: Tensor) -> None:
    recovery = Doubling()
    cache = captured(recovery, x, 20 * STATE_BYTES)
    assert torch.equal(cache.get("1", "hidden"), 3 * x)
    assert torch.equal(cache.get("1", "cell"), 4 * x)
    assert (recovery.computed, recovery.windows) == (1, 0)
    assert isinstance(cache.value(cache.find("1", "cell")), Tensor)


def test_the_residual_stands_in_the_record_afterwards(x: Tensor) -> None:
    cache = captured(Doubling(residual=0.5), x, 20 * STATE_BYTES)
    cache.get("1", "hidden")
    for kind in ("hidden", "cell"):
        record = cache.find("1", kind)
        assert record.residual == 0.5
        assert record.note == "half precision"


def test_where_all_is_too_much_one_is_held(x: Tensor) -> None:
    recovery = Doubling(residual=0.125)
    cache = captured(recovery, x, 3 * STATE_BYTES)  # input, output, and one more
    assert torch.equal(cache.get("1", "cell"), 4 * x)
    assert recovery.computed == 0
    assert isinstance(cache.value(cache.find("1", "cell")), Tensor)
    assert cache.held_bytes <= cache.budget_bytes
    assert torch.equal(cache.get("1", "hidden"), 3 * x)
    assert cache.held_bytes <= cache.budget_bytes
    assert cache.find("1", "hidden").residual == 0.125


def test_where_one_is_too_much_it_is_read_in_pieces(x: Tensor) -> None:
    recovery = Doubling()
    cache = captured(recovery, x, 2 * STATE_BYTES + 100)
    value = cache.value(cache.find("1", "cell"))
    assert not isinstance(value, Tensor)
    assert torch.equal(value.read((0, slice(7, 9), 5)), 4 * x[0, 7:9, 5])
    assert torch.equal(value.read((0, 7, slice(None))), 4 * x[0, 7])
    assert recovery.computed == 0
    assert torch.equal(cache.get("1"), 2 * x)  # nothing that was recorded made room for it


def test_recorded_values_never_make_room_when_they_cannot_come_back(x: Tensor) -> None:
    cache = captured(Doubling(), x, 3 * STATE_BYTES)
    for kind in ("hidden", "cell", "hidden"):
        cache.get("1", kind)
    assert torch.equal(cache.get("0"), x)
    assert torch.equal(cache.get("1"), 2 * x)


def test_what_cannot_be_recovered_says_why(x: Tensor) -> None:
    cache = captured(Doubling(error="the weights are of another model"), x, 20 * STATE_BYTES)
    with pytest.raises(NotKeptError, match="the weights are of another model"):
        cache.get("1", "hidden")


def test_under_a_small_budget_the_inputs_come_back_first(x: Tensor) -> None:
    cache = captured(Doubling(), x, 2 * STATE_BYTES - 100)
    assert torch.equal(cache.get("1", "hidden"), 3 * x)
    assert torch.equal(cache.get("1", "cell"), 4 * x)
