"""SavedInputs: the arguments of one call, kept so that the call can be made again.

In: the args and kwargs of a call, before it runs. Out: equal arguments, made anew for every replay, so that a module
that writes to its input writes to a copy. Refused: arguments that cannot be kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .outputs import tensors_of
from .tensors import tensor_kind

_SIMPLE = (type(None), bool, int, float, str, torch.dtype, torch.device)
MOST_PADDING = 2
"""Strides that leave gaps are kept while the memory is at most this many times the values."""


class Held(Protocol):
    """A copy of a tensor that somebody else holds."""

    @property
    def tensor(self) -> Tensor | None:
        """The copy, or None when it was given up."""
        ...


Hold = Callable[[Tensor, bool], "Held | None"]
"""Keeps a copy of a live tensor, which is an input of the outermost call or not; None when there is no room for it."""


def _no_room(tensor: Tensor, outermost: bool) -> None:
    """Keeps nothing any more."""


class NotSaveableError(Exception):
    """An argument that cannot be kept; never leaves this package's capture."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """Something that no call changes, or that must not be copied: passed on as it is."""

    value: Any


@dataclass(frozen=True, slots=True)
class _Copy:
    """A tensor, its strides and its place in the autograd graph."""

    held: Held
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    is_leaf: bool

    def make(self) -> Tensor:
        """A new tensor with the saved values and strides."""
        if self.held.tensor is None:
            raise NotSaveableError("the saved input was given up")
        source = self.held.tensor
        with torch.inference_mode(False), torch.no_grad():
            made = torch.empty_strided(self.shape, self.strides, dtype=source.dtype, device=source.device)
            made.copy_(source) if 0 not in self.strides else _fill_expanded(made, source)
        if self.requires_grad:
            made.requires_grad_()
            # A module may write in place to its input, which autograd forbids for a leaf.
            made = made if self.is_leaf else made.clone()
        return made


def _fill_expanded(made: Tensor, source: Tensor) -> None:
    """Write each element once where several places share it: copy_ refuses that."""
    for axis, stride in enumerate(made.stride()):
        if stride == 0 and made.size(axis) > 1:
            made, source = made.narrow(axis, 0, 1), source.narrow(axis, 0, 1)
    made.copy_(source)


@dataclass(frozen=True, slots=True)
class _Deep:
    """An object that holds tensors, copied when it was saved; copied again for every replay."""

    value: Any


class SavedInputs:
    """Arguments of one call.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
        hold: Keeps a copy of a tensor.
        copies: Id of an object -> the object and its copy, of the calls before this one in the same outermost call.
        outermost: It is the outermost call: of objects that hold tensors (a KV cache) copy these, else their shapes.

    Attributes:
        held: The copies of tensors that ``hold`` keeps.
        copied_bytes: Bytes of tensors in objects, which were copied besides.
        has_live: Whether a tensor or module of the caller's is kept as it is.

    Raises:
        NotSaveableError: when an argument cannot be kept; what was held until then is in ``held``.
    """

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        hold: Hold,
        copies: dict[int, tuple[object, Any]],
        *,
        outermost: bool = False,
    ) -> None:
        self.held: list[Held] = []
        self.copied_bytes = 0
        self.has_live = False
        self._hold = hold
        self._copies = copies
        self._outermost = outermost
        try:
            self._saved = self._save((tuple(args), dict(kwargs)))
        finally:
            self._hold, self._copies = _no_room, {}  # what kept the copies knows the model

    def rebuild(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Args and kwargs made anew; one tensor given twice is one tensor again.

        Raises:
            NotSaveableError: when a tensor was given up meanwhile.
        """
        args, kwargs = self._make(self._saved, {})
        return args, kwargs

    def _save(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._save_tensor(value)
        if type(value) in (tuple, list):
            return type(value)(self._save(entry) for entry in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            # Past the class's own __new__: a PackedSequence looks at its tensors, and these are none.
            return tuple.__new__(type(value), (self._save(entry) for entry in value))
        if type(value) is dict:
            return {key: self._save(entry) for key, entry in value.items()}
        if isinstance(value, (*_SIMPLE, nn.Module, type)) or callable(value):
            self.has_live |= isinstance(value, nn.Module)
            return _Reference(value)
        return self._save_object(value)

    def _save_object(self, value: Any) -> Any:
        """A KV cache, which the call changes. A replay verifies what it computes, so this may be wrong, not misleading.

        A block needs its own layer of it, which is empty in the first pass over a sequence, and not written to before
        the block is called. So tensors are stood for by their shapes, and all blocks share one copy; where that is not
        enough, the replay raises or gives other values, and a larger call is run again.
        """
        if self._outermost:
            self.copied_bytes += sum(each.nbytes for each in tensors_of(value))
            return _Deep(copy.deepcopy(value)) if tensors_of(value) else _Reference(value)
        if id(value) not in self._copies:
            stand_ins: dict[int, Any] = {id(each): _shape_only(each) for each in tensors_of(value)}
            saved = _Deep(copy.deepcopy(value, stand_ins)) if stand_ins or _is_cache(value) else _Reference(value)
            self._copies[id(value)] = (value, saved)
        return self._copies[id(value)][1]

    def _save_tensor(self, value: Tensor) -> Any:
        if isinstance(value, nn.Parameter):
            return self._live(value)
        kind = tensor_kind(value)
        if kind not in ("dense", "meta") or type(value) is not Tensor:  # who holds knows what a meta tensor is to him
            if self._outermost:
                return self._live(value)
            raise NotSaveableError(f"an argument is a {kind} tensor")
        held = self._hold(value, self._outermost)
        if held is None:
            if self._outermost:  # the user's own tensor: larger than the budget, and alive in any case
                return self._live(value)
            raise NotSaveableError("no room for the input")
        self.held.append(held)
        return _Copy(held, tuple(value.shape), _strides(value), value.requires_grad, value.is_leaf)

    def _live(self, value: Tensor) -> _Reference:
        self.has_live = True
        return _Reference(value)

    def _make(self, saved: Any, made: dict[int, Any]) -> Any:
        if isinstance(saved, _Copy):
            if id(saved.held) not in made:
                made[id(saved.held)] = saved.make()
            tensor = made[id(saved.held)]
            same = tensor.shape == saved.shape and tensor.stride() == saved.strides
            return tensor if same else saved.make()
        if isinstance(saved, _Reference):
            return saved.value
        if isinstance(saved, _Deep):
            return copy.deepcopy(saved.value)
        if isinstance(saved, dict):
            return {key: self._make(entry, made) for key, entry in saved.items()}
        parts = [self._make(entry, made) for entry in saved]
        return type(saved)(*parts) if hasattr(saved, "_fields") else type(saved)(parts)


def _is_cache(value: Any) -> bool:
    """Whether an object is named after a cache: it will hold tensors, if it holds none yet."""
    return "cache" in type(value).__name__.lower()


def _shape_only(value: Tensor) -> Tensor:
    return torch.empty(value.shape, dtype=value.dtype, device="meta")


def _strides(value: Tensor) -> tuple[int, ...]:
    """The tensor's own strides: kernels choose by them, and another kernel gives other bits. Wide gaps are closed."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    if value.numel() and span > MOST_PADDING * value.numel() and 0 not in value.stride():
        return torch.empty(value.shape, device="meta").stride()
    return value.stride()
