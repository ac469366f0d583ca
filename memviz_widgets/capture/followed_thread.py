"""FollowedThread: in which thread a model's calls are recorded.

In: the moment a recording begins. Out: whether the current thread is the one that is followed now.
Threads that ran before (a server) are ignored. A thread that starts later (generate() feeding a streamer) is followed
from the outermost call that it makes to the end of that call.
"""

from __future__ import annotations

import threading


class FollowedThread:
    """The thread that made the recording, or one that began after it, one at a time."""

    def __init__(self) -> None:
        self._home = threading.get_ident()
        self._older = {thread.ident for thread in threading.enumerate()} - {self._home}
        self._bound: int | None = None

    def ours(self) -> bool:
        """Whether calls in this thread are recorded now."""
        current = threading.get_ident()
        if self._bound is not None:
            return current == self._bound
        return current == self._home or current not in self._older

    def bind(self) -> None:
        """An outermost call begins in this thread: others are ignored until it ends."""
        self._bound = threading.get_ident()

    def release(self) -> None:
        """The outermost call has ended."""
        self._bound = None
