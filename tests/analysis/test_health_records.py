"""Records of every sort: none makes the health report raise, and none is read whole that should not be."""

from __future__ import annotations

import math
import types
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.analysis import health
from memviz_widgets.analysis.health_samples import lazy_part

from .test_health_planting import at, noise, perceptron


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to give these tensors up
        return torch.quantize_per_tensor(noise(64, 4), 0.1, 0, torch.qint8)


DEGENERATE = {
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
    "no channel": torch.zeros(40, 0),
    "one": torch.ones(1, 1),
    "bool": noise(64, 4) > 0,
    "int": torch.arange(400).reshape(100, 4),
    "complex": torch.complex(noise(64, 4), noise(64, 4)),
    "huge": torch.full((64, 4), 1e300, dtype=torch.float64) * noise(64, 4).double(),
    "tiny": 1e-44 * torch.ones(64, 4) * torch.arange(4),
    "all nan": torch.full((64, 4), math.nan),
    "sparse": torch.eye(8).to_sparse(),
    "meta": torch.ones(64, 4, device="meta"),
    "quantised": quantised(),
    "expanded": torch.ones(1).expand(64, 4),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_no_record_makes_the_report_raise(name: str) -> None:
    for layer in (nn.Identity(), nn.ReLU(), nn.Sigmoid()):
        layer.forward = lambda x: x  # type: ignore[method-assign, assignment]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cache = ActivationCache.capture(nn.Sequential(layer), DEGENERATE[name])
            report = health.report(cache, on_demand=True)
        wanted = ["non-finite"] if name == "all nan" else []
        assert [each.kind for each in report.findings if each.severity == "error"] == wanted


def test_values_that_are_not_held_are_read_on_demand_only() -> None:
    model = perceptron()
    with torch.no_grad():
        at(model, "0").bias[4] = -100.0
        cache = ActivationCache.capture(model, noise(512, 16), budget=0)
        assert not any(record.kept for record in cache.records)
        held = health.report(cache)
        assert held.healthy and dict(held.unread)[1] == "not held" and cache.held_bytes == 0
        assert [each.places for each in health.report(cache, on_demand=True).findings] == [(4,)]


def test_closed_cache_is_reported_as_unread() -> None:
    cache = ActivationCache.capture(perceptron(), noise(64, 16))
    cache.close()
    report = health.report(cache)
    assert report.healthy and "ClosedError" in report.unread[0][1]
    assert [index for index, _ in report.unread] == [0, 1, 2, 3, 4]  # the last record has the values of the one before


class Lazy:
    """A lazy value that counts what is read, and has no other way to be had."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.shape, self.dtype = values, tuple(values.shape), values.dtype
        self.read_cells = 0

    def read(self, index: tuple[int | slice, ...]) -> Tensor:
        part = self.values[index]
        self.read_cells += part.numel()
        return part

    def load(self) -> Tensor:
        raise AssertionError("a lazy value was loaded whole")


def cache_of(values: Tensor, lazy: object) -> types.SimpleNamespace:
    """What a report needs of a cache, with one record whose value is lazy."""
    record = ActivationCache.from_tensors({"a": values[:1]}, dims="batch channel").records[0]
    record = replace(record, shape=tuple(values.shape), stats=None, module_type="ReLU")
    return types.SimpleNamespace(records=(record,), value=lambda _: lazy)


def test_lazy_value_is_sampled_within_the_limit() -> None:
    values = noise(2**16, 8).relu()
    values[:, 6] = 0
    lazy = Lazy(values)
    report = health.report(cache_of(values, lazy))
    assert lazy.read_cells <= health.SAMPLE_CELLS < values.numel()
    assert [each.places for each in report.findings] == [(6,)]
    assert report.findings[0].n * 8 == lazy.read_cells


def test_lazy_value_that_fails_is_unread() -> None:
    broken = Lazy(noise(400, 8))
    setattr(broken, "read", lambda index: 1 / 0)  # noqa: B010  # mypy forbids to replace a method
    report = health.report(cache_of(broken.values, broken))
    assert report.healthy and report.unread == ((0, "ZeroDivisionError: division by zero"),)


def test_lazy_parts_come_from_the_start_to_the_end() -> None:
    part = lazy_part(Lazy(torch.arange(100).reshape(100, 1)), 1, 12)
    assert part.flatten().tolist() == [0, 1, 2, 32, 33, 34, 64, 65, 66, 97, 98, 99]
