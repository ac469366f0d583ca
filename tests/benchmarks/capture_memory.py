"""The most memory that this process held while something ran.

In: a function, and the device whose memory counts. Out: its result, and the peak of the resident bytes, on an
accelerator of those allocated there; None where the system does not tell.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

HOLD_NOTHING_FREED = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""Environment in which glibc takes every tensor from the system and returns it at once.

Its heap keeps what was freed, as chance has it: on GPT-2 the peak of one capture came out as 70 or as 170 MiB.
"""
SAMPLE_S = 0.001
"""How often resident memory is read where the kernel's own high-water mark cannot be reset."""


def with_peak(run: Callable[[], Any], device: str = "cpu") -> tuple[Any, int | None]:
    """Run it; returns the result and the peak of resident bytes while it ran."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return run(), torch.cuda.max_memory_allocated(device)
    give_back_freed()
    if reset_high_water():
        return run(), high_water()
    return sampled(run)


def give_back_freed() -> None:
    """Let glibc return freed memory: what an earlier run left there would hide what the next one takes."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return


def reset_high_water() -> bool:
    """Set VmHWM back to what is resident now; False where that is not possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return high_water() is not None
    except OSError:
        return False


def high_water() -> int | None:
    """VmHWM in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def resident() -> int | None:
    """Resident bytes now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def sampled(run: Callable[[], Any]) -> tuple[Any, int | None]:
    """As :func:`with_peak`, from samples that a thread takes: a short peak may be missed."""
    done = threading.Event()
    seen: list[int] = []

    def sample() -> None:
        while True:
            now = resident()
            if now is not None:
                seen.append(now)
            if done.wait(SAMPLE_S):
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        result = run()
    finally:
        done.set()
        thread.join()
    last = resident()
    return result, None if last is None else max(last, *seen)
