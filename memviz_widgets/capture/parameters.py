"""Whether a forward wrote to the model's parameters, which are too large to save beforehand.

In: a model before its forward. Out: the names of the parameters that it changed. Some forwards do it: RWKV rescales
its weights at the first call and sets a flag; test-time training takes optimiser steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .tensors import same_bits, tensor_kind, version_of

SAMPLES = 64
"""Elements of each parameter that are compared, for writes that bump no version (``.data``, numpy)."""


class ParameterWatch:
    """Versions and a sample of every parameter."""

    def __init__(self, model: nn.Module, saved: set[int]) -> None:
        """Watch all parameters but those whose id is in ``saved``: these are put back anyway."""
        self._seen = [
            (name, value, version_of(value), _sample(value))
            for name, value in model.named_parameters()
            if id(value) not in saved and not is_lazy(value)
        ]

    def written(self) -> list[str]:
        """Names of the parameters that were written to since."""
        return [name for name, value, version, sample in self._seen if _changed(value, version, sample)]


def _sample(value: Tensor) -> Tensor | None:
    """A copy of some elements, or None for a parameter without plain memory."""
    if tensor_kind(value) != "dense" or not value.is_contiguous() or not value.numel():
        return None
    with torch.inference_mode(False), torch.no_grad():
        return value.detach().view(-1)[:: max(1, value.numel() // SAMPLES)].clone()


def _changed(value: Tensor, version: int | None, sample: Tensor | None) -> bool:
    if version_of(value) != version:
        return True
    now = None if sample is None else _sample(value)
    return now is not None and sample is not None and not same_bits(now, sample)
