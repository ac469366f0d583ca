"""Recall of several models over several settings, chunk by chunk: what a recall lab runs.

In: models or factories by name, a task, values of its settings. Out: points as they are measured, curves of them; every
model as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..capture.state import kept_state
from ..capture.trace import Trace, walk
from ..errors import ForwardError, MemvizError, SelectionError, SourceError
from .memory_numbers import needs_whole
from .recall_curve import RecallCurve, RecallPoint, SweepStep, sweep_steps
from .recall_settings import swept_settings
from .recall_tasks import RecallTask

Factory = Callable[[RecallTask], nn.Module]
"""From a task, which is its settings, to a model that takes its symbols."""
Models = nn.Module | Factory | Sequence[nn.Module | Factory] | Mapping[str, nn.Module | Factory]
Sweep = str | Iterable[str] | Mapping[str, Iterable[float]] | None
Call = Callable[[Any, Tensor], Any]
"""From a model and symbols (B, T) to logits (B, T, V)."""

MOST_MODELS = 6
"""Curves that can be told apart in one picture."""


class RecallJob(NamedTuple):
    """One point that is to be measured: which model, which setting, at which value."""

    name: str
    over: str
    value: float

    @property
    def text(self) -> str:
        """``"lstm at delay 20"``."""
        return f"{self.name} at {self.over} {self.value:g}"


class RecallRuns:
    """Measures point by point; stops after any chunk and goes on later.

    A model is measured in eval mode and comes back as it was after every chunk: flags, buffers, grads, random
    generators. A point that fails is left out, with its error, and the others are measured.

    Args:
        models: See :func:`named_models`.
        task: The settings that are not swept.
        sweep: See :func:`swept_values`.
        sequences: Per point.
        seed: Of the sequences; every model sees the same.
        chunk: Sequences that a model sees at once.
        call: Runs a model otherwise than ``model(symbols)``.

    Attributes:
        jobs: All points, in the order in which they are measured.
        values: Setting -> its values.
        points: What was measured.
        errors: What failed, the error of the model as ``__cause__`` of a ForwardError.
        done: Chunks that were measured, of ``total``.
    """

    def __init__(
        self,
        models: Models,
        task: RecallTask,
        sweep: Sweep = None,
        *,
        sequences: int = 256,
        seed: int = 0,
        chunk: int = 64,
        call: Call | None = None,
    ) -> None:
        self._sources = named_models(models)
        if not isinstance(task, RecallTask):
            raise SourceError(
                f"task is {_what(task)}; expected a recall task, as in mv.analysis.recall.DelayedRecall(delay=10)."
            )
        self.task, self.values = task, swept_values(task, sweep)
        self.sequences, self.chunk = needs_whole("n", sequences, 1), needs_whole("chunk", chunk, 1)
        self.seed, self._call = seed, call
        self.jobs = [
            RecallJob(name, over, value)
            for over, values in self.values.items()
            for value in values
            for name in self._sources
        ]
        self.points: dict[RecallJob, RecallPoint] = {}
        self.errors: dict[RecallJob, MemvizError] = {}
        self._chunks = -(-self.sequences // self.chunk)  # per point
        self.done, self.total = 0, len(self.jobs) * self._chunks
        self._made: dict[RecallJob, nn.Module] = {}
        self._steps: Iterator[SweepStep] | None = None
        self._in_job = 0  # chunks of the job that is being measured

    @property
    def names(self) -> list[str]:
        """Of the models."""
        return list(self._sources)

    @property
    def job(self) -> RecallJob | None:
        """What is measured next, or further; None when nothing is left."""
        return next((job for job in self.jobs if job not in self.points and job not in self.errors), None)

    def advance(self) -> RecallPoint | None:
        """Measures one chunk; gives the point that it completed. Nothing is done when nothing is left."""
        job = self.job
        if job is None:
            return None
        try:
            step = next(self._running(job))
        except BaseException as error:  # whatever the user's model raises
            self._steps, self.done, self._in_job = None, self.done - self._in_job, 0
            if not isinstance(error, Exception):
                raise  # an interrupt: the point begins anew
            self.done += self._chunks
            self.errors[job] = error if isinstance(error, MemvizError) else _failed(job, error)
            return None
        self.done, self._in_job = self.done + 1, self._in_job + 1
        if step.point is not None:
            self._steps, self._in_job = None, 0
            self.points[job] = step.point
        return step.point

    def retry(self) -> None:
        """Forgets what failed, so that it is measured again."""
        self.done -= len(self.errors) * self._chunks
        self.errors.clear()

    def curve(self, name: str, over: str) -> RecallCurve:
        """What was measured of a model over a setting."""
        found = (self.points.get(RecallJob(name, over, value)) for value in self.values[over])
        return RecallCurve(over, tuple(point for point in found if point is not None))

    def name_of(self, model: str | int) -> str:
        """The name of a model, given by name or number. Raises SelectionError when there is none."""
        if isinstance(model, int) and 0 <= model < len(self.names):
            return self.names[model]
        if model not in self.names:
            raise SelectionError(f"no model {model!r}; there are {', '.join(self.names)}, counted from 0.")
        return str(model)

    def setting_of(self, over: str) -> str:
        """A setting that is swept; "" is the first. Raises SelectionError for another."""
        if over and over not in self.values:
            raise SelectionError(f"{over!r} is not swept here; {', '.join(self.values)} is.")
        return over or next(iter(self.values))

    def failed_job(self, model: str | int, over: str = "", value: float | None = None) -> RecallJob:
        """A point that has wrong answers; ``value`` None is the smallest. Raises SelectionError when it has none."""
        name, setting = self.name_of(model), self.setting_of(over)
        jobs = [job for job in self.points if job[:2] == (name, setting)]
        if value is None:
            found = next((job for job in jobs if len(self.points[job].wrong)), None)
            if found is None:
                raise SelectionError(f"no answer of {name} over {setting} was wrong in what was measured so far.")
            return found
        job = RecallJob(name, setting, value)
        if job not in self.points:
            known = ", ".join(f"{each.value:g}" for each in jobs)
            raise SelectionError(f"{job.text} was not measured; measured are {known or 'none'}.")
        if not len(self.points[job].wrong):
            raise SelectionError(f"all {self.points[job].n} answers of {job.text} are right; there is no failed run.")
        return job

    def model(self, job: RecallJob) -> nn.Module:
        """The model of a point: the one that was given, or what its factory made, which is kept."""
        source = self._sources[job.name]
        if isinstance(source, nn.Module):
            return source
        if job not in self._made:
            made: object = source(self.task.with_(**{job.over: job.value}))
            if not isinstance(made, nn.Module):
                raise SourceError(f"the factory {job.name!r} gave {_what(made)}; expected an nn.Module.")
            self._made[job] = made
        return self._made[job]

    def logits(self, model: nn.Module, symbols: Tensor) -> Tensor:
        """What a model answers to symbols (B, T), in its own mode; of a tuple or an output object the logits."""
        given = model(symbols) if self._call is None else self._call(model, symbols)
        found: Tensor = logits_of(given)
        return found

    def close(self) -> None:
        """Lets the models go."""
        self._steps = None
        self._made.clear()

    def _running(self, job: RecallJob) -> Iterator[SweepStep]:
        if self._steps is None:
            model = self.model(job)
            device = device_of(model)

            def answer(symbols: Tensor) -> Tensor:
                with measuring(model):
                    return self.logits(model, symbols)

            self._steps = sweep_steps(
                answer,
                self.task,
                [job.value],
                job.over,
                sequences=self.sequences,
                chunk=self.chunk,
                seed=self.seed,
                device=device,
            )
        return self._steps


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """The model in eval mode, and afterwards as it was: each training flag, buffers, grads, random generators."""
    with kept_state(walk(model), Trace()):
        model.eval()
        yield


def logits_of(given: Any) -> Any:
    """The logits among what a model returns: itself, ``.logits``, or the first of a tuple or list."""
    if hasattr(given, "logits"):
        return given.logits
    return given[0] if isinstance(given, tuple | list) and given else given


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter of a model lies; the CPU for one without."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def named_models(models: Models) -> dict[str, nn.Module | Factory]:
    """Models by name: as given, else by class or function name, numbered where several have the same.

    Raises:
        SourceError: for what is neither a model nor a factory, none, or more than ``MOST_MODELS``.
    """
    if isinstance(models, Mapping):
        found = {str(name): model for name, model in models.items()}
    else:
        several = list(models) if isinstance(models, list | tuple) else [models]
        own = [_own_name(each) for each in several]
        found = {}
        for place, (name, model) in enumerate(zip(own, several, strict=True)):
            alone = own.count(name) == 1 and name.isidentifier()
            found[name if alone else f"{name if name.isidentifier() else 'model'} {place + 1}"] = model  # type: ignore[assignment]
    if not 1 <= len(found) <= MOST_MODELS:
        raise SourceError(f"{len(found)} models; expected 1 to {MOST_MODELS}, so that their curves can be told apart.")
    for name, model in found.items():
        if isinstance(model, type) or not (isinstance(model, nn.Module) or callable(model)):
            raise SourceError(
                f"model {name!r} is {_what(model)}; expected an nn.Module, or a function that makes one from a task, "
                "as in RecallLab(lambda task: Net(task.vocabulary), task)."
            )
    return found


def swept_values(task: RecallTask, sweep: Sweep) -> dict[str, tuple[float, ...]]:
    """Setting -> values: as given, those of ``swept_settings`` for a name alone; None = the usual setting of the task.

    Raises:
        UnknownOptionError: for a setting that the task does not have.
        MeasureError: for values that do not fit the task or do not rise.
        SourceError: for no setting at all.
    """
    usual = swept_settings(task)
    if sweep is None:
        sweep = next(iter(usual))
    if isinstance(sweep, Mapping):
        found = {str(name): tuple(values) for name, values in sweep.items()}
    else:
        names = [sweep] if isinstance(sweep, str) else list(sweep)
        for name in names:
            if name not in usual:
                task.with_(**{name: getattr(task, name, 0)})  # which names those that there are
        found = {name: usual.get(name) or (getattr(task, name),) for name in names}
    if not found:
        raise SourceError("sweep names no setting; expected one or more, as in sweep={'delay': [0, 5, 20]}.")
    for name, values in found.items():
        sweep_steps(torch.zeros_like, task, values, name)  # which refuses what does not fit, and measures nothing yet
    return found


def _failed(job: RecallJob, error: Exception) -> ForwardError:
    failed = ForwardError(f"{job.text}: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


def _own_name(model: object) -> str:
    return type(model).__name__ if isinstance(model, nn.Module) else getattr(model, "__name__", "")


def _what(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
