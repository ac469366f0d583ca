"""Memory for copies: pages from the system, kept for the next capture instead of given back.

In: a number of bytes. Out: uninitialised memory that returns here when the last tensor on it is gone.
Not the heap in which the model allocates: copies held between the model's own tensors keep it from taking up again what
it has just freed. Pages from the system are zeroed and mapped one by one at first touch, which takes ten times as long
as copying to them; so up to MOST_IDLE_BYTES of them stay with the process.
"""

from __future__ import annotations

import mmap
import threading
import weakref
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

MOST_IDLE_BYTES = 64 * 2**20
"""Pages that wait for the next copy; the budget of a cache is on top of what waits only as far as sizes differ."""
# Python's default is shared memory, whose pages take longer to get. Windows has no such flags.
_PRIVATE = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)


class PagePool:
    """Regions of whole pages, by size; the one that waits longest goes first."""

    def __init__(self, most_idle_bytes: int) -> None:
        self.most_idle_bytes = most_idle_bytes
        self.idle_bytes = 0
        self._idle: OrderedDict[int, tuple[int, mmap.mmap]] = OrderedDict()
        self._by_size: dict[int, list[int]] = {}
        self._lock = threading.RLock()  # a finalizer may run inside any of these functions, in the same thread

    def take(self, nbytes: int) -> Tensor:
        """Memory for ``nbytes`` > 0, as a tensor of uint8 whose end gives the pages back."""
        size = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        with self._lock:
            region = self._again(size)
            if region is None:
                self._shrink(self.idle_bytes - size)
                region = mmap.mmap(-1, size, flags=_PRIVATE) if _PRIVATE else mmap.mmap(-1, size)
        array = np.frombuffer(region, np.uint8, nbytes)
        # The tensor's storage holds the array and nothing else does: its end is the end of the last tensor on it.
        weakref.finalize(array, self._give_back, size, region).atexit = False
        return torch.from_numpy(array)

    def clear(self) -> None:
        """Give all waiting pages back to the system."""
        with self._lock:
            self._shrink(0)

    def _again(self, size: int) -> mmap.mmap | None:
        keys = self._by_size.get(size)
        if not keys:
            return None
        self.idle_bytes -= size
        return self._idle.pop(keys.pop())[1]

    def _give_back(self, size: int, region: mmap.mmap) -> None:
        with self._lock:
            if size > self.most_idle_bytes:
                return
            self._shrink(self.most_idle_bytes - size)
            self._idle[id(region)] = (size, region)
            self._by_size.setdefault(size, []).append(id(region))
            self.idle_bytes += size

    def _shrink(self, most: int) -> None:
        while self._idle and self.idle_bytes > most:
            key, (size, _) = self._idle.popitem(last=False)
            self._by_size[size].remove(key)
            self.idle_bytes -= size


PAGES = PagePool(MOST_IDLE_BYTES)
"""The pool of this process."""
