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


WeightMarks = tuple[tuple[int | None, ...], tuple[bytes, ...]]
"""Versions of all parameters, and samples of their elements: equal as long as nobody writes to the weights."""


class ParameterWatch:
    """Versions of the parameters, and samples of their elements, all compared at once."""

    def __init__(self, named: list[tuple[str, nn.Parameter]], saved: set[int]) -> None:
        """Watch all parameters but those whose id is in ``saved``: these are put back anyway."""
        self._seen: list[tuple[str, nn.Parameter, int | None]] = []
        groups: dict[tuple[torch.dtype, torch.device], _Samples] = {}
        with torch.inference_mode(False), torch.no_grad():
            for name, value in named:
                if id(value) in saved or is_lazy(value):
                    continue
                self._seen.append((name, value, version_of(value)))
                if tensor_kind(value) == "dense" and value.is_contiguous() and (count := value.numel()):
                    place = (value.dtype, value.device)
                    group = groups.get(place)
                    if group is None:
                        group = groups[place] = _Samples()
                    group.add(name, value, count)
            for group in groups.values():
                group.before = group.now()
        self._groups = list(groups.values())
        self._fresh = True

    def written(self) -> list[str]:
        """Names of the parameters that were written to since."""
        found = [name for name, value, version in self._seen if version_of(value) != version]
        with torch.inference_mode(False), torch.no_grad():
            found += [name for group in self._groups for name in group.written()]
        self._fresh = not found
        return list(dict.fromkeys(found))

    def marks(self) -> WeightMarks:
        """What tells these weights from those after a write; those of now where :meth:`written` found one."""
        if not self._fresh:
            self._seen = [(name, value, version_of(value)) for name, value, _ in self._seen]
            with torch.inference_mode(False), torch.no_grad():
                for group in self._groups:
                    group.before = group.now()
        return tuple(version for _, _, version in self._seen), tuple(_bytes(group.before) for group in self._groups)


class _Samples:
    """Samples of all parameters of one dtype and device, gathered by one call."""

    def __init__(self) -> None:
        self.before = torch.empty(0)
        self._views: list[tuple[str, nn.Parameter, Tensor, int]] = []

    def add(self, name: str, value: nn.Parameter, count: int) -> None:
        """Watch one more parameter, of so many elements. Under no_grad, so that a view is no part of a graph."""
        step = count // SAMPLES or 1
        view = value.as_strided((-(-count // step),), (step,))
        self._views.append((name, value, view, value.data_ptr()))

    def now(self) -> Tensor:
        """The samples as they are."""
        return torch.cat([view for _, _, view, _ in self._views])

    def written(self) -> list[str]:
        """Names of the parameters whose memory or samples differ from those before."""
        found = [name for name, value, _, address in self._views if value.data_ptr() != address]
        now = self.now()
        if not same_bits(now, self.before):
            sizes = [view.numel() for _, _, view, _ in self._views]
            pairs = zip(self._views, now.split(sizes), self.before.split(sizes), strict=True)
            found += [name for (name, *_), new, old in pairs if not same_bits(new, old)]
        return found


def _bytes(samples: Tensor) -> bytes:
    try:
        return samples.cpu().view(torch.uint8).numpy().tobytes()
    except (RuntimeError, NotImplementedError, TypeError):  # samples of tensors without values
        return b""
