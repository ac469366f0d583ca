"""Copies ahead: weights that the record of a call will need are copied while the call runs, by a thread beside it.

In: tensors, when a call begins that will not write to them. Out: their copies, when it has ended. The weights of a
recurrent layer are a third of what recording it costs; while it runs, a core that is free copies them for nothing.
"""

from __future__ import annotations

import _thread
import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor, nn

from .fingerprint import samples
from .pages import PAGES
from .tensors import tensor_kind, version_of

AHEAD_FROM = 1 << 20
"""Bytes of a tensor from which copying takes longer than starting a thread."""


class CopiesAhead:
    """The copies of one recording that are made ahead.

    Attributes:
        nbytes: Bytes of copies that nobody has taken yet.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._batches: dict[int, _Batch] = {}

    def begin(self, tensors: Iterable[Tensor], room: int) -> None:
        """Copy those that are worth it, if torch leaves a core free and all of them fit into ``room`` bytes."""
        found = {id(each): each for each in tensors if _is_worth_it(each)}
        nbytes = sum(each.nbytes for each in found.values())
        if (
            not found
            or not _has_free_core()
            or self.nbytes + nbytes > room
            or not self._batches.keys().isdisjoint(found)
        ):
            return
        with suppress(RuntimeError):  # no thread to be had: they are copied later
            batch = _Batch(list(found.values()))
            self._batches.update(dict.fromkeys(found, batch))
            self.nbytes += nbytes

    def take(self, live: Tensor) -> Tensor | None:
        """The copy of a tensor, which is nobody else's from now on; None when it was written to, or never copied."""
        batch = self._batches.pop(id(live), None)
        if batch is None:
            return None
        self.nbytes -= live.nbytes
        return batch.take(live)

    def clear(self) -> None:
        """Wait for what runs, and forget all."""
        for batch in self._batches.values():
            batch.wait()
        self._batches.clear()
        self.nbytes = 0


class _Batch:
    """Tensors that one thread copies, one after the other.

    Started bare: ``threading.Thread`` waits until the thread runs, which takes as long as copying a MiB. All that can
    be done there is done there, since nobody waits for it.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self._entries = {id(each): (each, version_of(each)) for each in tensors}
        self._copies: dict[int, Tensor] = {}
        self._running = _thread.allocate_lock()
        self._running.acquire()
        _thread.start_new_thread(_copy_all, (tensors, self._copies, self._running))

    def wait(self) -> None:
        """Until all are copied."""
        with self._running:
            pass

    def take(self, live: Tensor) -> Tensor | None:
        self.wait()
        source, version = self._entries.pop(id(live))
        copy = self._copies.pop(id(live), None)
        if copy is None or source is not live or version_of(live) != version:
            return None
        return copy if torch.equal(samples(copy), samples(live)) else None  # a write through .data bumps no version


def _copy_all(tensors: list[Tensor], copies: dict[int, Tensor], running: _thread.LockType) -> None:
    """By the C function, in which neither Python's lock is held nor torch's own threads take part."""
    try:
        with suppress(RuntimeError, MemoryError, OSError):  # no memory: what is missing is copied later
            for each in tensors:
                copy = PAGES.like(each)
                ctypes.memmove(copy.data_ptr(), each.data_ptr(), each.nbytes)
                copies[id(each)] = copy
    finally:
        running.release()


def _is_worth_it(tensor: Tensor) -> bool:
    """Whether it is a large plain tensor of the CPU that lies in one piece, and has a version to tell a write by."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor_kind(tensor) == "dense"
        and tensor.nbytes >= AHEAD_FROM
        and tensor.is_contiguous()
        and not (tensor.is_conj() or tensor.is_neg())
        and version_of(tensor) is not None
    )


def _has_free_core() -> bool:
    """Whether the process may use more cores than torch computes on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > torch.get_num_threads()
