"""Statistics of what a capture holds are taken when its records are first read, and are those of the capture."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.cache import ActivationCache, measuring
from memviz_widgets.capture import tensor_stats
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.records import TensorStats

BUDGET = 64 * 1024


def chain(width: int = 64, depth: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(depth)])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the tensors whose statistics were taken since."""
    found: list[tuple[int, ...]] = []

    def spy(tensor: Tensor) -> TensorStats:
        found.append(tuple(tensor.shape))
        return tensor_stats(tensor)

    monkeypatch.setattr(measuring, "tensor_stats", spy)
    return found


def test_what_is_held_is_measured_when_records_are_read(measured: list[tuple[int, ...]]) -> None:
    model, x = chain(), torch.randn(8, 64)
    cache = ActivationCache.capture(model, x)
    assert measured == []
    record = cache.find("3")
    assert len(measured) == 6  # a value of the whole model is that of its last layer
    assert record.stats == tensor_stats(model[:4](x))
    assert cache.records is cache.records and len(measured) == 6


def test_what_is_not_held_is_measured_while_it_lives(measured: list[tuple[int, ...]]) -> None:
    model, x = chain(), torch.randn(100, 64)  # 25 KiB a layer
    cache = ActivationCache.capture(model, x, budget=BUDGET)
    early = len(measured)
    assert early > 0
    expected = {str(place): tensor_stats(model[: place + 1](x)) for place in range(6)}
    assert {record.path: record.stats for record in cache.records if record.path} == expected
    assert 0 < len(measured) - early < 6
    assert torch.equal(cache["2"], model[:3](x))  # compared with the statistics, whenever they were taken


def test_the_model_may_change_before_records_are_read() -> None:
    model, x = chain(), torch.randn(8, 64)
    expected = tensor_stats(model(x))
    cache = ActivationCache.capture(model, x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    del model
    assert cache.find("").stats == expected


def test_a_closed_cache_still_tells_the_statistics() -> None:
    model, x = chain(), torch.randn(8, 64)
    cache = ActivationCache.capture(model, x)
    cache.close()
    assert cache.find("5").stats == tensor_stats(model(x))


def test_an_interrupt_while_they_are_read_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ActivationCache.capture(chain(), torch.randn(8, 64))
    calls = []

    def interrupted(tensor: Tensor) -> TensorStats:
        calls.append(tensor)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return tensor_stats(tensor)

    monkeypatch.setattr(measuring, "tensor_stats", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _ = cache.records
    assert all(record.stats is not None for record in cache.records)


def test_reading_records_searches_no_garbage_of_before() -> None:
    """In a process with torch loaded a full collection takes longer than all that is read."""
    cache = ActivationCache.capture(chain(8, 1500), torch.randn(2, 8))
    frozen: list[int] = []

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            frozen.append(gc.get_freeze_count())

    gc.callbacks.append(collected)
    try:
        build_catalog(cache)
    finally:
        gc.callbacks.remove(collected)
    assert frozen and all(count > 10_000 for count in frozen)
    assert gc.get_freeze_count() == 0
