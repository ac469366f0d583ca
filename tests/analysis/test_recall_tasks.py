"""Recall tasks against solvers that see only the inputs and the rules as they are written in the docstrings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from memviz_widgets.analysis.recall import (
    NOT_ASKED,
    AssociativeRecall,
    CopyTask,
    DelayedRecall,
    NeedleRecall,
    RecallTask,
)
from memviz_widgets.errors import MeasureError, UnknownOptionError

from .memory_runs import generator

Solver = Callable[[list[int]], dict[int, int]]
"""Answers by step, from the symbols of one sequence."""


def copied(symbols: list[int]) -> dict[int, int]:
    """Of CopyTask(symbols=5): 5 is the blank, 6 the marker."""
    marker = symbols.index(6)
    shown = [symbol for symbol in symbols[:marker] if symbol != 5]
    return {marker + place: symbol for place, symbol in enumerate(shown)}


def first(symbols: list[int]) -> dict[int, int]:
    """Of DelayedRecall(symbols=5): 6 is the marker."""
    return {symbols.index(6): symbols[0]}


def looked_up(symbols: list[int]) -> dict[int, int]:
    """Of AssociativeRecall(symbols=6) and NeedleRecall(symbols=6): keys are 6..11; the second time a key asks."""
    values: dict[int, int] = {}
    answers = {}
    for step, symbol in enumerate(symbols):
        if symbol in values:
            answers[step] = values[symbol]
        elif 6 <= symbol < 12:
            values[symbol] = symbols[step + 1]
    return answers


CASES: tuple[tuple[RecallTask, Solver], ...] = (
    (CopyTask(length=4, delay=3, symbols=5), copied),
    (CopyTask(length=1, delay=0, symbols=5), copied),
    (DelayedRecall(delay=7, symbols=5), first),
    (DelayedRecall(delay=7, symbols=5, distractors=7), first),
    (DelayedRecall(delay=0, symbols=5), first),
    (AssociativeRecall(pairs=6, symbols=6, gap=2), looked_up),
    (AssociativeRecall(pairs=1, symbols=6), looked_up),
    (NeedleRecall(length=20, depth=0.3, symbols=6, distractors=5), looked_up),
    (NeedleRecall(length=13, depth=1, symbols=6, distractors=5), looked_up),
    (NeedleRecall(length=3, depth=0, symbols=6), looked_up),
)
TASKS = tuple(task for task, _ in CASES)


@pytest.mark.parametrize(("task", "solve"), CASES, ids=str)
def test_answers_follow_from_the_inputs(task: RecallTask, solve: Solver) -> None:
    for seed in range(30):
        batch = task.batch(8, generator(seed))
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            asked = {step: target for step, target in enumerate(targets) if target != NOT_ASKED}
            assert asked == solve(inputs) and len(asked) == task.asked_per_sequence


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_batch_says_where_it_asks_and_where_the_answer_was_shown(task: RecallTask) -> None:
    batch = task.batch(64, generator())
    assert batch.inputs.shape == batch.targets.shape == batch.asked.shape == batch.written.shape == (64, task.steps)
    assert torch.equal(batch.asked, batch.targets != NOT_ASKED) and torch.equal(batch.asked, batch.written >= 0)
    rows, steps = batch.asked.nonzero(as_tuple=True)
    written = batch.written[rows, steps]
    assert torch.equal(batch.inputs[rows, written], batch.targets[rows, steps]) and (written < steps).all()
    assert int(batch.inputs.min()) >= 0 and int(batch.inputs.max()) < task.vocabulary


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_answer_is_right_equally_often(task: RecallTask) -> None:
    batch = task.batch(6000, generator())
    counts = batch.targets[batch.asked].bincount(minlength=task.answers)
    assert len(counts) == task.answers and task.chance == 1 / task.answers
    share = counts / counts.sum()
    assert (share - task.chance).abs().max() < 4.5 * math.sqrt(task.chance * (1 - task.chance) / 6000)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_picking_any_answer_of_the_sequence_scores_the_context_chance(task: RecallTask) -> None:
    batch = task.batch(4000, generator())
    shown = (batch.inputs < task.answers).double()  # a question or a key is no answer
    picked = batch.inputs.gather(1, shown.multinomial(1, generator=generator(1)))
    right = (picked == batch.targets)[batch.asked].double().view(4000, -1).mean(1)
    error = 4 * float(right.std()) / math.sqrt(4000)
    assert float(right.mean()) == pytest.approx(task.context_chance, abs=error + 1e-12)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_generator_decides_the_batch_and_nothing_else_does(task: RecallTask) -> None:
    before = torch.get_rng_state()
    drawn, again = task.batch(50, generator(3)), task.batch(50, generator(3))
    for name in ("inputs", "targets", "asked", "written"):
        assert torch.equal(getattr(drawn, name), getattr(again, name))
    assert not torch.equal(drawn.inputs, task.batch(50, generator(4)).inputs)
    assert torch.equal(torch.get_rng_state(), before)


def test_copy_by_hand() -> None:
    batch = CopyTask(length=2, delay=1, symbols=5).batch(1, generator())
    a, b = batch.inputs[0, :2].tolist()
    assert batch.inputs[0].tolist() == [a, b, 5, 6, 5]
    assert batch.targets[0].tolist() == [-100, -100, -100, a, b]
    assert batch.written[0].tolist() == [-1, -1, -1, 0, 1]


def test_distractors_are_as_many_as_asked_for() -> None:
    delayed = DelayedRecall(delay=9, symbols=5, distractors=4).batch(30, generator()).inputs
    assert (delayed[:, 1:-1] < 5).sum(1).eq(4).all() and (delayed[:, 1:-1] == 5).sum(1).eq(5).all()
    needle = NeedleRecall(length=30, symbols=6, distractors=3).batch(30, generator()).inputs
    assert (needle < 6).sum(1).eq(4).all() and ((needle >= 6) & (needle < 12)).sum(1).eq(5).all()


@pytest.mark.parametrize(("depth", "step"), [(0, 0), (0.5, 4), (1, 7)])
def test_depth_places_the_needle(depth: float, step: int) -> None:
    task = NeedleRecall(length=10, depth=depth)
    batch = task.batch(5, generator())
    assert task.needle_step == step and torch.equal(batch.inputs[:, step], batch.inputs[:, -1])
    assert batch.written[:, -1].eq(step + 1).all()


def test_with_changes_one_setting() -> None:
    task = DelayedRecall(delay=3, symbols=5)
    assert task.with_(delay=9) == DelayedRecall(delay=9, symbols=5) and task.delay == 3
    with pytest.raises(
        UnknownOptionError, match=r"DelayedRecall has no setting 'dely'; nearest is 'delay'\. It has del"
    ):
        task.with_(dely=9)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CopyTask(length=0), r"length=0; expected a whole number, 1 or more"),
        (lambda: CopyTask(symbols=1), r"symbols=1; expected a whole number, 2 or more"),
        (lambda: DelayedRecall(delay=2, distractors=3), r"distractors=3 do not fit into delay=2; expected 0 to 2"),
        (lambda: AssociativeRecall(pairs=9), r"pairs=9 need as many keys; symbols=8\. Take fewer pairs"),
        (lambda: NeedleRecall(depth=1.5), r"depth=1.5; expected a number from 0, the start, to 1"),
        (lambda: NeedleRecall(length=7, depth=0.5, distractors=3), r"depth 0.5 of length=7; expected 0 to 2"),
        (lambda: CopyTask().batch(0, generator()), r"size=0; expected a whole number, 1 or more"),
    ],
)
def test_refuses_settings_that_do_not_fit(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        make()
