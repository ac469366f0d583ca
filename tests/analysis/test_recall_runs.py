"""Runs of a recall lab: their order, points that fail, factories, and models that come back as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from memviz_widgets.analysis.recall import AssociativeRecall, DelayedRecall, RecallTask
from memviz_widgets.analysis.recall_runs import RecallJob, RecallRuns, named_models
from memviz_widgets.errors import ForwardError, MeasureError, SourceError, UnknownOptionError

from ..recall_models import Breaks, LooksBack

TASK = DelayedRecall(delay=3)
DELAYS = {"delay": [0, 2, 6]}


def measured(*args: Any, **options: Any) -> RecallRuns:
    runs = RecallRuns(*args, **options)
    while runs.job is not None:
        runs.advance()
    return runs


def accuracies(runs: RecallRuns, name: str = "LooksBack", over: str = "delay") -> list[float]:
    return [point.accuracy for point in runs.curve(name, over).points]


def test_a_model_that_looks_back_four_steps_recalls_up_to_delay_three() -> None:
    runs = measured(LooksBack(4), TASK, {"delay": [2, 3, 4]}, sequences=400)
    assert accuracies(runs)[:2] == [1.0, 1.0]
    assert accuracies(runs)[2] == pytest.approx(1 / 8, abs=0.06)


def test_one_chunk_at_a_time() -> None:
    runs = RecallRuns(LooksBack(99), TASK, DELAYS, sequences=10, chunk=4)
    assert runs.total == 9
    assert [runs.advance() is None for _ in range(3)] == [True, True, False]
    assert (runs.done, runs.job) == (3, RecallJob("LooksBack", "delay", 2))


def test_models_take_turns_at_each_value() -> None:
    runs = RecallRuns({"a": LooksBack(1), "b": LooksBack(2)}, TASK, DELAYS)
    assert [job.text for job in runs.jobs][:3] == ["a at delay 0", "b at delay 0", "a at delay 2"]


def test_chunks_do_not_change_the_points() -> None:
    small, large = (measured(LooksBack(4), TASK, DELAYS, sequences=30, chunk=chunk) for chunk in (7, 64))
    assert accuracies(small) == accuracies(large)


@pytest.fixture
def training() -> Iterator[LooksBack]:
    model = LooksBack(4).train()
    model.drop.eval()
    model.scale.grad = torch.tensor(3.0)
    yield model
    model.scale.grad = None


def test_a_model_comes_back_as_it_was_after_every_chunk(training: LooksBack) -> None:
    torch.manual_seed(5)
    random.seed(5)
    before = torch.get_rng_state()
    training.drop.train()
    runs = RecallRuns(training, TASK, DELAYS, sequences=8, chunk=4)
    grad = training.scale.grad
    while runs.job is not None:
        runs.advance()
        assert training.training and training.drop.training
        assert int(training.seen) == 0 and training.scale.grad is grad
        assert torch.equal(torch.get_rng_state(), before)
    assert accuracies(runs)[0] == 1.0  # in training mode dropout would leave nothing


def test_a_model_that_raises_comes_back_too() -> None:
    model = Breaks(99).train()
    runs = measured(model, TASK, DELAYS)
    assert model.training and model.drop.training and int(model.seen) == 0
    assert list(runs.errors) == [RecallJob("Breaks", "delay", 6)]


def test_what_fails_is_left_out_and_the_rest_is_measured() -> None:
    runs = measured({"a": Breaks(99), "b": LooksBack(99)}, TASK, DELAYS)
    error = runs.errors[RecallJob("a", "delay", 6)]
    assert isinstance(error, ForwardError) and isinstance(error.__cause__, RuntimeError)
    assert str(error) == "a at delay 6: RuntimeError: too long for me"
    assert (len(runs.points), runs.done) == (5, runs.total)
    runs.retry()
    assert (runs.job, runs.done) == (RecallJob("a", "delay", 6), runs.total - 4)


def test_an_interrupt_leaves_the_point_to_be_measured_anew() -> None:
    class Interrupted(LooksBack):
        times = 0

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            Interrupted.times += 1
            if Interrupted.times == 2:
                raise KeyboardInterrupt
            return super().forward(inputs)

    runs = RecallRuns(Interrupted(99), TASK, {"delay": [1]}, sequences=8, chunk=4)
    runs.advance()
    with pytest.raises(KeyboardInterrupt):
        runs.advance()
    assert runs.done == 0
    while runs.job is not None:
        runs.advance()
    assert (runs.done, accuracies(runs, "Interrupted")) == (2, [1.0])


def test_a_factory_is_called_once_per_point_with_the_settings_of_it() -> None:
    asked: list[RecallTask] = []

    def make(task: RecallTask) -> nn.Module:
        asked.append(task)
        return LooksBack(task.steps)

    runs = measured(make, TASK, DELAYS)
    assert [task.delay for task in asked if isinstance(task, DelayedRecall)] == [0, 2, 6]
    assert accuracies(runs, "make") == [1.0, 1.0, 1.0]
    assert runs.model(RecallJob("make", "delay", 2)).get_parameter("scale").numel() == 1 and len(asked) == 3


def test_what_a_factory_gives_must_be_a_model() -> None:
    runs = measured(lambda task: 3, TASK, DELAYS)
    error = runs.errors[RecallJob("model 1", "delay", 0)]
    assert str(error) == "the factory 'model 1' gave a int; expected an nn.Module."


@pytest.mark.parametrize("wrap", [lambda out: (out, None), lambda out: type("Out", (), {"logits": out})()])
def test_logits_are_found_in_what_a_model_returns(wrap: Any) -> None:
    model = LooksBack(99)
    runs = measured(model, TASK, DELAYS, call=lambda called, symbols: wrap(called(symbols)))
    assert accuracies(runs) == [1.0, 1.0, 1.0]


def test_what_is_no_logits_is_an_error_of_the_point() -> None:
    runs = measured(nn.Flatten(), TASK, {"delay": [1]})
    error = runs.errors[RecallJob("Flatten", "delay", 1)]
    assert isinstance(error, MeasureError) and "expected logits of shape" in str(error)


def test_the_usual_setting_is_swept_by_itself() -> None:
    runs = RecallRuns(LooksBack(1), TASK)
    assert runs.values == {"delay": (0, 1, 2, 5, 10, 20, 40)}
    assert list(RecallRuns(LooksBack(1), DelayedRecall(), ["delay", "distractors"]).values) == ["delay", "distractors"]
    assert RecallRuns(LooksBack(1), AssociativeRecall(), "pairs").values == {"pairs": (1, 2, 4, 8)}


def test_a_setting_that_is_not_usual_is_taken_by_name() -> None:
    assert RecallRuns(LooksBack(1), TASK, "symbols").values == {"symbols": (8,)}


def test_settings_and_values_that_do_not_fit_are_refused_at_once() -> None:
    with pytest.raises(UnknownOptionError, match="DelayedRecall has no setting 'dely'; nearest is 'delay'"):
        RecallRuns(LooksBack(1), TASK, "dely")
    with pytest.raises(MeasureError, match="each larger than the one before"):
        RecallRuns(LooksBack(1), TASK, {"delay": [5, 2]})
    with pytest.raises(MeasureError, match="delay"):
        RecallRuns(LooksBack(1), TASK, {"delay": [-1]})
    with pytest.raises(SourceError, match="sweep names no setting"):
        RecallRuns(LooksBack(1), TASK, {})


def test_names_are_those_of_classes_numbered_where_they_repeat() -> None:
    def made(task: RecallTask) -> nn.Module:
        return LooksBack(task.steps)

    assert list(named_models([LooksBack(1), nn.Identity(), LooksBack(2), made])) == [
        "LooksBack 1",
        "Identity",
        "LooksBack 3",
        "made",
    ]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "0 models; expected 1 to 6"),
        ([LooksBack(1)] * 7, "7 models; expected 1 to 6"),
        (3, r"model 'model 1' is a int; expected an nn\.Module, or a function that makes one from a task"),
        ({"a": LooksBack}, "model 'a' is the class LooksBack"),
    ],
)
def test_what_is_no_model_is_refused(models: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        named_models(models)


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(SourceError, match="task is a str; expected a recall task"):
        RecallRuns(LooksBack(1), "copy")  # type: ignore[arg-type]
