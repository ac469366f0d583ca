"""Ctrl+C on one of several ranks: held back while the others wait for this one, so that all can stop together.

In: a block that works in lockstep with other ranks. Out: the same block, told that somebody wants it to end. Another
Ctrl+C some seconds later is not held back.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

AGAIN_S = 2.0
"""Seconds after which another interrupt is one of somebody who does not want to wait; torchrun sends each one twice."""


class HeldInterrupts:
    """Interrupts that came while a block ran.

    Attributes:
        asked: Whether there was one.
    """

    def __init__(self, before: Any) -> None:
        self.asked = False
        self._before = before
        self._through = False
        self._since_s = 0.0

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """A block in which an interrupt comes when it is made."""
        self._through = True
        try:
            yield
        finally:
            self._through = False

    def came(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if not self.asked:
            self.asked, self._since_s = True, time.monotonic()
        if self._through or time.monotonic() - self._since_s > AGAIN_S:
            self._before(number, frame)


@contextmanager
def held_interrupts() -> Iterator[HeldInterrupts]:
    """Note interrupts while the block runs; one that nobody acted on comes at its end.

    Outside of the main thread, where Python gets no signals, and where the process ignores them, nothing is held.
    """
    before = signal.getsignal(signal.SIGINT)
    held = HeldInterrupts(before)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield held
        return
    signal.signal(signal.SIGINT, held.came)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)
    if held.asked:
        before(signal.SIGINT, None)
