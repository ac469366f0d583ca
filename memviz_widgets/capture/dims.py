"""What each axis of a captured tensor is: rules by module type, and what is known about the tensors around it.

In: a module, a leaf of its result, the shapes that went in. Out: one name per axis (see records.DIMS).
Order of trust: the user's override, the rule of the module's type, the same tensor seen before, the input of the same
shape, heads inside an attention module, the latest tensor of the same shape, weights inside an attention module, the
input with another number of channels, strides that tell of a picture, the usual meaning of that many axes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from .dims_rules import (
    Dims,
    Seen,
    dims_by_class,
    dims_by_rank,
    dims_by_type,
    heads_by_caller,
    input_dims,
    pictures_turned,
    tells_inputs,
    weights_by_caller,
    with_other_channels,
)
from .layer_names import matches
from .tensors import TensorMap


class DimsGuide:
    """Names the axes of the tensors of one forward, in the order in which they appear.

    Holds weak references only, so that no tensor lives longer because of it.
    """

    def __init__(self, overrides: Mapping[str, Dims], batch_size: int | None = None) -> None:
        self._overrides = overrides
        self.batch_size = batch_size
        self._known: TensorMap[Dims] = TensorMap()
        self._latest: dict[tuple[int, ...], Dims] = {}
        self.misfit: str = ""
        """The first override that did not fit its tensor, as a sentence; raised when the forward is over."""

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before a module runs: learn what its inputs are, where its type defines that and nobody knew."""
        kind: type = type(module)
        if not tells_inputs(kind):
            return
        for position, tensor in enumerate(tensors_in(args, kwargs)):
            if self._same_tensor(tensor) is None:
                dims = input_dims(module, position, tuple(tensor.shape))
                if dims:
                    self._remember(tensor, dims)

    def name(
        self,
        module: nn.Module,
        path: str,
        item: str,
        tensor: Tensor,
        shape: tuple[int, ...],
        inputs: list[Tensor],
        first: bool,
        caller: nn.Module | None = None,
    ) -> Dims:
        """Dims of one tensor of a module's result.

        Args:
            module: The module that returned it.
            path: The module's path.
            item: Place in the result, "" for the result itself.
            tensor: The live tensor, for its identity.
            shape: Its shape.
            inputs: Tensors that the module was called with.
            first: Whether this is the first tensor of the result (an override without ``[item]`` must fit it).
            caller: The module that called this one, None for none.
        """
        dims = self._override(path, item, len(shape), first) if self._overrides else None
        kind: type = type(module)
        dims = dims or dims_by_class(kind, len(shape))
        dims = dims or self._infer(module, item, tensor, shape, inputs, caller)
        self._remember(tensor, dims)
        self._latest[shape] = dims
        return dims

    def _override(self, path: str, item: str, rank: int, first: bool) -> Dims | None:
        """The dims of the first pattern that matches and fits; a misfit is noted."""
        for pattern, dims in self._overrides.items():
            with_item = matches(pattern, path, item)
            if not with_item and not matches(pattern, path):
                continue
            if len(dims) == rank:
                return dims
            if first or with_item:
                self.misfit = self.misfit or _misfit_text(pattern, dims, path, item, rank)
        return None

    def _infer(
        self,
        module: nn.Module,
        item: str,
        tensor: Tensor,
        shape: tuple[int, ...],
        inputs: list[Tensor],
        caller: nn.Module | None,
    ) -> Dims:
        """Dims without the user's help; always as many names as axes."""
        seen = [Seen(tuple(value.shape), self._guess(value)) for value in inputs]
        dims = dims_by_type(module, item, shape, seen) or self._same_tensor(tensor)
        if dims is None or len(dims) != len(shape):
            dims = next((value.dims for value in seen if value.shape == shape and value.dims), None)
        dims = dims or heads_by_caller(module, caller, shape) or self._latest.get(shape)
        dims = dims or weights_by_caller(module, caller, len(shape))
        dims = dims or with_other_channels(shape, seen) or pictures_turned(tensor)
        return dims or dims_by_rank(module, shape, self.batch_size)

    def _guess(self, tensor: Tensor) -> Dims | None:
        """What an input probably is: the same tensor seen before, or the latest of its shape."""
        return self._same_tensor(tensor) or self._latest.get(tuple(tensor.shape))

    def _same_tensor(self, tensor: Tensor) -> Dims | None:
        """Dims of this very tensor object."""
        dims = self._known.get(tensor)
        return dims if dims is not None and len(dims) == tensor.dim() else None

    def _remember(self, tensor: Tensor, dims: Dims) -> None:
        self._known.put(tensor, dims)


def tensors_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Tensors among the arguments of a call, with tuples and lists opened one level; nested tensors are left out."""
    found: list[Tensor] = []
    for value in (*args, *kwargs.values()):
        inside: Iterable[Any] = value if isinstance(value, (tuple, list)) else (value,)
        found += [entry for entry in inside if isinstance(entry, Tensor) and not entry.is_nested]
    return found


def parse_dims(text: object) -> Dims:
    """Names of ``"batch time channel"`` or a sequence of names.

    Raises:
        ValueError: when there is no name, a name is no identifier, or one stands twice.
    """
    names = tuple(text.split()) if isinstance(text, str) else tuple(text) if isinstance(text, (tuple, list)) else ()
    if not names:
        raise ValueError("expected names such as 'batch time channel'")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"{name!r} is no name; write names of letters, digits and _ with spaces between")
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice; each axis needs a name of its own")
    return names


def _misfit_text(pattern: str, dims: Dims, path: str, item: str, rank: int) -> str:
    label = (path or "(model)") + (f"[{item}]" if item else "")
    return (
        f"dims[{pattern!r}] gives {len(dims)} names ({' '.join(dims)}), but the output of {label!r} has {rank} axes. "
        f"Give {rank} names, or a narrower pattern."
    )
