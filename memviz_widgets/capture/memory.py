"""Memories: what tells the recorder which tensors a module holds over time, besides what it returns.

In: a module and one call of it. Out: the tensors that its memory held or used in that call, each with the part that it
plays. An adapter knows one family of modules, by type name and attributes; it never imports the user's package.

Parts (``kind``), with the dims that they have in one call; a timestep is a place on "time", or else the call itself:
``hidden cell`` and ``gate.i gate.f gate.g gate.o gate.r gate.z gate.n`` (batch, time, channel) of recurrent layers;
``memory`` (batch, slot, width), ``read_weights write_weights`` (batch, head, slot), ``usage precedence`` (batch, slot),
``link`` (batch, slot, to), ``erase add read`` (batch, head, width), ``gate.free gate.allocation gate.write`` and
``read_modes`` (batch, head, mode) of slot memories; ``state`` (batch, time, channel, ...) of state-space layers;
``key value`` (batch, head, time, channel) of caches; ``association`` (batch, head, query, slot) of Hopfield layers;
``keep write`` of any, which fit the content: ``content_t = keep_t * content_{t-1} + write_t``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..errors import AdapterError
from .derived import Derived
from .lazy import Index
from .recurrent_cells import Key, Recovered

PINNED_KINDS = ("gate.i", "gate.f", "gate.o", "gate.r", "gate.z", "gate.free", "gate.allocation", "gate.write")
"""Gates that are the result of a sigmoid, 0..1. ``gate.g`` and ``gate.n`` are those of a tanh, -1..1."""


class MemoryTensor(NamedTuple):
    """One tensor of a memory in one call, as an adapter hands it to the recorder, which copies it at once.

    Attributes:
        kind: The part that it plays, see this file's head.
        value: The live tensor, or what will be computed from live tensors when it is looked at.
        dims: A name per axis.
        item: Tells tensors of the same kind in one call apart: "l0_reverse", "head1"; "" when there is one.
        memory: Name of the memory within its module, where that has several: "l0"; "" for the only one.
        note: What the user must know about it.
        owner: The module whose memory it is, when that is not the one that was called.
        start: Position in its sequence of the first timestep, 0 begins one; -1 where nothing says so.
    """

    kind: str
    value: Tensor | Derived | None
    dims: tuple[str, ...]
    item: str = ""
    memory: str = ""
    note: str = ""
    owner: nn.Module | None = None
    start: int = -1


@runtime_checkable
class MemoryAdapter(Protocol):
    """Knows the memory of one family of modules. Register one with ``mv.register_memory``."""

    def match(self, module: nn.Module) -> bool:
        """Whether this is a module whose memory the adapter knows: by type name and attributes, without calling it."""
        ...

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """What the memory held after a call of the module, and what the call used. Neither calls nor changes it."""
        ...


class Recovery(Protocol):
    """Computes several values of one call from the tensors of that call; holds no tensor itself."""

    def compute(self, given: Mapping[str, Tensor]) -> Recovered:
        """All values by (kind, item), with the residual against what the call returned.

        Raises:
            RecurrentError: when they cannot be recovered; the text says why.
        """
        ...

    def window(self, given: Mapping[str, Tensor], key: Key, start: int, stop: int) -> Tensor:
        """Timesteps ``start .. stop - 1`` of one value, without computing all of the others. May be as ``compute``."""
        ...

    def residual(self, given: Mapping[str, Tensor]) -> float:
        """The largest error of all values, computed once, in no more memory than a window takes where possible."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredValue(Derived):
    """One of the values that a Recovery computes.

    Attributes:
        recovery: Shared by all values of one call.
        key: (kind, item).
        given: The tensors of the call: inputs, results, weights.
        sizes: The shape of the value.
        time: Position of the time axis in it, -1 = none.
        made_of: The dtype of the value.
    """

    recovery: Recovery
    key: Key
    given: Mapping[str, Tensor]
    sizes: tuple[int, ...]
    time: int
    made_of: torch.dtype = torch.float32

    @property
    def shape(self) -> tuple[int, ...]:
        """Size per axis."""
        return self.sizes

    @property
    def dtype(self) -> torch.dtype:
        """float32; float64 where the module computes in it."""
        return self.made_of

    @property
    def device(self) -> torch.device:
        """That of the tensors given."""
        return next(iter(self.given.values())).device

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the call."""
        return dict(self.given)

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> RecoveredValue:
        """The same value of a call with these tensors."""
        return replace(self, given=dict(tensors))

    def read(self, index: Index) -> Tensor:
        """A part; of a value over time only the timesteps asked for are computed."""
        if self.time < 0:
            return self.load()[index]
        entry = index[self.time]
        steps = range(self.sizes[self.time])[entry]
        span = steps if isinstance(steps, range) else range(steps, steps + 1)
        part = self.recovery.window(self.given, self.key, span.start, span.stop)
        inside: int | slice = 0 if isinstance(entry, int) else slice(None)
        wanted: Index = (*index[: self.time], inside, *index[self.time + 1 :])
        return part[wanted]

    def load(self) -> Tensor:
        """All of it."""
        return self.recovery.compute(self.given).values[self.key]


_REGISTERED: list[MemoryAdapter] = []


def register_memory(adapter: Any) -> None:
    """Teach the recorder a memory that it does not know. The latest adapter that matches a module is asked.

    Args:
        adapter: An object with ``match(module)`` and ``read(module, args, kwargs, result)``; see MemoryAdapter. A
            second registration of the same object does nothing.

    Raises:
        AdapterError: when it lacks one of them.
    """
    if isinstance(adapter, type) or not isinstance(adapter, MemoryAdapter):
        what = f"the class {adapter.__name__}" if isinstance(adapter, type) else f"a {type(adapter).__name__}"
        raise AdapterError(
            f"the memory adapter is {what}; expected an object with match(module) and "
            "read(module, args, kwargs, result), see mv.MemoryAdapter."
        )
    if adapter not in _REGISTERED:
        _REGISTERED.append(adapter)


def unregister_memory(adapter: MemoryAdapter) -> None:
    """Take an adapter back; one that was never registered is no error."""
    if adapter in _REGISTERED:
        _REGISTERED.remove(adapter)


def registered() -> tuple[MemoryAdapter, ...]:
    """The adapters of the user, the latest first."""
    return tuple(reversed(_REGISTERED))
