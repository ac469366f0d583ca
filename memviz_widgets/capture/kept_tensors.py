"""Contents of the tensors that a forward may write to: saved before and written back after.

In: the modules of a model and the tensors in their attributes. Out: buffers, tensors in attributes, and weights that a
forward renorms, with the numbers that they had.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .attributes import AttributeKeeper
from .tensors import NO_VALUES, same_bits, tensor_kind, without_repeats
from .trace import Modules, Trace

MOST_GROUPED_BYTES = 1 << 16
"""Bytes up to which tensors are saved together; comparing larger ones so would take as much memory again."""


class TensorKeeper:
    """Contents of the tensors that a model may write to: buffers, tensors in attributes, weights with max_norm.

    Attributes:
        kept: Ids of those tensors.
    """

    def __init__(self, modules: Modules, attributes: AttributeKeeper, parameter_ids: set[int]) -> None:
        self._attributes = attributes
        written = written_tensors(modules)
        self._names = {id(value): (path, name) for path, name, value in reversed(written)}
        found = {id(value): value for _, _, value in written}
        found.update({id(value): value for value in attributes.tensors if id(value) not in parameter_ids})
        small, large = grouped(found.values())
        self._groups = [_SmallTensors(each) for each in small]
        self._large = [(value, _copy(value)) for value in large]
        self.kept = {id(value) for each in small for value in each} | set(map(id, large))

    def restore(self, trace: Trace) -> None:
        """Write earlier contents back. Compared by value: BatchNorm writes without a version bump."""
        for group in self._groups:
            for value, saved in group.changed():
                self._restore_one(value, saved, trace)
        for value, saved in self._large:
            self._restore_one(value, saved, trace)

    def _restore_one(self, value: Tensor, saved: Tensor, trace: Trace) -> None:
        try:
            write_back(value, saved)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            trace.remark(f"the tensor {self._name_of(value)!r} could not be put back: {error}")

    def _name_of(self, value: Tensor) -> str:
        path, name = self._names.get(id(value), ("", ""))
        return (f"{path}.{name}" if path else name) or self._attributes.name_of(value)


def written_tensors(modules: Modules) -> list[tuple[str, str, Tensor]]:
    """(path, name, tensor) of modules' own tensors that a forward writes to: buffers, and weights that it renorms."""
    found: list[tuple[str, str, Tensor]] = []
    for path, module in modules:
        if buffers := module._buffers:
            found += [(path, name, value) for name, value in buffers.items() if value is not None]
        if is_renormed(module):
            found.append((path, "weight", module.weight))
    return found


def is_renormed(module: nn.Module) -> TypeGuard[nn.Embedding | nn.EmbeddingBag]:
    """Whether a module writes to its weights in each forward: an embedding with max_norm."""
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None


def grouped(tensors: Iterable[Tensor]) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Plain small tensors by dtype and device, each group to be handled by one call; and all others with values."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    others: list[Tensor] = []
    for value in tensors:
        if is_lazy(value) or (kind := tensor_kind(value)) in NO_VALUES:
            continue
        if kind == "dense" and value.nbytes <= MOST_GROUPED_BYTES and value.is_contiguous():
            groups.setdefault((value.dtype, value.device), []).append(value)
        else:
            others.append(value)
    return list(groups.values()), others


def flat(tensors: list[Tensor]) -> Tensor:
    """A copy of the elements of tensors of one dtype and device, one tensor after the other."""
    with torch.inference_mode(False), torch.no_grad():
        if len(tensors) == 1:  # of which torch would give a view
            return tensors[0].detach().clone().view(-1)
        together: Tensor = torch._C._nn.flatten_dense_tensors(tensors)  # cat of views, without Python in between
        return together


class _SmallTensors:
    """Contiguous tensors of one dtype and device, saved and compared by one call: a ResNet has 160 of them."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors
        self._shapes = [value.shape for value in tensors]
        self._before = flat(tensors)

    def changed(self) -> list[tuple[Tensor, Tensor]]:
        """(tensor, saved contents) of all if one of them changed, else of none."""
        try:
            if same_bits(flat(self._tensors), self._before):
                return []
        except (RuntimeError, TypeError):  # one of them got another shape, dtype or device
            pass
        saved = self._before.split([shape.numel() for shape in self._shapes])
        return [
            (value, before.view(shape)) for value, before, shape in zip(self._tensors, saved, self._shapes, strict=True)
        ]


def _copy(value: Tensor) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return value.detach().clone()


def write_back(value: Tensor, saved: Tensor) -> None:
    """Give ``value`` the saved contents, in place and without a version bump, unless it has them already."""
    if same_bits(value, saved):
        return
    with torch.no_grad():
        if value.is_inference():
            with torch.inference_mode():
                value.copy_(saved)
        elif value.shape != saved.shape or value.layout is not torch.strided:
            value.data = saved
        else:
            # Through .data: a version bump would break the backward of a graph that saved this tensor.
            without_repeats(value.data).copy_(without_repeats(saved.expand(value.shape)))
