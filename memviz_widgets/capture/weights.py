"""The weights of a model as they were, after others were loaded into it.

In: a model. Out: a context that puts parameters and buffers back, bit for bit. It holds a copy of them meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..errors import ModelError
from .kept_tensors import write_back
from .trace import walk


@contextmanager
def kept_weights(model: nn.Module) -> Iterator[None]:
    """Run the block, then put all parameters and buffers back; also after KeyboardInterrupt.

    Their version counters are those of before too, so a graph that was made before can still be run backward.

    Raises:
        ModelError: when a parameter has no size yet.
    """
    check_sizes(model)
    tensors = _tensors_of(model)
    with torch.no_grad(), torch.inference_mode(False):
        saved = [(tensor, tensor.detach().clone()) for _, tensor in tensors]
    extra = {name: value for name, value in model.state_dict().items() if not isinstance(value, Tensor)}
    with ExitStack() as stack:
        for tensor, _ in saved:
            stack.enter_context(_same_version(tensor))
        try:
            yield
        finally:
            if extra:
                model.load_state_dict(extra, strict=False)
            for tensor, value in saved:
                write_back(tensor, value)


def check_sizes(model: nn.Module) -> None:
    """Raise ModelError when a parameter has no size yet: what is loaded into it could not be taken away again."""
    lazy = next((name for name, tensor in _tensors_of(model) if is_lazy(tensor)), None)
    if lazy is not None:
        raise ModelError(f"the parameter {lazy!r} has no size yet; run the model once, then load weights into it.")


def _tensors_of(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Every parameter and buffer once, with its name."""
    found: dict[int, tuple[str, Tensor]] = {}
    for path, module in walk(model):
        for name, value in (*module._parameters.items(), *module._buffers.items()):
            if value is not None:
                found.setdefault(id(value), (f"{path}.{name}" if path else name, value))
    return list(found.values())


def _same_version(tensor: Tensor) -> AbstractContextManager[Any]:
    if tensor.is_inference() or not hasattr(torch.autograd, "_unsafe_preserve_version_counter"):
        return nullcontext()
    keeper: AbstractContextManager[Any] = torch.autograd._unsafe_preserve_version_counter(tensor)
    return keeper
