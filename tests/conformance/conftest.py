"""What every row of the checklist goes through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from torch import nn

from memviz_widgets import ActivationCache

from .model_state import Capture, unchanged


@pytest.fixture
def captured() -> Iterator[Capture]:
    """Capture and compare model and process in full around it, whether it ends well or not; closed after the test."""
    with ExitStack() as stack:

        def capture(model: nn.Module, x: object = None, **options: Any) -> ActivationCache:
            with unchanged(model):
                cache = ActivationCache.capture(model, x, **options)
            stack.callback(cache.close)
            return cache

        yield capture
