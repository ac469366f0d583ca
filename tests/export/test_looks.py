"""Looks: the record on the screen is the one that the views show while the cursor is anywhere in the model."""

from __future__ import annotations

from typing import Any

import pytest

from memviz_widgets.export.looks import Look

PATHS = ["embed", "a.attention", "a.linear", "a", "b.attention", "b", ""]
ATTENTION = (1, 4)


def catalog(**layers: list[list[int]]) -> Any:
    found = [{"path": path, "records": layers.get(f"at{place}", [[place]])} for place, path in enumerate(PATHS)]
    return {"layers": found, "records": []}


@pytest.mark.parametrize(
    ("selected", "shown"),
    [
        (0, 1),  # the next
        (1, 1),  # itself
        (2, 4),  # beside a.attention, but not around it: the next
        (3, 1),  # the one inside
        (5, 4),
        (6, 4),  # the model is around everything: the last
        (99, 1),
    ],
)
def test_the_layer_that_stands_for_the_selected_one(selected: int, shown: int) -> None:
    assert Look({"layer": selected}, ATTENTION, ("frame",), 1).record(catalog()) == shown


def test_parts_of_a_memory_stand_for_themselves_and_its_content_for_others() -> None:
    look = Look({"layer": 0}, (1, 2, 4), ("time",), 1, anchors=(2,))
    assert look.record(catalog()) == 2
    assert Look({**look.indices, "layer": 1}, look.layers, look.kinds, 1, look.anchors).record(catalog()) == 1


def test_without_layers_there_is_no_record() -> None:
    assert Look({}, (), ("frame",), 1).record(catalog()) == -1
    assert Look({}, (), ("frame",), 1).picture(catalog()) == []


@pytest.mark.parametrize(("step", "call", "record"), [(0, 0, 10), (1, 0, 10), (2, 0, 20), (2, 5, 21), (3, 0, 20)])
def test_the_nearest_step_in_which_the_layer_ran(step: int, call: int, record: int) -> None:
    steps = catalog(at0=[[10], [], [20, 21], []])
    assert Look({"layer": 0, "step": step, "call": call}, (0,), ("frame",), 1).record(steps) == record


def test_records_that_are_reached_are_counted_once() -> None:
    joined = catalog(at0=[[10], [10], [11]])
    assert Look({}, (0, 1), ("frame",), 1).records(joined) == [10, 11, 1]
