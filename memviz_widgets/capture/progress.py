"""Progress: a bar for a capture that takes long, and nothing for one that does not.

In: how many modules there are, and each that finishes. Out: a tqdm bar after a delay, cleared at the end.
It runs inside the model's forward, so it costs next to nothing and never raises.
"""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

REFRESH_S = 0.1
"""Seconds between two looks of a bar at the count."""


class Progress:
    """Counts what is done and shows it once the delay is over.

    Only in the main thread: a bar that another thread draws appears under the wrong cell, or never. Where there is
    neither a notebook nor a terminal, nothing is shown.

    Args:
        total: How much there is to do, 0 = not known; what goes beyond it is shown as a count.
        text: What stands before the bar.
        delay_s: Seconds from now until the bar appears.
        unit: What is counted.
    """

    def __init__(self, total: int, text: str = "capture", delay_s: float = 2.0, unit: str = "module") -> None:
        self.done = 0
        self._total = total
        self._text = text
        self._unit = unit
        self._bar: Any = None
        self._closed = False
        self._next_look = time.monotonic() + delay_s

    def step(self, done: int) -> None:
        """So many more are done. Called once per module: before the delay it reads a clock and nothing else."""
        self.done += done
        if time.monotonic() >= self._next_look:
            self._show()

    def close(self) -> None:
        """Clear the bar; nothing is shown from now on."""
        self._closed = True
        bar, self._bar = self._bar, None
        if bar is not None:
            _quietly(_clear, bar)

    def _show(self) -> None:
        self._next_look = time.monotonic() + REFRESH_S
        if self._closed or threading.current_thread() is not threading.main_thread():
            return
        if not _quietly(self._draw):
            self._closed = True

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _make_bar(self._total, self._text, self.done, self._unit)
        else:
            self._bar.update(self.done - self._bar.n)


def _quietly(draw: Any, *args: Any) -> bool:
    """Whether it could be drawn: stdout may be closed, a widget's connection gone."""
    try:
        draw(*args)
    except Exception:
        return False
    return True


def _make_bar(total: int, text: str, done: int, unit: str) -> Any:
    # Not around each draw: whatever touches the filters makes Python show the model's own warnings once more.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm warns where there is no ipywidgets
        from tqdm.auto import tqdm  # noqa: PLC0415  # it looks for a notebook, which takes time when it is imported

    # tqdm's monitor is a thread that outlives the bar.
    bar_class = type("_Bar", (tqdm,), {"monitor_interval": 0})
    # disable=None: nothing where the output is neither a notebook nor a terminal, as in the log of a job.
    total_or_none = total or None
    return bar_class(total=total_or_none, desc=text, initial=done, leave=False, disable=None, mininterval=0, unit=unit)


def _clear(bar: Any) -> None:
    """Take the bar away. In a notebook, one that is not full would stay in red, and its parts would stay open."""
    bar.total = None
    bar.close()
    container = getattr(bar, "container", None)
    for widget in (container, *container.children) if container is not None else ():
        for part in (widget, widget.layout, getattr(widget, "style", None)):
            if part is not None:
                part.close()
