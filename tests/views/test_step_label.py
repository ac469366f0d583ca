"""Steps with labels in the views: beside the slider, in the selection, after more were recorded."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import SelectionError
from memviz_widgets.views import StepLabel, frame_store
from memviz_widgets.views.lifecycle import widgets_below

from .loops import run_alone

Make = Callable[..., mv.ActivationExplorer]


@pytest.fixture
def cache(model: nn.Module, x: torch.Tensor) -> Iterator[mv.ActivationCache]:
    """Three steps of a training."""
    made = mv.ActivationCache()
    for step in range(3):
        made.record_step(model, x, step=f"epoch {step}")
        with torch.no_grad():
            model[0].weight.mul_(2)  # type: ignore[index]
    yield made
    made.close()


def labels_in(explorer: mv.ActivationExplorer) -> list[StepLabel]:
    return [widget for widget in widgets_below(explorer, keep=()) if isinstance(widget, StepLabel)]


def test_the_slider_of_labelled_steps_has_their_label_in_place_of_the_number(
    cache: mv.ActivationCache, make_explorer: Make
) -> None:
    explorer = make_explorer(cache)
    label = labels_in(explorer)[0]
    row = next(widget for widget in widgets_below(explorer, keep=()) if label in getattr(widget, "children", ()))
    slider = row.children[0]
    assert (slider.description, slider.max, slider.readout) == ("step", 2, False)
    assert label.selection is explorer.selection


def test_steps_without_labels_keep_their_number(model: nn.Module, x: torch.Tensor, make_explorer: Make) -> None:
    with mv.record(model) as loop:
        model(x)
        model(x)
    explorer = make_explorer(loop)
    assert explorer.selection.extent("step") == 2 and labels_in(explorer) == []


def test_the_step_can_be_chosen_by_its_label(cache: mv.ActivationCache, make_explorer: Make) -> None:
    selection = make_explorer(cache).selection
    selection.step = "epoch 2"
    assert selection.step == 2
    with pytest.raises(SelectionError, match=r"no step 'epoch 7' \(3 have labels\); nearest is 'epoch \d'"):
        selection.step = "epoch 7"
    assert selection.step == 2


def test_a_view_learns_of_the_steps_that_are_recorded_after_it(
    cache: mv.ActivationCache, model: nn.Module, x: torch.Tensor, make_explorer: Make
) -> None:
    first = make_explorer(cache)
    cache.record_step(model, x, step="end")
    assert first.selection.extent("step") == 4
    first.selection.step = "end"
    assert first.selection.record == cache.find("0", step="end").index
    first.close()
    cache.record_step(model, x, step="after")
    assert make_explorer(cache).selection.extent("step") == 5


def test_a_training_in_a_cell_is_shown_now_and_then_and_at_its_end(
    cache: mv.ActivationCache, model: nn.Module, x: torch.Tensor, make_explorer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer, seen = make_explorer(cache), []
    monkeypatch.setattr(frame_store, "LIVE_S", 3600.0)

    async def cell() -> None:
        for step in range(3, 9):
            cache.record_step(model, x, step=f"epoch {step}")
            seen.append(explorer.selection.extent("step"))
            if step == 6:
                explorer.selection.store._refreshed_s = -math.inf  # an hour later
        await asyncio.sleep(0)

    run_alone(cell())
    assert seen == [4, 4, 4, 4, 8, 8]
    assert explorer.selection.extent("step") == 9


def test_an_error_of_a_view_does_not_end_the_training(
    cache: mv.ActivationCache, model: nn.Module, x: torch.Tensor, make_explorer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = make_explorer(cache)
    monkeypatch.setattr(frame_store, "build_catalog", lambda cache: 1 / 0)
    cache.record_step(model, x, step="end")
    assert explorer.selection.store.problem == "ZeroDivisionError: division by zero"


def test_a_comparison_has_the_labels_of_its_first_cache(
    cache: mv.ActivationCache, model: nn.Module, x: torch.Tensor
) -> None:
    other = mv.ActivationCache()
    for step in range(3):
        other.record_step(model, x, step=step)
    comparison = mv.compare(cache, other)
    stores = [cursor.store for cursor in comparison._cursors]
    cache.record_step(model, x, step="end")  # which the other one does not have
    assert [store.catalog["step_labels"] for store in stores] == [
        ["epoch 0", "epoch 1", "epoch 2"], ["0", "1", "2"], ["epoch 0", "epoch 1", "epoch 2"],
    ]  # fmt: skip
    comparison.close()
