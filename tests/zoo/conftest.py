"""The runs of one model, shared by all tests of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from .catalog import NAMES
from .runs import Runs, run_all


@pytest.fixture(scope="session", params=NAMES)
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """pytest puts the tests of one model together, in whichever file they are, and drops its runs before the next."""
    with torch.no_grad():
        made = run_all(request.param)
    yield made
    made.cache.close()


@pytest.fixture(autouse=True)
def no_mode_left() -> Iterator[None]:
    """A function mode that stays on slows every torch call of the thread down, and goes unseen otherwise."""
    before = torch._C._len_torch_function_stack()
    yield
    assert torch._C._len_torch_function_stack() == before, "a function mode was left on"
