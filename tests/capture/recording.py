"""Short ways to capture, and small models with one bad habit each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.records import TensorRecord, TensorStats


class Returns(nn.Module):
    """Returns whatever its argument makes."""

    def forward(self, make: Callable[[], Any]) -> Any:
        return make()


def records_of(value: Any) -> tuple[TensorRecord, ...]:
    """Records of a module that returns ``value``."""
    return ActivationCache.capture(Returns(), (lambda: value,)).records


def stats_of(value: Tensor) -> TensorStats:
    """Statistics of one recorded tensor."""
    stats = records_of(value)[0].stats
    assert stats is not None
    return stats


def dims_of(model: nn.Module, *args: Any, **options: Any) -> dict[str, str]:
    """Label -> dims of the first call, dims joined by spaces."""
    found: dict[str, str] = {}
    for record in ActivationCache.capture(model, args, **options).records:
        if record.kind != "output":
            continue
        found.setdefault(record.label, " ".join(record.dims))
    return found


class Raises(nn.Module):
    """Raises the error it was made with."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        raise self.error


class Adds(nn.Module):
    """A residual added in place to the output of its child."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        out += x
        return out


class Remembers(nn.Module):
    """State in every place that a module may have."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: Tensor
        self.register_buffer("memory", torch.zeros(2))
        self.state = torch.zeros(2)
        self.steps = 0
        self.history: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.memory += 1
        self.state = self.state + 1
        self.steps += 1
        self.history.append(self.steps)
        self.fresh = x
        return x


def hook_entries(model: nn.Module) -> list[tuple[str, str, int]]:
    """(module, hook dictionary, number of entries) of every hook dictionary of every module."""
    return [
        (path, name, len(value))
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if "hooks" in name and isinstance(value, dict)
    ]
