"""Reference: what the modules of a model return, seen by plain hooks that know nothing of the package.

In: a model and its keywords. Out: its result, and a clone of every tensor in it by module path, call and place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Place = tuple[str, int, str]
"""(path of the module, its call, place in the result: "", "0", "1.0", "logits")."""
Values = dict[Place, Tensor]


def tensors_of(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """(place, tensor) of every tensor in a result: in mappings, sequences, and plain objects such as caches."""
    children: list[tuple[object, Any]] = []
    if isinstance(value, Tensor):
        yield ".".join(place), value
    elif isinstance(value, Mapping):
        children = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        children = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)):
        children = list(enumerate(value))
    elif not callable(value):
        children = list(getattr(value, "__dict__", {}).items())
    for name, child in children:
        yield from tensors_of(child, (*place, str(name)))


@contextmanager
def watched(model: nn.Module) -> Iterator[Values]:
    """Clones of what every module returns while the block runs, taken as it returns."""
    values: Values = {}
    calls: dict[str, int] = {}
    open_calls: list[int] = []  # a call is counted as it begins, so that recursion counts from the outside in
    handles = []

    def watch(path: str, module: nn.Module) -> None:
        def begin(module: nn.Module, args: Any) -> None:
            open_calls.append(calls.get(path, 0))
            calls[path] = open_calls[-1] + 1

        def end(module: nn.Module, args: Any, result: Any) -> None:
            call = open_calls.pop()
            values.update({(path, call, place): tensor.clone() for place, tensor in tensors_of(result)})

        handles.extend([module.register_forward_pre_hook(begin), module.register_forward_hook(end)])

    for path, module in model.named_modules():
        watch(path, module)
    try:
        yield values
    finally:
        for handle in handles:
            handle.remove()


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal to the last bit: NaN equals the same NaN, 0.0 is not -0.0."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    bits, other_bits = (each.resolve_conj().contiguous().reshape(-1).view(torch.uint8) for each in (one, other))
    return torch.equal(bits, other_bits)


def differing(one: Mapping[Any, Tensor], other: Mapping[Any, Tensor]) -> list[Any]:
    """Keys that only one of two mappings has, or whose tensors are not the same bits."""
    both = [key for key in one if key in other]
    return [*(one.keys() ^ other.keys()), *(key for key in both if not same_bits(one[key], other[key]))]
