"""What the store knows of one value and of one record.

In: nothing. Out: two dataclasses without behaviour of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..capture import Derived, LazyValue, Sums
from ..records import TensorStats
from .spill import SpilledValue


@dataclass(slots=True, eq=False)
class Value:
    """One value: what it costs, what is known about it, and its copy while it is held.

    ``recorded``: a record is of it, not only a saved input. ``looked_at``: its statistics were computed, or cannot be.
    ``mark``: sampled elements, made when the copy is given up or was never made. ``checksum``: of all elements, for an
    inference tensor that was never copied. ``pins``: saved inputs that are this value, which is then not given up.
    ``spilled``: its copy on disk. ``recovered``: it can be computed again from values that are held.
    On an accelerator ``mark`` are samples and ``sums`` become the statistics, both when the records are made;
    ``code``: a number of all elements there, in place of the checksum.
    """

    nbytes: int
    dense: bool
    stats: TensorStats | None = None
    tensor: Tensor | None = None
    note: str = ""
    mark: bytes | Tensor | None = None
    checksum: int | None = None
    sums: Sums | None = None
    code: Tensor | None = None
    pins: int = 0
    recorded: bool = False
    looked_at: bool = False
    spilled: SpilledValue | None = None
    recovered: bool = False

    def loaded(self) -> Tensor:
        """The tensor, held or from disk."""
        if self.tensor is not None:
            return self.tensor
        assert self.spilled is not None
        return self.spilled.load()


@dataclass(slots=True)
class Entry:
    """What a record stands for: one value, or those of which its value is computed.

    ``derived``: computes it, without tensors. ``result``: what was computed of it, where that is held as well.
    """

    parts: dict[str, Value]
    derived: Derived | None = None
    result: Value | None = None

    @property
    def held(self) -> bool:
        """Whether all parts are in memory."""
        return all(part.tensor is not None for part in self.parts.values())

    @property
    def stored(self) -> bool:
        """Whether all parts are in memory or on disk."""
        return all(part.tensor is not None or part.spilled is not None for part in self.parts.values())

    def loaded(self) -> dict[str, Tensor]:
        """The tensors of all parts, which are stored."""
        return {name: part.loaded() for name, part in self.parts.items()}

    def readable(self) -> dict[str, Tensor | LazyValue]:
        """All parts, which are stored, those on disk without being loaded."""
        found: dict[str, Tensor | LazyValue] = {}
        for name, part in self.parts.items():
            value = part.tensor if part.tensor is not None else part.spilled
            assert value is not None
            found[name] = value
        return found
