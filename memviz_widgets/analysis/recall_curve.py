"""How recall falls with delay, length, load or distractors: accuracy and bits kept, value by value.

In: a function from symbols to logits, a task, and the values of one of its settings. Out: a point per value, as soon as
it is measured, and the curve of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, described, needs_whole
from .recall_tasks import RecallBatch, RecallTask

ModelFunction = Callable[[Tensor], Tensor]
"""From inputs (B, T), symbols, to logits (B, T, V)."""


@dataclass(frozen=True, slots=True)
class RecallPoint:
    """Recall at one value of the setting that is swept.

    Attributes:
        value: of the setting.
        accuracy: 0..1, part of the answers that is right, when only the K possible answers can be chosen.
        standard_error: of the accuracy, over sequences, since answers of one sequence are not independent. 0 where all
            sequences score alike: then the accuracy may still be off by about 3 / sequences (the rule of three). NaN
            for one sequence.
        chance: ``1 / K``, the accuracy of a model that remembers nothing.
        context_chance: accuracy of a model that picks any of the answers in its sequence.
        n: number of answers that were scored.
        sequences: number of sequences they are from.
        bits_kept: ``L (log2 K - CE)`` per sequence, CE the mean cross-entropy of an answer in bits: at most
            ``most_bits``, 0 for a model that gives every answer the same probability, below 0 for one that is sure of
            wrong answers.
        most_bits: ``L log2 K``.
        wrong: int64 (W, 2), sequence and step of each wrong answer; see :meth:`batch`.
        answered: int64 (W,), what was answered there.
        task: the task at this value.
        seed: what the sequences were drawn with.
    """

    value: float
    accuracy: float
    standard_error: float
    chance: float
    context_chance: float
    n: int
    sequences: int
    bits_kept: float
    most_bits: float
    wrong: Tensor
    answered: Tensor
    task: RecallTask
    seed: int

    def batch(self) -> RecallBatch:
        """The sequences that were scored, drawn again; row ``wrong[i, 0]`` is a run that failed."""
        return _drawn(self.task, self.sequences, self.seed)


@dataclass(frozen=True, slots=True)
class SweepStep:
    """One chunk of a sweep is done.

    Attributes:
        value: of the setting, that is being measured.
        sequences: how many the chunk had.
        point: the recall at this value, with its last chunk; None before.
    """

    value: float
    sequences: int
    point: RecallPoint | None


@dataclass(frozen=True, slots=True)
class RecallCurve:
    """Recall value by value, of one model.

    Attributes:
        over: name of the setting that is swept, such as ``"delay"``.
        points: in the order of their values, which rise.
    """

    over: str
    points: tuple[RecallPoint, ...]

    @property
    def d50(self) -> float:
        """First value at which accuracy has fallen half-way to chance: to ``(1 + chance) / 2``.

        Half-way is counted from 1, not from the first point. Between two values the curve is a straight line. NaN where
        it does not cross within the values, also when it is below at the first one; ``d50_text`` says which.
        """
        above = [point.accuracy - _half_way(point) for point in self.points]
        if not above or above[0] < 0:
            return math.nan
        for place, height in enumerate(above):
            if height <= 0:
                if height == 0:
                    return float(self.points[place].value)
                before, here = self.points[place - 1].value, self.points[place].value
                return before + (here - before) * above[place - 1] / (above[place - 1] - height)
        return math.nan

    @property
    def d50_text(self) -> str:
        """``d50`` in words: a number, ``"< 5"`` or ``"> 20"`` with an end of the sweep, or ``"not measured"``."""
        if not self.points:
            return "not measured"
        if not math.isnan(self.d50):
            return f"{self.d50:.3g}"
        first, last = self.points[0], self.points[-1]
        return f"< {first.value:g}" if first.accuracy < _half_way(first) else f"> {last.value:g}"


def measure(
    model_fn: ModelFunction,
    task: RecallTask,
    values: Iterable[float],
    over: str = "delay",
    *,
    sequences: int = 256,
    chunk: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> RecallCurve:
    """Accuracy of a model on a task, for every value of one setting; see :func:`sweep` for arguments and errors.

    Returns:
        The curve, with a point per value.
    """
    points = sweep(model_fn, task, values, over, sequences=sequences, chunk=chunk, seed=seed, device=device)
    return RecallCurve(over, tuple(points))


def sweep(
    model_fn: ModelFunction,
    task: RecallTask,
    values: Iterable[float],
    over: str = "delay",
    *,
    sequences: int = 256,
    chunk: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[RecallPoint]:
    """Recall value by value: a caller shows each point as it comes, and stops by asking for no more.

    A point is the same whatever other values are measured, and whatever ``chunk`` is; two models measured with one seed
    see the same sequences. Answers are chosen among the K possible ones only (the logits of the other symbols are left
    out of argmax and cross-entropy), so that chance is 1 / K and equal logits keep 0 bits.

    Args:
        model_fn: from inputs int64 (B, T) to logits (B, T, V), with V at least ``task.answers``; position t is the
            answer after having seen inputs 0..t. Called without gradient; put a module into ``eval()`` yourself.
        task: the settings that stay as they are.
        values: of the setting that is swept, rising.
        over: the setting's name.
        sequences: per value, 1 or more.
        chunk: how many of them the model sees at once.
        seed: of the generator of each value's sequences.
        device: where the inputs are put.

    Yields:
        A :class:`RecallPoint` per value, in their order.

    Cost:
        ``sequences / chunk`` forward passes of (chunk, T) per value.

    Raises:
        UnknownOptionError: when the task has no such setting; at once.
        MeasureError: for values that do not rise or do not fit the task, at once; for logits of other axes, NaN and
            Inf, when the model gives them.
    """
    steps = sweep_steps(model_fn, task, values, over, sequences=sequences, chunk=chunk, seed=seed, device=device)
    return (step.point for step in steps if step.point is not None)


def sweep_steps(
    model_fn: ModelFunction,
    task: RecallTask,
    values: Iterable[float],
    over: str = "delay",
    *,
    sequences: int = 256,
    chunk: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[SweepStep]:
    """The same chunk by chunk: a caller shows progress between them, and lets others have their turn.

    Yields:
        A :class:`SweepStep` after every chunk; the last one of each value has its point.
    """
    swept = list(values)
    if not swept or any(later <= earlier for earlier, later in itertools.pairwise(swept)):
        raise MeasureError(f"values={swept!r}; expected one value or more, each larger than the one before. Sort them.")
    tasks = [task.with_(**{over: value}) for value in swept]
    needs_whole("sequences", sequences, 1)
    needs_whole("chunk", chunk, 1)

    def steps() -> Iterator[SweepStep]:
        for value, each in zip(swept, tasks, strict=True):
            yield from _measured(model_fn, each, value, sequences, chunk, seed, device)

    return steps()


def _measured(
    model_fn: ModelFunction,
    task: RecallTask,
    value: float,
    sequences: int,
    chunk: int,
    seed: int,
    device: torch.device | str,
) -> Iterator[SweepStep]:
    """Recall of one task, chunk by chunk."""
    batch = _drawn(task, sequences, seed)
    answers: list[Tensor] = []
    for at in range(0, sequences, chunk):
        answers.append(_asked_logits(model_fn, batch, slice(at, at + chunk), task, device))
        done = min(chunk, sequences - at)
        last = at + done == sequences
        yield SweepStep(value, done, _point(torch.cat(answers), batch, task, value, seed) if last else None)


def _point(logits: Tensor, batch: RecallBatch, task: RecallTask, value: float, seed: int) -> RecallPoint:
    """Recall by the logits (B L, K) of all answers."""
    targets, sequences = batch.targets[batch.asked], len(batch.inputs)
    answered = logits.argmax(-1)
    right = (answered == targets).view(sequences, -1)  # (B, L)
    by_sequence = right.double().mean(1)
    error = float(by_sequence.std() / math.sqrt(sequences)) if sequences > 1 else math.nan
    bits = float(torch.nn.functional.cross_entropy(logits, targets)) / math.log(2)
    asked, best = task.asked_per_sequence, math.log2(task.answers)
    missed = ~right.flatten()
    return RecallPoint(
        value=value,
        accuracy=float(by_sequence.mean()),
        standard_error=error,
        chance=task.chance,
        context_chance=task.context_chance,
        n=right.numel(),
        sequences=sequences,
        bits_kept=asked * (best - bits),
        most_bits=asked * best,
        wrong=batch.asked.nonzero()[missed],
        answered=answered[missed],
        task=task,
        seed=seed,
    )


def _asked_logits(
    model_fn: ModelFunction, batch: RecallBatch, rows: slice, task: RecallTask, device: torch.device | str
) -> Tensor:
    """Logits of the possible answers where one is asked, float64 (n, K), of some sequences."""
    inputs, asked = batch.inputs[rows], batch.asked[rows]
    with torch.no_grad():
        logits: object = model_fn(inputs.to(device))
    steps = tuple(inputs.shape)
    if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != steps:
        got = described(logits) if isinstance(logits, Tensor) else type(logits).__name__
        raise MeasureError(f"model_fn gave {got} for inputs of shape {steps}; expected logits of shape (*{steps}, V).")
    if logits.shape[2] < task.answers:
        raise MeasureError(
            f"model_fn gave logits of {logits.shape[2]} symbols; expected {task.answers} or more, the possible answers "
            f"first. The task has {task.vocabulary} symbols in all."
        )
    return checked(logits[..., : task.answers].cpu()[asked], "logits", "n", "K").double()


def _drawn(task: RecallTask, sequences: int, seed: int) -> RecallBatch:
    """Sequences by a seed, on the CPU."""
    return task.batch(sequences, torch.Generator("cpu").manual_seed(seed))


def _half_way(point: RecallPoint) -> float:
    """Accuracy half-way between all right and chance."""
    return (1 + point.chance) / 2
