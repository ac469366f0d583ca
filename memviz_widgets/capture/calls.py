"""Calls of modules while they run: what is known of an open one, and who else is told of them.

In: nothing. Out: Frame, the protocol CallKeeper, and words for a call.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple, Protocol

from torch import nn


class CallKeeper(Protocol):
    """Is told of calls that begin and end; see Anchors."""

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], index: int) -> bool:
        """A call begins; True when its end is to be told."""
        ...

    def begin_outermost(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], index: int) -> None:
        """An outermost call begins."""
        ...

    def end(self, index: int) -> None:
        """The call that began last has ended."""
        ...

    def end_all(self, index: int) -> None:
        """All have ended."""
        ...


@dataclass(slots=True)
class Frame:
    """A call that has begun and not ended."""

    module: nn.Module
    path: str
    kind: str
    """Name of the module's class."""
    call: int
    caller: Frame | None
    """The call that it was made in; None of an outermost call."""
    handled: BaseException | None
    """The exception that was being handled already when the call began; not this call's failure."""
    running: FrameType
    """The Python frame that makes the call, by which a call that was interrupted is known later."""
    anchored: bool = False
    attentions: int = 0

    def name(self) -> tuple[str, str, int]:
        """Path, class and number of the call."""
        return self.path, self.kind, self.call


def call_text(path: str, module_type: str, call: int) -> str:
    """A call as a reader names it: ``'encoder.0' (Linear, call 2)``."""
    return f"{path or '(model)'!r} ({module_type}, call {call})"


def is_inside(running: FrameType) -> bool:
    """Whether the current call was made, at whatever depth, by that Python frame."""
    current: FrameType | None = sys._getframe(1)
    while current is not None and current is not running:
        current = current.f_back
    return current is not None


class Part(NamedTuple):
    """Which part of which memory a tensor is; an output is of none."""

    kind: str = "output"
    memory: str = ""
    start: int = -1
    path: str | None = None
