"""Derived: a value that is not copied but computed when it is read, from tensors that are.

In: nothing. Out: the base class of attention weights (from query and key) and of recovered states (from the tensors of
a call and the weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .lazy import Index

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11


class Derived:
    """A :class:`~memviz_widgets.capture.lazy.LazyValue` that says of which tensors it is computed."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis."""
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of what is read."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where it will be computed."""
        raise NotImplementedError

    def tensors(self) -> dict[str, Tensor]:
        """What must be copied to read the value later."""
        raise NotImplementedError

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """The same with other tensors, named as in :meth:`tensors`. Without them it holds no memory, and no value."""
        raise NotImplementedError

    def read(self, index: Index) -> Tensor:
        """A part of it, as a plain dense tensor without grad."""
        raise NotImplementedError

    def load(self) -> Tensor:
        """All of it."""
        raise NotImplementedError
