"""What every test needs: fixed seeds, one thread, no network."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def fixed_numbers() -> Iterator[None]:
    """The same random numbers in every test; one thread, since many small forwards wait on many."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    assert torch.is_grad_enabled(), "a test left grad mode off"
