"""mv.record: the user's own loop becomes steps, and misuse is told at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import memviz_widgets as mv
from memviz_widgets.errors import LayersError, RecordingError
from tests.capture.recording import hook_entries


@pytest.fixture
def model() -> Iterator[nn.Module]:
    """A small model on which no recording is left."""
    made = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    before = hook_entries(made)
    yield made
    assert hook_entries(made) == before


def test_each_outermost_call_is_a_step(model: nn.Module) -> None:
    inputs = torch.randn(4, 2, 3)
    with mv.record(model) as cache:
        outputs = [model(x) for x in inputs]
    assert [record.step for record in cache.records if record.path == ""] == [0, 1, 2, 3]
    assert all(torch.equal(cache.get("", step=step), outputs[step]) for step in range(4))


def test_a_loop_over_a_part_gives_calls() -> None:
    cell, x = nn.ModuleDict({"cell": nn.GRUCell(3, 4)}), torch.randn(5, 1, 3)
    with mv.record(cell) as cache:
        h = torch.zeros(1, 4)
        for t in range(5):
            h = cell["cell"](x[t], h)
    assert [(record.step, record.call) for record in cache.records if not record.memory] == [
        (0, call) for call in range(5)
    ]
    assert torch.equal(cache.get("cell", call=4), h)


def test_training_goes_on_and_its_effects_stay(model: nn.Module) -> None:
    optimiser, before = torch.optim.SGD(model.parameters(), lr=0.1), [p.clone() for p in model.parameters()]
    with mv.record(model) as cache:
        for _ in range(2):
            model(torch.ones(1, 3)).sum().backward()
            optimiser.step()
    assert not any(torch.equal(now, old) for now, old in zip(model.parameters(), before, strict=True))
    assert not torch.equal(cache.get("", step=0), cache.get("", step=1))


def test_start_and_stop_in_different_cells(model: nn.Module) -> None:
    cache = mv.record(model)
    cache.start()
    first = model(torch.ones(1, 3))
    assert repr(cache) == "<Recording: started>"
    cache.stop()
    model(torch.zeros(1, 3))
    assert cache.recording is False
    assert len(cache.records) == 3 and torch.equal(cache[""], first)


def test_an_exception_of_the_loop_is_the_users_and_records_stay(model: nn.Module) -> None:
    cache = mv.record(model)

    def loop() -> None:
        with cache:
            model(torch.ones(1, 3))
            raise ZeroDivisionError("of the user's")

    with pytest.raises(ZeroDivisionError, match="of the user's"):
        loop()
    assert len(cache.records) == 3


def test_recordings_of_one_model_do_not_nest(model: nn.Module) -> None:
    with (
        mv.record(model),
        pytest.raises(RecordingError, match="this Sequential is being recorded already; end that recording first"),
        mv.record(model),
    ):
        pass


def test_a_recording_is_used_once(model: nn.Module) -> None:
    with mv.record(model) as cache:
        model(torch.ones(1, 3))
        with pytest.raises(RecordingError, match="started already"):
            cache.start()
    with pytest.raises(RecordingError, match=r"has ended and cannot be used again; make a new mv.record\(model\)"):
        cache.start()
    with pytest.raises(RecordingError, match="has ended already"):
        cache.stop()


def test_nothing_is_stopped_before_it_started(model: nn.Module) -> None:
    with pytest.raises(RecordingError, match="was not started; call cache"):
        mv.record(model).stop()


def test_values_wait_for_the_end(model: nn.Module) -> None:
    with mv.record(model) as cache:
        model(torch.ones(1, 3))
        with pytest.raises(RecordingError, match=r"still recording; call cache.stop\(\) first"):
            cache.get("0")


def test_arguments_are_checked_before_the_loop(model: nn.Module) -> None:
    with pytest.raises(LayersError, match="no module matches 'conv'"):
        mv.record(model, layers=["conv"])


def test_two_recordings_of_two_models_end_in_any_order(model: nn.Module) -> None:
    other = nn.Linear(3, 3)
    first, second = mv.record(model).start(), mv.record(other).start()
    other(model(torch.ones(1, 3)))
    first.stop()
    other(torch.ones(1, 3))
    second.stop()
    assert len(first.records) == 3 and len(second.records) == 2
    assert not hook_entries(other)[0][2]


def test_compiled_code_runs_again_after_recordings_that_ended_crosswise(model: nn.Module) -> None:
    compiled: Any = torch.compile(nn.Linear(3, 3), backend="eager")
    compiled(torch.ones(1, 3))
    stance = torch._dynamo.eval_frame._stance.stance
    first, second = mv.record(model).start(), mv.record(compiled).start()
    first.stop()
    assert torch._dynamo.eval_frame._stance.stance == "force_eager"
    second.stop()
    assert torch._dynamo.eval_frame._stance.stance == stance == "default"


def test_a_step_over_the_budget_is_run_again_alone(model: nn.Module) -> None:
    inputs = torch.randn(5, 2, 3)
    with mv.record(model, budget="200 B") as cache:
        outputs = [model(x) for x in inputs]
    assert not cache.find("", step=4).kept
    assert torch.equal(cache.get("", step=4), outputs[4])


def test_recomputation_in_backward_is_no_step() -> None:
    class Checked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = checkpoint(self.part, x, use_reentrant=False)
            return out

    model = Checked()
    with mv.record(model) as cache:
        model(torch.ones(1, 3)).sum().backward()
    assert [record.path for record in cache.records] == ["part", ""]


def test_an_interrupted_call_does_not_swallow_the_next(model: nn.Module) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    cache = mv.record(model).start()
    handle = model[1].register_forward_pre_hook(interrupt)  # type: ignore[index]
    with pytest.raises(KeyboardInterrupt):
        model(torch.ones(1, 3))
    handle.remove()
    out = model(torch.ones(1, 3))
    cache.stop()
    assert torch.equal(cache.get("", step=1), out)
    assert [(record.path, record.step) for record in cache.records] == [("0", 0), ("0", 1), ("1", 1), ("", 1)]
