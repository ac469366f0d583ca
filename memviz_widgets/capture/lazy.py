"""LazyValue: a value that is read piece by piece, because all of it at once would be too much.

In: nothing. Out: the protocol that attention weights (computed from q and k) and spilled tensors (on disk) follow.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Index = tuple[int | slice, ...]
"""One entry per axis. An int drops its axis; a slice has step None or 1."""


@runtime_checkable
class LazyValue(Protocol):
    """A tensor that is not there yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of what is read."""
        ...

    def read(self, index: Index) -> Tensor:
        """A part of it, as a plain dense tensor without grad."""
        ...

    def load(self) -> Tensor:
        """All of it; may take as much memory as its shape says."""
        ...
