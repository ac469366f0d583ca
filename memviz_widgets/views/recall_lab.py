"""RecallLab: how well models remember, measured while one looks on; a wrong answer opens the run in which it was given.

In: models or factories, a recall task. Out: one widget with curves, a table, and the run that failed.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ipywidgets import Dropdown, VBox, Widget, register, widget_serialization
from traitlets import Instance, Unicode

from ..analysis.recall import RecallCurve, RecallPoint, RecallTask, setting_text
from ..analysis.recall_runs import Call, Models, RecallJob, RecallRuns, Sweep
from ..errors import ClosedError, MemvizError, SelectionError
from ..export.picture_parts import Board
from ..frames.recall_failure import RecallFailure, failed_run, failure_entry
from ..frames.recall_rows import State, recall_curves
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .choice_link import ChoiceLink
from .explorer import Explorer, classed
from .frozen import Freezable
from .lifecycle import close_all, widgets_below
from .pictured import Pictured
from .recall_board import recall_board
from .recall_controls import RecallControls
from .recall_curves import RecallCurves
from .recall_picture import COLORS, MARKERS, recall_figure
from .recall_run import explorer_of, state_at
from .slices import in_background, in_slices

SHOWN_S = 0.1
"""Least time between two messages on how far it is."""


@register
class RecallLab(Freezable, Pictured, Synced, VBox):
    """How well a model remembers: accuracy against delay, length, load or distractors, of one model or several.

    ``display(RecallLab(model, task))`` and press Run: points come as they are measured, other cells run in between, and
    Stop stops. ``lab.run()`` does the same and waits. A click on a point with a wrong answer records that run, shows it
    in a MemoryExplorer (of a model without memory in an AttentionExplorer), and says what became of the answer: never
    written, decayed, overwritten (by which step), or never read.

    A model is measured in eval mode and without gradients, and is as it was after every chunk. A point that fails, as
    for a sequence longer than the model can take, is left out and named; the others are measured.

    Args:
        models: An ``nn.Module`` that takes symbols (B, T), int64, and gives logits (B, T, V), also as the first of a
            tuple or as ``.logits``; or a function from the task, with the value of the point in it, to such a module:
            called once per point, what it makes is kept. Or a list of them, or a mapping of names to them: at most 6.
        task: Such as ``mv.analysis.recall.DelayedRecall(delay=10)``: the settings that are not swept.
        sweep: What is varied: a setting's name, several, or a mapping of names to rising values,
            ``{"delay": [0, 5, 20]}``. None is the usual setting of the task with its usual values.
        n: Sequences per point.
        seed: Of the sequences; every model sees the same.
        chunk: Sequences that a model sees at once; between two chunks the kernel is free.
        call: ``call(model, symbols)`` gives the logits, where ``model(symbols)`` does not.

    Attributes:
        controls: RecallControls: ``controls.state`` and ``.problem`` say how the measuring stands.
        curves: RecallCurves: the points, ``curves.over`` the setting that is shown.
        explorer: The explorer of the run that was opened last; None before.

    Raises:
        SourceError: for what is no model, no factory or no task, and for more than 6 models.
        UnknownOptionError: for a setting that the task does not have.
        MeasureError: for values that do not fit the task, and numbers that are none.
    """

    _model_name = Unicode("RecallLabModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("RecallLabView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    controls: Any = Instance(RecallControls, help="The button, and how far the measuring is.").tag(
        **widget_serialization
    )
    curves: Any = Instance(RecallCurves, help="The points that were measured.").tag(**widget_serialization)

    explorer: Explorer | None = None

    _runs: RecallRuns | None = None

    def __init__(
        self,
        models: Models,
        task: RecallTask,
        *,
        sweep: Sweep = None,
        n: int = 256,
        seed: int = 0,
        chunk: int = 64,
        call: Call | None = None,
    ) -> None:
        runs = RecallRuns(models, task, sweep, sequences=n, seed=seed, chunk=chunk, call=call)
        self._states: dict[RecallJob, State] = {}
        self._task: asyncio.Task[None] | None = None
        self._parts: list[Widget] = []
        self._requests = ""  # what went wrong in the last request
        self._shown_s = 0.0
        controls = RecallControls(title=repr(task))
        curves = RecallCurves(
            names=runs.names,
            colors=COLORS[: len(runs.names)],
            markers=MARKERS[: len(runs.names)],
            over=next(iter(runs.values)),
        )
        self._runs = runs
        super().__init__(controls=controls, curves=curves)
        self.children = self._compose(runs)
        self.add_class("memviz-explorer").add_class("memviz-recall-lab")
        controls.on_msg(self._pressed)
        curves.on_msg(self._asked)
        self._show(all_points=True)

    @property
    def task(self) -> RecallTask:
        """The settings that are not swept."""
        return self._open.task

    @property
    def running(self) -> bool:
        """Whether it is being measured in the background now."""
        return self._task is not None and not self._task.done()

    def curve(self, model: str | int = 0, over: str = "") -> RecallCurve:
        """What was measured so far of a model, by name or number, over a setting; "" is the first one.

        Raises:
            SelectionError: for a model or setting that is not there.
        """
        runs = self._open
        return runs.curve(runs.name_of(model), runs.setting_of(over))

    def run(self, *, progress: bool = True) -> RecallLab:
        """Measure all that is not measured yet, and wait for it; an interrupt stops it, what is measured stays.

        Args:
            progress: Show a bar (tqdm).

        Returns:
            The lab itself.

        Raises:
            ForwardError: when a model raised: its own error is the ``__cause__``. The other points are measured first.
            MeasureError: when a model gave no logits. Likewise.
            ClosedError: after ``close()``.
        """
        from tqdm.auto import tqdm  # noqa: PLC0415  # it looks for a notebook, which takes time when it is imported

        runs = self._open
        self._cancel()
        runs.retry()
        self._tell("running")
        try:
            with tqdm(
                total=runs.total, initial=runs.done, desc="recall", unit="chunk", leave=False, disable=not progress
            ) as bar:
                while runs.job is not None:
                    bar.set_postfix_str(runs.job.text, refresh=False)
                    self._advance(runs)
                    bar.update(runs.done - bar.n)
        finally:
            self._settle()
        for error in runs.errors.values():
            raise error
        return self

    def start(self) -> None:
        """Measure in the background, on the running event loop, as the button does; other cells run in between.

        Raises:
            ClosedError: after ``close()``.
            SelectionError: where no event loop runs, as in a plain script: use ``run()``.
        """
        runs = self._open
        if self.running:
            return
        self._task = in_background(self._measure(runs))
        if self._task is None:
            raise SelectionError("no event loop runs here, as one does in a notebook; use lab.run().")
        runs.retry()
        self._tell("running")

    def stop(self) -> None:
        """Stop after the chunk that is being measured; ``start()`` and ``run()`` go on from there."""
        if self.running:
            self._cancel()
            self._settle()

    def failure(self, model: str | int = 0, value: float | None = None, over: str = "") -> RecallFailure:
        """The first run of a point in which an answer was wrong, recorded, diagnosed, and shown beneath the curves.

        Args:
            model: Name or number of the model.
            value: Of the setting; None is the smallest at which an answer was wrong.
            over: The setting; "" is the first one.

        Raises:
            SelectionError: when there is no such point, it was not measured, or all of its answers are right.
            ForwardError: when the model raises now.
            ClosedError: after ``close()``.
        """
        runs = self._open
        job = runs.failed_job(model, over, value)
        point = runs.points[job]
        found = failed_run(runs, job, point)
        self._open_run(found, runs.names.index(job.name), point)
        return found

    def close(self) -> None:
        """Stop, and close every widget, that of the run too; the models stay as they are. Again does nothing."""
        if self._runs is None:
            return
        self._cancel()
        runs, self._runs = self._runs, None
        runs.close()
        self.controls.on_msg(self._pressed, remove=True)
        self.curves.on_msg(self._asked, remove=True)
        # Not by taking it out of the children: of these some may be closed already, and are not sent any more.
        if self.explorer is not None:
            self.explorer.close()
            self.explorer = None
        own = [widget for widget in widgets_below(self, keep=(Explorer,)) if widget is not self]
        close_all([*own, *self._parts])
        self._parts.clear()
        super().close()

    def __repr__(self) -> str:
        if self._runs is None:
            return "RecallLab(closed)"
        return f"RecallLab({', '.join(self._runs.names)}: {len(self._runs.points)} of {len(self._runs.jobs)} points)"

    def _board(self, held_only: bool) -> Board:
        self._check_open()
        return recall_board(self.controls, self.curves)

    def _say_problem(self, text: str) -> None:
        self._requests = text
        self._show(all_points=True)

    # --------------------------------------------------------------------------------------------------- measuring

    async def _measure(self, runs: RecallRuns) -> None:
        """Chunks for a moment, then the kernel's other work."""
        try:
            await in_slices(lambda: self._advance(runs))
        except KeyboardInterrupt:  # while no cell runs the interrupt comes here
            pass
        except Exception as error:  # a task has no caller
            self._requests = f"{type(error).__name__}: {error}"
        self._settle()

    def _advance(self, runs: RecallRuns) -> bool:
        """One chunk; what it completed is shown. Whether any is left."""
        failed = len(runs.errors)
        completed = runs.advance() is not None or len(runs.errors) > failed
        if completed or time.monotonic() > self._shown_s + SHOWN_S:
            self._show(all_points=completed)
        return runs.job is not None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _settle(self) -> None:
        """Says how the measuring ended."""
        if self._runs is not None:
            self._weigh(self._runs)
            self._tell("done" if self._runs.job is None else "stopped" if self._runs.done else "ready")

    def _weigh(self, runs: RecallRuns) -> None:
        """The size of the state of each model, where the sequences are longest."""
        for name in runs.names:
            for over in runs.values:
                points = runs.curve(name, over).points
                job = RecallJob(name, over, points[-1].value) if points else None
                if job is not None and job not in self._states:
                    self._states[job] = state_at(runs, job, points[-1])

    def _tell(self, state: str) -> None:
        self.controls.state = state
        self._requests = "" if state == "running" else self._requests
        self._show(all_points=True)

    def _show(self, *, all_points: bool) -> None:
        """Progress, and where points came their numbers."""
        runs = self._open
        self._shown_s = time.monotonic()
        job = runs.job if self.controls.state == "running" else None
        with self.controls.hold_sync():
            self.controls.total, self.controls.done = len(runs.jobs), len(runs.points) + len(runs.errors)
            self.controls.share = 1000 * runs.done // runs.total
            self.controls.doing, self.controls.failed = job.text if job else "", len(runs.errors)
            if all_points:
                self.curves.curves = recall_curves(runs, self._states)
                told = [dot["error"] for curve in self.curves.curves for dot in curve["dots"] if dot["error"]]
                self.controls.problem = "\n".join([*told, *filter(None, [self._requests])])

    # ---------------------------------------------------------------------------------------------------- requests

    def _pressed(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """The button."""
        if content.get("type") == "run":
            self.start()
        elif content.get("type") == "stop":
            self.stop()

    def _asked(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """A click on a point; whatever goes wrong is shown."""
        if content.get("type") != "open" or self._runs is None or self.curves.opening:
            return
        self.curves.opening, self._requests = True, ""
        try:
            self.failure(int(content["model"]), float(content["value"]), str(content["over"]))
        except Exception as error:  # a callback has no caller
            self._requests = str(error) if isinstance(error, MemvizError) else f"{type(error).__name__}: {error}"
        finally:
            self.curves.opening = False
        self._show(all_points=True)

    def _open_run(self, failure: RecallFailure, model: int, point: RecallPoint) -> None:
        """Shows a run beneath the curves, in place of the one before."""
        explorer = explorer_of(failure)
        self._close_run()
        self.explorer = explorer
        self.children = [*self.children, explorer]
        self.curves.failure = dict(failure_entry(failure, model, point))

    def _close_run(self) -> None:
        if self.explorer is not None:
            self.children = [child for child in self.children if child is not self.explorer]
            self.explorer.close()
            self.explorer = None

    @property
    def _open(self) -> RecallRuns:
        self._check_open()
        assert self._runs is not None
        return self._runs

    def _check_open(self) -> None:
        if self._runs is None:
            raise ClosedError("this recall lab is closed; make another one to measure again.")

    def _compose(self, runs: RecallRuns) -> list[Widget]:
        """The rows, top to bottom."""
        rows: list[Widget] = [self.controls]
        if len(runs.values) > 1:
            options = [(setting_text(runs.task, over), over) for over in runs.values]
            control = Dropdown(options=options, value=self.curves.over, description="against")
            link = ChoiceLink(control=control, target=self.curves, trait="over", values=list(runs.values))
            self._parts.append(link)
            rows.append(classed(VBox([control]), "memviz-colors"))
        return [*rows, recall_figure(self.curves), self.curves]
