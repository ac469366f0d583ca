"""Recall curves of models whose recall is known: oracles, guessers, sliding windows; and of a trained LSTM."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.analysis.recall import (
    AssociativeRecall,
    CopyTask,
    DelayedRecall,
    NeedleRecall,
    RecallCurve,
    RecallTask,
    measure,
    sweep,
    sweep_steps,
)
from memviz_widgets.errors import MeasureError, UnknownOptionError

from .memory_runs import generator

SURE = 1e4
"""Logit of an answer that a model is sure of."""

TASKS: tuple[tuple[RecallTask, str, tuple[float, ...]], ...] = (
    (CopyTask(length=3, symbols=5), "delay", (0, 4)),
    (DelayedRecall(symbols=4, distractors=2), "delay", (2, 9)),
    (AssociativeRecall(symbols=8), "pairs", (1, 8)),
    (NeedleRecall(symbols=4, distractors=3), "length", (16, 32)),
)
SWEEPS = pytest.mark.parametrize(("task", "over", "values"), TASKS, ids=str)


class Oracle:
    """Looks the answers up: it is told which batches will be asked."""

    def __init__(self, task: RecallTask, over: str, values: tuple[float, ...]) -> None:
        points = sweep(lambda inputs: torch.zeros(*inputs.shape, task.vocabulary), task, values, over)
        batches = [point.batch() for point in points]
        self.answers = {
            tuple(row): answers
            for batch in batches
            for row, answers in zip(batch.inputs.tolist(), batch.targets.clamp(min=0), strict=True)
        }
        self.vocabulary = task.vocabulary

    def __call__(self, inputs: Tensor) -> Tensor:
        answers = torch.stack([self.answers[tuple(row)] for row in inputs.tolist()])
        return SURE * nn.functional.one_hot(answers, max(self.vocabulary, 32)).float()


def guesser(seed: int) -> Callable[[Tensor], Tensor]:
    """Random logits of 32 symbols, most of which cannot be the answer."""
    numbers = generator(seed)
    return lambda inputs: torch.randn(*inputs.shape, 32, generator=numbers)


def window_copier(window: int) -> Callable[[Tensor], Tensor]:
    """Of NeedleRecall(symbols=8): the value after the last step's key, when both are among the last ``window`` steps.

    Otherwise it says 0 or 1, whichever is wrong.
    """

    def answer(symbols: list[int]) -> int:
        seen = symbols[-window:]
        *context, key = seen
        if key in context:
            return context[context.index(key) + 1]
        right = symbols[symbols.index(key) + 1]
        return int(right == 0)

    def model(inputs: Tensor) -> Tensor:
        logits = torch.zeros(*inputs.shape, 24)
        logits[torch.arange(len(inputs)), -1, torch.tensor([answer(row) for row in inputs.tolist()])] = SURE
        return logits

    return model


def fading(accuracy: Callable[[int], float]) -> Callable[[Tensor], Tensor]:
    """Of DelayedRecall: right for the first ``accuracy(delay)`` of the sequences it sees, else wrong by one."""

    def model(inputs: Tensor) -> Tensor:
        right = torch.arange(len(inputs)) < accuracy(inputs.shape[1] - 2) * len(inputs)
        answers = (inputs[:, :1] + (~right).long()[:, None]) % 4
        return SURE * nn.functional.one_hot(answers.expand_as(inputs), 6).float()

    return model


@SWEEPS
def test_an_oracle_scores_1_and_keeps_every_bit(task: RecallTask, over: str, values: tuple[float, ...]) -> None:
    curve = measure(Oracle(task, over, values), task, values, over)
    for point in curve.points:
        asked = point.task.asked_per_sequence
        assert (point.accuracy, point.standard_error, point.n) == (1, 0, 256 * asked)
        assert point.bits_kept == pytest.approx(asked * math.log2(task.answers)) == pytest.approx(point.most_bits)
        assert point.wrong.shape == (0, 2)
    assert math.isnan(curve.d50) and curve.d50_text == f"> {values[-1]}"


@SWEEPS
def test_a_guesser_scores_chance(task: RecallTask, over: str, values: tuple[float, ...]) -> None:
    for point in measure(guesser(1), task, values, over, sequences=2000, chunk=500).points:
        assert point.chance == 1 / task.answers and point.standard_error > 0
        assert abs(point.accuracy - point.chance) < 4 * point.standard_error
        assert point.bits_kept < 0, "a guess that is sure of something is worse than none"
        assert len(point.wrong) == round((1 - point.accuracy) * point.n)


@SWEEPS
def test_equal_logits_keep_0_bits(task: RecallTask, over: str, values: tuple[float, ...]) -> None:
    for point in measure(lambda inputs: torch.ones(*inputs.shape, 40), task, values, over).points:
        assert point.bits_kept == pytest.approx(0, abs=1e-12)


def test_bits_of_a_model_that_is_half_sure() -> None:
    """0.5 for the right one of 4, the rest alike: log2 4 - 1 = 1 bit of the 2."""
    right = math.log(3)  # softmax of (ln 3, 0, 0, 0) is (1/2, 1/6, 1/6, 1/6)
    point = measure(lambda x: right * nn.functional.one_hot(x[:, :1].expand_as(x), 6), DelayedRecall(symbols=4), [3])
    assert point.points[0].bits_kept == pytest.approx(1) and point.points[0].most_bits == 2


@pytest.mark.parametrize("window", [3, 8, 17, 40])
def test_a_sliding_window_finds_the_needle_iff_it_holds_it(window: int) -> None:
    depths = [step / 37 for step in range(38)]
    for point in measure(window_copier(window), NeedleRecall(length=40), depths, "depth", sequences=8).points:
        assert isinstance(point.task, NeedleRecall)
        assert point.accuracy == float(point.task.needle_step >= 40 - window)


def test_standard_error_is_over_sequences() -> None:
    """Half of the sequences all right, half all wrong: sqrt(0.25 * 100 / 99 / 100), whatever L is."""

    def model(inputs: Tensor) -> Tensor:
        shown = inputs[:, :5].roll(5, 1)
        answers = torch.cat([shown, shown], 1)
        answers[50:] = (answers[50:] + 1) % 8
        return SURE * nn.functional.one_hot(answers, 10).float()

    point = measure(model, CopyTask(length=5), [0], sequences=100, chunk=100).points[0]
    assert point.accuracy == 0.5 and point.n == 500
    assert point.standard_error == pytest.approx(math.sqrt(0.25 / 99))


# d50


def test_d50_by_hand() -> None:
    """K = 4, half-way is 0.625: of 1 at delay 10 and 0.25 at 20 it is crossed in the middle."""
    curve = measure(fading(lambda delay: 1 if delay <= 10 else 0.25), DelayedRecall(symbols=4), [0, 10, 20])
    assert curve.d50 == pytest.approx(15) and curve.d50_text == "15"


def test_d50_of_a_straight_line() -> None:
    """Accuracy 1 - d / 16 is 0.625 at d = 6, on a point or between two."""
    for delays in ([0, 6, 12], [0, 4, 12], [5, 9]):
        curve = measure(fading(lambda delay: 1 - delay / 16), DelayedRecall(symbols=4), delays, sequences=64)
        assert curve.d50 == pytest.approx(6)


@pytest.mark.parametrize(("accuracy", "text"), [(0.9, "> 20"), (0.25, "< 5")])
def test_d50_beyond_the_sweep_is_not_a_number_but_a_bound(accuracy: float, text: str) -> None:
    curve = measure(fading(lambda _: accuracy), DelayedRecall(symbols=4), [5, 20])
    assert math.isnan(curve.d50) and curve.d50_text == text


def test_d50_takes_the_first_of_two_crossings() -> None:
    points = measure(fading(lambda _: 1), DelayedRecall(symbols=4), [0, 1, 2, 3]).points
    heights = (1, 0.25, 1, 0.25)
    curve = RecallCurve("delay", tuple(replace(p, accuracy=a) for p, a in zip(points, heights, strict=True)))
    assert curve.d50 == pytest.approx(0.5)
    assert RecallCurve("delay", ()).d50_text == "not measured"


# Sweeps


def test_a_sweep_measures_a_value_when_it_is_asked_for_and_no_more() -> None:
    seen: list[int] = []

    def model(inputs: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        seen.append(inputs.shape[1])
        return torch.zeros(*inputs.shape, 10)

    points = sweep(model, DelayedRecall(), [1, 5, 9], sequences=100, chunk=40)
    assert not seen
    assert [point.value for point in itertools.islice(points, 2)] == [1, 5]
    assert seen == [3] * 3 + [7] * 3


def test_a_point_does_not_depend_on_chunks_or_other_values() -> None:
    task = NeedleRecall(distractors=2)
    alone = measure(window_copier(20), task, [0.7], "depth", chunk=7).points[0]
    among = measure(window_copier(20), task, [0.1, 0.7, 0.8], "depth").points[1]
    assert torch.equal(alone.wrong, among.wrong) and torch.equal(alone.answered, among.answered)
    assert replace(alone, wrong=among.wrong, answered=among.answered) == among


def test_wrong_answers_can_be_run_again() -> None:
    point = measure(fading(lambda _: 0.75), DelayedRecall(symbols=4), [6], sequences=128).points[0]
    batch = point.batch()
    logits = torch.cat([fading(lambda _: 0.75)(part) for part in batch.inputs.split(64)])
    expected = ((logits.argmax(-1) != batch.targets) & batch.asked).nonzero()
    assert torch.equal(point.wrong, expected) and len(expected) == 32
    assert torch.equal(point.answered, logits.argmax(-1)[tuple(expected.T)])


def test_a_sweep_can_be_followed_chunk_by_chunk() -> None:
    steps = list(sweep_steps(guesser(0), DelayedRecall(), [1, 5], sequences=100, chunk=40))
    assert [(step.value, step.sequences, step.point is not None) for step in steps] == [
        *((1, 40, False), (1, 40, False), (1, 20, True)),
        *((5, 40, False), (5, 40, False), (5, 20, True)),
    ]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (lambda x: torch.zeros(len(x), 8), r"gave torch.float32 of shape \(64, 8\) for inputs of shape \(64, 12\)"),
        (lambda x: (torch.zeros(*x.shape, 8), None), r"model_fn gave tuple for inputs of shape"),
        (lambda x: torch.zeros(*x.shape, 7), r"gave logits of 7 symbols; expected 8 or more.*has 10 symbols in all"),
        (lambda x: torch.full((*x.shape, 8), math.nan), r"logits holds nan at \(0, 0\); expected finite numbers"),
    ],
)
def test_refuses_what_are_no_logits(model: Callable[[Tensor], Any], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        measure(model, DelayedRecall(), [10])


def test_refuses_values_at_once() -> None:
    with pytest.raises(
        MeasureError, match=r"values=\[3, 1\]; expected one value or more, each larger than the one bef"
    ):
        sweep(guesser(0), DelayedRecall(), [3, 1])
    with pytest.raises(UnknownOptionError, match="AssociativeRecall has no setting 'delay'"):
        sweep(guesser(0), AssociativeRecall(), [3])
    with pytest.raises(MeasureError, match=r"pairs=9 need as many keys"):
        sweep(guesser(0), AssociativeRecall(), [1, 9], "pairs")


# A trained memory


class Recaller(nn.Module):
    """An LSTM with an embedding in front and a readout behind."""

    def __init__(self, task: RecallTask, units: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(task.vocabulary, units)
        self.lstm = nn.LSTM(units, units, batch_first=True)
        self.readout = nn.Linear(units, task.answers)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.lstm(self.embedding(inputs))[0])
        return logits


def trained(model: Recaller, task: DelayedRecall, iterations: int) -> Recaller:
    """On delays 0..20, as in the recipe of the notebooks: Adam 5e-3, 64 sequences, gradients clipped at 1."""
    optimizer, numbers = torch.optim.Adam(model.parameters(), 5e-3), generator(5)
    for iteration in range(iterations):
        batch = task.with_(delay=iteration * 7 % 21).batch(64, numbers)
        loss = nn.functional.cross_entropy(model(batch.inputs).mT, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
    return model


def test_training_tells_two_lstms_apart() -> None:
    task = DelayedRecall()
    model = Recaller(task)
    untrained = measure(model, task, [0, 5, 20])
    after = measure(trained(model, task, 600), task, [0, 5, 20])
    assert all(abs(point.accuracy - point.chance) < 0.15 and point.bits_kept < 0.3 for point in untrained.points)
    assert all(point.accuracy > 0.95 and point.bits_kept > 2.5 for point in after.points)
    assert untrained.d50_text == "< 0" and after.d50_text == "> 20"


def test_it_is_part_of_the_package() -> None:
    assert mv.analysis.recall.measure is measure
