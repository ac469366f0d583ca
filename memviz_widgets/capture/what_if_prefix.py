"""What finished before an edit is not computed again: the module gives what was recorded.

In: modules and the values that their calls returned. Out: a context in which these calls return them.

Only modules are skipped of which it is certain that nothing but the result comes of their call: layers of torch with a
fresh result of known memory layout, without hooks of the user's, whose input is laid out in the usual way, and where no
gradient can flow. All else runs, which is always right and sometimes slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .trace import Site

SKIPPED: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
    nn.LSTM,
    nn.GRU,
    nn.RNN,
)
"""Exact classes. Those that may return their own input, write to a buffer or draw random numbers are not among them."""
_NAMED = {("transformers.pytorch_utils", "Conv1D")}
"""Module and name of a class outside of torch that is like those."""

Known = Callable[[str, int], Mapping[str, Tensor] | None]
"""(path, call) -> the tensors that the call returned, by item, if they are there and no edit can have reached them."""


class Prefix:
    """Recorded results in place of computed ones.

    Args:
        known: What was recorded.

    Attributes:
        count: Calls that were not made.
    """

    def __init__(self, known: Known) -> None:
        self.count = 0
        self._known = known

    @contextmanager
    def skipped(self, sites: list[Site]) -> Iterator[None]:
        """While the block runs, modules of which that is safe return what was recorded."""
        with ExitStack() as stack:
            for module, path in sites:
                if can_be_skipped(module):
                    stack.enter_context(_Stub(module, path, self).in_place())
            yield

    def take(self, module: nn.Module, path: str, call: int, inputs: Tensor) -> Any:
        """The result of a call, or None when it must be computed."""
        if not inputs.is_contiguous() or _gradient_flows(module, inputs):
            return None
        known = self._known(path, call)
        result = None if known is None else _result(module, known)
        self.count += result is not None
        return result


class _Stub:
    """Stands for the forward of one module. Calls that come through the module's hooks count, as records count them."""

    def __init__(self, module: nn.Module, path: str, prefix: Prefix) -> None:
        self._module = module
        self._path = path
        self._prefix = prefix
        self._calls = -1
        self._pending = False

    @contextmanager
    def in_place(self) -> Iterator[None]:
        module, own = self._module, self._module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            pending, self._pending = self._pending, False
            if pending and len(args) == 1 and not kwargs and type(args[0]) is Tensor:
                found = self._prefix.take(module, self._path, self._calls, args[0])
                if found is not None:
                    return found
            return own(*args, **kwargs)

        def begin(*args: Any) -> None:
            self._calls += 1
            self._pending = True

        handle = module.register_forward_pre_hook(begin)
        forward.gives_recorded = True  # type: ignore[attr-defined]
        module.forward = forward
        try:
            yield
        finally:
            module.__dict__.pop("forward", None)
            handle.remove()


def can_be_skipped(module: nn.Module) -> bool:
    """Whether nothing but a fresh result comes of a call of this module."""
    kind = type(module)
    if kind not in SKIPPED and (kind.__module__, kind.__name__) not in _NAMED:
        return False
    # A hook of the user's may change what comes out, a forward put into the instance (accelerate) may do anything.
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    if any(hooks) or "forward" in vars(module) or _has_global_hooks() or module._modules:
        return False
    if isinstance(module, nn.RNNBase):
        return not (module.training and module.dropout)
    if isinstance(module, nn.Embedding):
        return module.max_norm is None
    return all(weight.is_contiguous() for weight in module._parameters.values() if weight is not None)


def _has_global_hooks() -> bool:
    return bool(nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks)


def _gradient_flows(module: nn.Module, inputs: Tensor) -> bool:
    """Whether a model might ask for gradients through the result."""
    if not torch.is_grad_enabled():
        return False
    return inputs.requires_grad or any(weight.requires_grad for weight in module.parameters())


def _result(module: nn.Module, known: Mapping[str, Tensor]) -> Any:
    """A copy of what the call returned, laid out as a call lays it out; None when a part is missing."""
    if not isinstance(module, nn.RNNBase):
        return known[""].clone() if set(known) == {""} else None
    items = ("0", "1.0", "1.1") if module.mode == "LSTM" else ("0", "1")
    if set(known) != set(items):
        return None
    output, *states = (known[item].clone() for item in items)
    if module.batch_first and output.dim() == 3:
        output = output.transpose(0, 1).contiguous().transpose(0, 1)
    return output, tuple(states) if module.mode == "LSTM" else states[0]
