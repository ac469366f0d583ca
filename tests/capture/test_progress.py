"""The progress bar: after a delay only, gone at the end, and never in the way."""

from __future__ import annotations

import io
import sys
import threading
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import tqdm.auto
import tqdm.notebook
from ipywidgets.widgets import widget as ipywidget

from memviz_widgets.capture import progress as progressing
from memviz_widgets.capture.progress import Progress


class Terminal(io.StringIO):
    """What a bar is written to."""

    def isatty(self) -> bool:
        return True


def write_bars_to(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by setting sys.stderr in a fixture: pytest sets it again before the test begins."""

    class Bar(tqdm.auto.tqdm):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(file=stream, **options)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    write_bars_to(stream, monkeypatch)
    return stream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the seconds that the module's clock shows; 0 before."""
    now = [0.0]
    monkeypatch.setattr(progressing, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def show(seconds: float) -> None:
        now[0] = seconds

    return show


def test_nothing_is_shown_before_the_delay(terminal: Terminal, clock: Callable[[float], None]) -> None:
    progress = Progress(10)
    clock(1.9)
    progress.step(3)
    progress.close()
    assert progress.done == 3 and terminal.getvalue() == ""


def test_after_the_delay_there_is_a_bar_with_all_that_was_done(
    terminal: Terminal, clock: Callable[[float], None]
) -> None:
    progress = Progress(10, text="capture")
    progress.step(3)
    clock(2.0)
    progress.step(1)
    assert "capture:  40%" in terminal.getvalue() and "4/10" in terminal.getvalue()
    progress.close()


def test_the_bar_follows_ten_times_a_second(terminal: Terminal, clock: Callable[[float], None]) -> None:
    progress = Progress(10, delay_s=0)
    progress.step(1)
    clock(0.05)
    progress.step(1)
    assert "2/10" not in terminal.getvalue()
    clock(0.1)
    progress.step(1)
    assert "3/10" in terminal.getvalue()
    progress.close()


def test_more_than_the_total_is_a_count(terminal: Terminal) -> None:
    progress = Progress(2, delay_s=0)
    progress.step(5)
    assert "5module" in terminal.getvalue() and "%" not in terminal.getvalue()
    progress.close()


def test_close_clears_the_line_and_later_steps_show_nothing(terminal: Terminal) -> None:
    progress = Progress(10, delay_s=0)
    progress.step(1)
    progress.close()
    shown = terminal.getvalue()
    assert shown.rsplit("\r", 2)[1].strip() == "" and shown.endswith("\r")
    progress.step(1)
    progress.close()
    assert terminal.getvalue() == shown


def test_a_log_file_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    write_bars_to(log, monkeypatch)
    progress = Progress(10, delay_s=0)
    progress.step(1)
    progress.close()
    assert log.getvalue() == ""


def test_another_thread_counts_and_shows_nothing(terminal: Terminal) -> None:
    progress = Progress(10, delay_s=0)
    thread = threading.Thread(target=progress.step, args=(4,))
    thread.start()
    thread.join()
    assert progress.done == 4 and terminal.getvalue() == ""
    progress.close()


def test_no_thread_is_left(terminal: Terminal) -> None:
    before = set(threading.enumerate())
    progress = Progress(10, delay_s=0)
    progress.step(1)
    progress.close()
    assert terminal.getvalue() and set(threading.enumerate()) == before


def test_a_closed_stream_raises_nothing(terminal: Terminal) -> None:
    progress = Progress(10, delay_s=0)
    progress.step(1)
    terminal.close()
    time.sleep(0.11)
    progress.step(1)
    progress.close()
    assert progress.done == 2


def test_without_tqdm_nothing_is_shown(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    progress = Progress(10, delay_s=0)
    progress.step(1)
    progress.step(1)
    progress.close()
    assert progress.done == 2 and terminal.getvalue() == ""


def test_an_interrupt_is_not_swallowed(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progressing, "_make_bar", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        Progress(10, delay_s=0).step(1)


def test_a_bar_in_a_notebook_leaves_no_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.auto, "tqdm", tqdm.notebook.tqdm)
    monkeypatch.setattr(tqdm.notebook, "display", lambda *_: None)
    before = dict(ipywidget._instances)
    progress = Progress(10, delay_s=0)
    progress.step(1)
    assert len(ipywidget._instances) > len(before)
    progress.close()
    assert ipywidget._instances == before


def test_drawing_shows_no_warning_of_the_model_again(terminal: Terminal, clock: Callable[[float], None]) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        progress = Progress(10, delay_s=0)
        progress.step(1)
        for second in range(1, 4):
            clock(float(second))
            warnings.warn("from the model", UserWarning, stacklevel=1)
            progress.step(1)
        progress.close()
    assert len(shown) == 1


def test_a_step_before_the_delay_takes_about_a_clock() -> None:
    progress = Progress(10, delay_s=1000.0)
    best = float("inf")
    for _ in range(5):  # the best of five: other processes are not what is measured
        start = time.perf_counter()
        for _ in range(10_000):
            progress.step(1)
        best = min(best, time.perf_counter() - start)
    assert best / 10_000 < 2e-6
