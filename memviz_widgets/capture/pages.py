"""Memory for copies: pages from the system, kept for the next capture instead of given back.

In: a number of bytes. Out: uninitialised memory that returns here when the last tensor on it is gone.
Not the heap in which the model allocates: copies held between the model's own tensors keep it from taking up again what
it has just freed. Pages from the system are zeroed and mapped one by one at first touch, which takes ten times as long
as copying to them; so up to MOST_IDLE_BYTES of them stay with the process, and large pages are asked for, which come
five times as fast. Copies lie side by side in regions, so that a capture finds room in what another one left whatever
the sizes of its copies.
"""

from __future__ import annotations

import mmap
import threading
import weakref
from bisect import bisect
from collections import deque
from contextlib import suppress
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MOST_IDLE_BYTES = 64 * 2**20
"""Pages that wait for the next copy; the budget of a cache is on top of what waits only as far as holes are too small
for what comes."""
REGION_BYTES = 64 * 2**20
"""Address space that is taken from the system at once; it becomes memory where something is written to it."""
LARGE_PAGE = 2 * 2**20
_LARGEST_ADAPTED = 31 * 2**20
_LINE = 64
"""Copies begin at multiples of a processor's cache line."""
# Python's default is shared memory, whose pages take longer to get. Windows has no such flags.
_PRIVATE = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
_HUGEPAGE = getattr(mmap, "MADV_HUGEPAGE", None)
_DONTNEED = getattr(mmap, "MADV_DONTNEED", None)


@cache
def let_heap_keep() -> None:
    """Let the C library keep the memory that one layer frees for the next one; once in a process is enough.

    glibc gives memory that is free at the end of its heap back to the system once there is twice as much of it as the
    largest block that was ever freed (mallopt(3): M_MMAP_THRESHOLD and M_TRIM_THRESHOLD adapt, up to 32 MiB). The small
    objects of a recording move a model's tensors to that end, where each layer then waits for new pages: 10,000 of them
    in a BERT, 4 % of its time. Any tensor of this size that is freed has the same effect.
    """
    torch.empty(_LARGEST_ADAPTED, dtype=torch.uint8)


class _Gap(NamedTuple):
    """Free bytes of a region. ``fresh``: nothing was written to them, so they occupy no memory."""

    start: int
    stop: int
    fresh: bool

    @property
    def nbytes(self) -> int:
        """How many."""
        return self.stop - self.start


class _Region:
    """Address space from the system, with the gaps in it, in their order.

    Attributes:
        nbytes: Its size.
        pages: Its memory.
        waiting: Bytes of gaps that occupy memory.
        fresh: Bytes of gaps that occupy none.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.pages = mmap.mmap(-1, nbytes, flags=_PRIVATE) if _PRIVATE else mmap.mmap(-1, nbytes)
        self.waiting = 0
        self.fresh = nbytes
        self._gaps = [_Gap(0, nbytes, fresh=True)]
        if _HUGEPAGE is not None:
            with suppress(OSError):  # a kernel that was built without large pages
                self.pages.madvise(_HUGEPAGE)

    def cut(self, nbytes: int, *, fresh: bool) -> int | None:
        """Take so many bytes from the first gap of a kind that has them; where they start, None without one."""
        if nbytes > (self.fresh if fresh else self.waiting):
            return None
        for position, (start, stop, is_fresh) in enumerate(self._gaps):
            if is_fresh == fresh and stop - start >= nbytes:
                # What is taken now lies between this gap and the one before, so there is nothing to join.
                rest = [_Gap(start + nbytes, stop, fresh)] if stop - start > nbytes else []
                self._gaps[position : position + 1] = rest
                self._count(_Gap(start, start + nbytes, fresh), -1)
                return start
        return None

    def fill(self, start: int, stop: int) -> None:
        """These bytes are free again, and occupy memory."""
        gap = _Gap(start, stop, fresh=False)
        self._replace(bisect(self._gaps, gap), 0, gap)

    def give_back(self, nbytes: int) -> None:
        """Give at least so much of the memory that waits back to the system, or all of it, in large pages.

        Where the system takes no part of a region (Windows), only one that is free as a whole counts as given back: it
        goes when the pool forgets it.
        """
        if _DONTNEED is None and self.waiting + self.fresh < self.nbytes:
            return
        for position in reversed(range(len(self._gaps))):
            gap = self._gaps[position]
            if nbytes <= 0 or gap.fresh:
                continue
            start = gap.start if _DONTNEED is None else max(gap.start, (gap.stop - nbytes) // LARGE_PAGE * LARGE_PAGE)
            first, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, gap.stop // mmap.PAGESIZE * mmap.PAGESIZE
            if first < end and _DONTNEED is not None:
                self.pages.madvise(_DONTNEED, first, end - first)
            # The ends may share a page with a copy: they stay memory, and count as given back.
            self._replace(position, 1, _Gap(gap.start, start, fresh=False), _Gap(start, gap.stop, fresh=True))
            nbytes -= gap.stop - start

    def _replace(self, position: int, count: int, *gaps: _Gap) -> None:
        """Put gaps in the place of some, joined with those of their kind that they touch."""
        for gap in self._gaps[position : position + count]:
            self._count(gap, -1)
        before, after = self._gaps[max(0, position - 1) : position], self._gaps[position + count :][:1]
        joined: list[_Gap] = []
        for gap in (*before, *filter(lambda gap: gap.nbytes, gaps), *after):
            last = joined[-1] if joined else None
            if last is not None and last.stop == gap.start and last.fresh == gap.fresh:
                joined[-1] = last._replace(stop=gap.stop)
            else:
                joined.append(gap)
        for gap in gaps:
            self._count(gap, 1)
        self._gaps[position - len(before) : position + count + len(after)] = joined

    def _count(self, gap: _Gap, sign: int) -> None:
        if gap.fresh:
            self.fresh += sign * gap.nbytes
        else:
            self.waiting += sign * gap.nbytes


class _Loan(weakref.ref[npt.NDArray[np.uint8]]):
    """Bytes of a region, as long as the array on them lives."""

    __slots__ = ("region", "start", "stop")
    region: _Region
    start: int
    stop: int


class PagePool:
    """Regions of memory for copies. An end of a copy may come at any moment, also inside any of these functions."""

    def __init__(self, most_idle_bytes: int) -> None:
        self.most_idle_bytes = most_idle_bytes
        self._regions: list[_Region] = []
        self._loans: dict[int, _Loan] = {}
        self._ended: deque[_Loan] = deque()
        self._lock = threading.Lock()

    @property
    def idle_bytes(self) -> int:
        """Memory that waits for the next copy."""
        return sum(region.waiting for region in self._regions)

    def take(self, nbytes: int) -> Tensor:
        """Memory for ``nbytes`` > 0, as a tensor of uint8 whose end gives the bytes back."""
        size = -(-nbytes // _LINE) * _LINE
        with self._lock:
            self._take_back()
            region, start = self._find(size)
            array = np.frombuffer(region.pages, np.uint8, nbytes, start)
            loan = _Loan(array, self._end)
            loan.region, loan.start, loan.stop = region, start, start + size
            self._loans[id(loan)] = loan
        self._settle()
        # The tensor's storage holds the array and nothing else does: its end is the end of the last tensor on it.
        return torch.from_numpy(array)

    def like(self, tensor: Tensor) -> Tensor:
        """Memory for a contiguous copy of a tensor that is not empty, of its dtype and shape."""
        return self.take(tensor.nbytes).view(tensor.dtype).view(tensor.shape)

    def clear(self) -> None:
        """Give all waiting pages back to the system."""
        with self._lock:
            self._take_back()
            self._shrink(0)
        self._settle()

    def _find(self, nbytes: int) -> tuple[_Region, int]:
        """Free bytes: of memory that waits, else of new memory, which takes the place of as much that waits."""
        for fresh in (False, True):
            for region in self._regions:
                start = region.cut(nbytes, fresh=fresh)
                if start is not None:
                    if fresh:
                        self._shrink(self.idle_bytes - nbytes)
                    return region, start
        self._shrink(self.idle_bytes - nbytes)
        region = _Region(max(REGION_BYTES, -(-nbytes // LARGE_PAGE) * LARGE_PAGE))
        self._regions.append(region)
        return region, region.cut(nbytes, fresh=True) or 0

    def _end(self, loan: weakref.ref[npt.NDArray[np.uint8]]) -> None:
        assert isinstance(loan, _Loan)
        self._ended.append(loan)
        self._settle()

    def _settle(self) -> None:
        """Take back what has ended, unless somebody is at it: who looks again afterwards."""
        while self._ended and self._lock.acquire(blocking=False):
            try:
                self._take_back()
            finally:
                self._lock.release()

    def _take_back(self) -> None:
        """Under the lock."""
        while self._ended:
            loan = self._ended.popleft()
            del self._loans[id(loan)]
            loan.region.fill(loan.start, loan.stop)
            self._shrink(self.most_idle_bytes)

    def _shrink(self, most: int) -> None:
        """Under the lock: let waiting memory go until at most so much waits."""
        for region in reversed(self._regions):
            too_much = self.idle_bytes - max(0, most)
            if too_much <= 0:
                return
            region.give_back(too_much)
        self._regions = [region for region in self._regions if region.fresh < region.nbytes]


PAGES = PagePool(MOST_IDLE_BYTES)
"""The pool of this process."""
