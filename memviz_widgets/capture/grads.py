"""Grads of the parameters: the same tensors with the same numbers after the forward as before.

In: a model before its forward. Out: its grads put back, also when the forward ran a backward of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .tensors import same_bits, version_of
from .trace import Trace


class GradKeeper:
    """Which tensor is each parameter's grad, and its numbers from the moment before a backward adds to them."""

    def __init__(self, named: list[tuple[str, nn.Parameter]]) -> None:
        self._grads = [(name, value, value.grad) for name, value in named]
        self._versions = {id(grad): version_of(grad) for _, _, grad in self._grads if grad is not None}
        self._saved: dict[int, Tensor] = {}
        self._handles: list[tuple[Tensor, bool, RemovableHandle]] = []
        for _, value, grad in self._grads:
            if grad is not None and value.requires_grad and value.is_leaf:
                self._watch(value, grad)

    def _watch(self, value: Tensor, grad: Tensor) -> None:
        """Copy the grad when a gradient arrives for the first time; copying all grads before would double them."""

        def save(_arriving: Tensor) -> None:
            if id(grad) not in self._saved:
                self._saved[id(grad)] = grad.detach().clone()

        had_hooks = bool(value._backward_hooks)
        self._handles.append((value, had_hooks, value.register_hook(save)))

    def restore(self, trace: Trace) -> None:
        """Remove the watches, put each grad back."""
        for value, had_hooks, handle in self._handles:
            handle.remove()
            if not had_hooks:
                value._backward_hooks = None  # what it was before: an empty dict is a visible trace
        for name, value, grad in self._grads:
            if grad is not None:
                self._restore_numbers(name, grad, trace)
            if value.grad is not grad:
                value.grad = grad

    def _restore_numbers(self, name: str, grad: Tensor, trace: Trace) -> None:
        saved = self._saved.get(id(grad))
        if saved is None:
            if version_of(grad) != self._versions[id(grad)]:
                trace.remark(f"the forward wrote to the grad of {name!r} in place; that is not undone")
        elif not same_bits(grad, saved):
            with torch.no_grad():
                grad.data.copy_(saved)
