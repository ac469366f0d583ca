"""Small models and explorers for the widget tests; every test must leave no widget behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from ipywidgets.widgets.widget import _instances
from torch import nn

import memviz_widgets as mv


@pytest.fixture(autouse=True)
def no_widget_left() -> Iterator[None]:
    """Fail a test that leaves a widget in ipywidgets' registry."""
    before = set(_instances)
    yield
    gc.collect()
    left = [type(_instances[key]).__name__ for key in set(_instances) - before]
    assert not left, f"{len(left)} widgets left: {sorted(left)}"


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5)).eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.linspace(-1, 1, 3 * 64).reshape(3, 1, 8, 8)


@pytest.fixture
def make_explorer(model: nn.Module, x: torch.Tensor) -> Iterator[Callable[..., mv.ActivationExplorer]]:
    """``make_explorer()`` shows the fixture's model; it is closed after the test."""
    made: list[mv.ActivationExplorer] = []

    def make(*source: Any, **options: Any) -> mv.ActivationExplorer:
        explorer = mv.ActivationExplorer(*(source or (model, x)), **options)
        made.append(explorer)
        return explorer

    yield make
    for explorer in made:
        explorer.close()
