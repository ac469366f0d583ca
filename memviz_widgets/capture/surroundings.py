"""Surroundings: what a forward sees besides its arguments, so that a replay sees the same.

In: the thread and the model at one moment. Out: a context in which grad mode, inference mode, autocast, random
generators and training flags are those of that moment. The random generators stay moved on: kept_state puts them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from .state import RandomKeeper
from .trace import Modules


class Surroundings:
    """Modes of the thread and states of the random generators.

    Args:
        torch_only: Leave out Python's and numpy's generators, whose states take longer than many a block to run.
        generators: Those of this moment, if somebody has asked for them; None to ask.
    """

    def __init__(self, *, torch_only: bool = False, generators: RandomKeeper | None = None) -> None:
        self._grad = torch.is_grad_enabled()
        self._inference = torch.is_inference_mode_enabled()
        self._autocast = [(device, *_autocast_of(device)) for device in _autocast_devices()]
        self._random = generators or RandomKeeper(torch_only=torch_only)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """The same modes around a block."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(self._inference))
            stack.enter_context(torch.set_grad_enabled(self._grad and not self._inference))
            for device, enabled, dtype in self._autocast:
                stack.enter_context(torch.autocast(device, dtype=dtype, enabled=enabled))
            self._random.restore()
            yield


def _autocast_devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_initialized() else ["cpu"]


def _autocast_of(device: str) -> tuple[bool, torch.dtype]:
    """(enabled, dtype) of autocast for a device; before torch 2.4 each device had functions of its own."""
    if hasattr(torch, "get_autocast_dtype"):
        return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    if device == "cpu":
        return torch.is_autocast_cpu_enabled(), torch.get_autocast_cpu_dtype()
    return torch.is_autocast_enabled(), torch.get_autocast_gpu_dtype()


class TrainingFlags:
    """The training flag of every module, each on its own: a frozen BatchNorm stays frozen."""

    def __init__(self, modules: Modules) -> None:
        self._flags = [(module, module.training) for _, module in modules]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """The flags as they were then; afterwards those of now. Setting one is slow, so only what differs is set."""
        changed = [(module, flag) for module, flag in self._flags if module.training != flag]
        try:
            for module, flag in changed:
                module.training = flag
            yield
        finally:
            for module, flag in changed:
                module.training = not flag
