"""Long work of the kernel in slices, so that it answers its messages and runs other cells in between.

In: a function that does a little at each call. Out: a coroutine for the event loop on which the kernel runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

SLICE_S = 0.05
"""Work at a stretch, before the kernel looks at its messages."""
PAUSE_S = 0.005
"""And how long it looks: several turns of its loop, so that a stop and other cells come through."""


async def in_slices(advance: Callable[[], bool]) -> None:
    """Calls ``advance`` until it says False, with pauses."""
    more = True
    while more:
        until = time.monotonic() + SLICE_S
        more = advance()
        while more and time.monotonic() < until:
            more = advance()
        await asyncio.sleep(PAUSE_S)


def in_background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Starts work on the event loop that runs here; None where none does, as in a plain script: the work is dropped."""
    try:
        return asyncio.get_running_loop().create_task(work)
    except RuntimeError:
        work.close()
        return None
