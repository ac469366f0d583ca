"""What the tests of the health report share: a model in which a fault is planted, and the findings of one run of it.

The one test here is of the helper that the others trust.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.analysis import health


def found(model: nn.Module, *inputs: Tensor) -> tuple[health.Finding, ...]:
    with torch.no_grad():
        cache = ActivationCache.capture(model, inputs)
    result = health.report(cache)
    assert result.records == len(cache.records)
    assert all(each.path == cache.records[each.record].path for each in result.findings)
    return result.findings


def only(model: nn.Module, *inputs: Tensor) -> health.Finding:
    findings = found(model, *inputs)
    assert len(findings) == 1, [each.sentence for each in findings]
    return findings[0]


def at(model: nn.Module, path: str) -> Any:
    """A layer, untyped: its weights are written to."""
    return model.get_submodule(path)


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_only_refuses_more_and_less_than_one_finding() -> None:
    model = perceptron()
    with pytest.raises(AssertionError, match=r"^\[\]"):
        only(model, noise(512, 16))
    with torch.no_grad():
        at(model, "0").bias[3] = -100.0
        at(model, "2").bias[3] = -100.0
    with pytest.raises(AssertionError, match="of '1' never fire"):
        only(model, noise(512, 16))
