"""HealthReport without a browser: its rows, the places they lead to, what was not read, errors, closing."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from traitlets import TraitError

import memviz_widgets as mv
from memviz_widgets.analysis import health
from memviz_widgets.errors import ClosedError, ForwardError, SelectionError, SourceError, UnknownOptionError
from memviz_widgets.export.picture_parts import TablePart
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.health_rows import RecordPlaces, number_text
from memviz_widgets.views.health_report import READ_ON_DEMAND
from memviz_widgets.views.picture_boards import health_board

from ..analysis.test_health_planting import at, noise, perceptron
from ..faulty_model import DEAD, HEAD, KEY, SICK, SLOT, TWINS, Faulty, faulty_input
from .loops import run_alone

Make = Callable[..., mv.HealthReport]


@pytest.fixture
def make() -> Iterator[Make]:
    """``make(source, x)`` without gradients; closed after the test."""
    made: list[mv.HealthReport] = []

    def start(*source: Any, **options: Any) -> mv.HealthReport:
        with torch.no_grad():
            made.append(mv.HealthReport(*source, **options))
        return made[-1]

    yield start
    for view in made:
        view.close()


def ask(view: mv.HealthReport, **content: Any) -> None:
    """What the browser's button sends, until the kernel has done it."""

    async def press() -> None:
        view.table._handle_custom_msg(content or {"type": READ_ON_DEMAND}, [])
        while view.table.reading:
            await asyncio.sleep(0)

    run_alone(press())


def sick_perceptron() -> nn.Sequential:
    """Unit 4 of layer 1 is dead, layer 2 makes NaN in channel 5."""
    model = perceptron()
    with torch.no_grad():
        at(model, "0").bias[4] = -100.0
        at(model, "2").weight[5, 0] = math.nan
    return model


def test_each_planted_fault_is_a_row_with_its_place(make: Make) -> None:
    view = make(Faulty(planted=True), faulty_input())
    rows = {row["kind"]: (row["place"]["label"], row["axis"], tuple(row["places"]), row["at"]) for row in view.rows}
    assert rows == {
        "non-finite": ("head", "channel", (SICK,), {"sample": 0, "time": 0}),
        "dead units": ("relu", "channel", DEAD, {}),
        "saturated gate": ("rnn[l0] gate.f", "", (), {}),
        "collapsed head": ("attend attention", "head", (HEAD,), {"sample": 0, "key": KEY}),
        "unused slots": ("slots.ntm.memory write_weights", "slot", (SLOT,), {}),
        "duplicated channels": ("mixed", "channel", TWINS, {}),
    }
    assert len(view.rows) == 6 and view.rows[0]["severity"] == "error"
    assert view.table.headline == "1 error and 5 warnings in 33 layers"
    assert view.table.advice.startswith("Look first at head (non-finite): NaN and Inf spread to all")


def test_the_healthy_twin_has_no_row_and_says_that_this_is_no_proof(make: Make) -> None:
    view = make(Faulty(planted=False), faulty_input())
    assert (view.rows, view.table.advice, view.table.first) == ([], "", -1)
    assert view.table.headline == "Nothing found in 33 layers. This is no proof that nothing is wrong."
    assert [check["kind"] for check in view.table.checks] == list(health.KINDS)


def test_the_value_stands_against_its_bound_in_words(make: Make) -> None:
    view = make(Faulty(planted=True), faulty_input())
    said = {row["kind"]: (row["value"], row["measure"], row["bound"], row["n"]) for row in view.rows}
    assert said["non-finite"] == ("320", "NaN or Inf", "exactly 0", "2,560 values")  # 4 samples * 80 steps * (1 of 8)
    assert said["dead units"] == ("0 %", "of positions where it fires", "more than 0 %", "320 positions")
    assert said["saturated gate"] == ("100 %", "of values at an end", "at most 95 %", "5,120 values")
    assert said["unused slots"] == ("0 %", "of all weight", "at least 0.143 %", "320 weightings")  # 1 % of 1 / 7


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [
        (1024, "count", "1,024"),
        (0.98512, "share", "98.5 %"),
        (32752.0, "number", "32,752"),
        (1e-4, "number", "0.0001"),
        (1.69e38, "number", "1.69e+38"),
    ],
)
def test_numbers_as_people_read_them(number: float, form: str, text: str) -> None:
    assert number_text(number, form) == text


def test_rows_are_plain_json(make: Make) -> None:
    view = make(Faulty(planted=True), faulty_input())
    table = view.table
    for data in (table.rows, table.checks, table.unread):
        assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_alone_it_starts_where_to_look_first(make: Make) -> None:
    view = make(sick_perceptron(), noise(512, 16))
    selection = view.selection
    assert (selection.path, selection.channel, selection.sample) == ("2", 5, 0)
    assert view.rows[0]["before"] == {"layer": 1, "step": 0, "call": 0, "label": "1", "when": ""}


def test_beside_other_views_it_does_not_move_them(make: Make) -> None:
    with torch.no_grad():
        cache = mv.ActivationCache.capture(Faulty(planted=True), faulty_input())
    other = mv.ActivationExplorer(cache)
    other.selection.layer = "mixed"
    view = make(cache)
    assert view.selection is other.selection and view.selection.path == "mixed"
    alone = make(cache, link=False)
    alone.look_at(1)
    assert (alone.selection.path, view.selection.path) == ("relu", "mixed")
    other.close()


def test_look_at_goes_to_a_row_and_to_each_of_its_places(make: Make) -> None:
    view = make(Faulty(planted=True), faulty_input())
    kinds = [row["kind"] for row in view.rows]
    view.look_at(kinds.index("dead units"), place=6)
    assert (view.selection.path, view.selection.channel) == ("relu", 63)
    view.look_at(kinds.index("collapsed head"))
    assert (view.selection.path, view.selection.head, view.selection.key) == ("attend attention", HEAD, KEY)


def test_look_at_refuses_what_is_not_there(make: Make) -> None:
    view = make(Faulty(planted=True), faulty_input())
    with pytest.raises(SelectionError, match="no row 6; the report has 6, counted from 0"):
        view.look_at(6)
    with pytest.raises(SelectionError, match="no place 7 in the row; it names 7"):
        view.look_at(1, place=7)


class Twice(nn.Module):
    """The same layer in a loop; NaN from the third call on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for turn in range(4):
            x = self.layer(x / (0.0 * x) if turn == 2 else x)
        return x


def test_a_row_says_step_and_call(make: Make) -> None:
    model = Twice()
    with torch.no_grad(), mv.record(model) as cache:
        model(torch.full((2, 4), math.nan))
        model(torch.ones(2, 4))
    first = make(cache).rows[0]["place"]
    assert (first["label"], first["step"], first["call"]) == ("layer", 0, 0)
    with torch.no_grad():
        single = mv.ActivationCache.capture(model, torch.ones(2, 4))
    view = make(single)
    assert view.rows[0]["place"] == {"layer": 0, "step": 0, "call": 2, "label": "layer", "when": ""}
    assert (view.selection.call, view.selection.record) == (2, 2)


def test_a_row_says_when_by_the_label_of_the_step_or_its_number(make: Make) -> None:
    model, lapse = nn.Sequential(nn.Linear(4, 4)), mv.ActivationCache()
    inputs = torch.ones(2, 4), torch.full((2, 4), math.nan)
    with torch.no_grad(), mv.record(model) as loop:
        for x in inputs:
            model(x)
    with torch.no_grad():
        for number, x in enumerate(inputs):
            lapse.record_step(model, x, step=f"epoch {number}")
    views = make(loop), make(lapse)
    assert [view.rows[0]["place"]["step"] for view in views] == [1, 1]
    assert [view.rows[0]["place"]["when"] for view in views] == ["step 1", "epoch 1"]
    tables = [health_board(view.table).rows[0][0] for view in views]
    assert [table.rows[0][1][0] for table in tables if isinstance(table, TablePart)] == ["0, step 1", "0, epoch 1"]
    lapse.close()


class Leaky(nn.Module):
    """Keeps a state from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x:
            state = self.cell(step, state)
        assert state is not None
        return state[0]


def test_records_that_are_joined_over_time_lead_to_the_layer_that_joins_them(make: Make) -> None:
    with torch.no_grad():
        cache = mv.ActivationCache.capture(Leaky(), torch.randn(5, 2, 3))
    joined = next(record for record in cache.records if record.parts and record.kind == "gate.f")
    catalog = build_catalog(cache)
    places = RecordPlaces(cache.records, catalog)
    found = {places.of(index)["layer"] for index in (*joined.parts, joined.index)}
    assert [catalog["layers"][layer]["label"] for layer in found] == [joined.label]


def test_without_an_error_the_first_fault_in_order_is_looked_at_first(make: Make) -> None:
    model = nn.Sequential(perceptron(), nn.Linear(5, 6), nn.Linear(6, 4))
    with torch.no_grad():
        at(model, "0.2").bias[:3] = -1000.0  # dead after layer 0.3
        at(model, "1").weight.zero_()  # constant: worse in the list of kinds, later in the order
    view = make(model, noise(512, 16))
    assert [row["kind"] for row in view.rows] == ["constant", "dead units"]
    assert view.table.first == 1
    assert view.table.advice == (
        "Look first at 0.3 (dead units): it comes first in the order of execution, so what is found after it "
        "may follow from it."
    )


def test_what_is_not_held_is_listed_and_read_when_asked(make: Make) -> None:
    model = perceptron()
    with torch.no_grad():
        at(model, "0").bias[4] = -100.0
    view = make(model, noise(512, 16), budget="64 KiB")
    unread = view.table.unread
    assert view.rows == [] and unread[0]["reason"] == "not held" and view.table.to_read == len(view.report.unread) > 0
    assert unread[0]["count"] == len(view.report.unread) and unread[0]["places"][0]["label"] == "0"
    assert f"6 layers; {len(view.report.unread)} records not read. This is no proof" in view.table.headline
    ask(view)
    assert [row["kind"] for row in view.rows] == ["dead units"]
    assert (view.table.unread, view.table.to_read, view.table.reading) == ([], 0, False)
    again = make(view.cache, on_demand=True)
    assert again.rows == view.rows and again.table.to_read == 0


def test_what_is_not_held_is_read_place_by_place_while_others_have_their_turn(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memviz_widgets.views.slices.SLICE_S", 0.0)
    view = make(perceptron(), noise(512, 16), budget="64 KiB")
    wanted, seen = view.table.to_read, set()

    async def press() -> None:
        view.table._handle_custom_msg({"type": READ_ON_DEMAND}, [])
        view.table._handle_custom_msg({"type": READ_ON_DEMAND}, [])  # a second press changes nothing
        while view.table.reading:
            seen.add(view.table.read)
            await asyncio.sleep(0)

    run_alone(press())
    assert seen == set(range(wanted + 1)) and wanted > 2
    assert view.table.to_read == 0


def test_closing_while_it_reads_ends_the_reading(make: Make) -> None:
    view = make(perceptron(), noise(512, 16), budget="64 KiB")

    async def press_and_close() -> bool:
        view.table._handle_custom_msg({"type": READ_ON_DEMAND}, [])
        task = view._task
        view.close()
        await asyncio.sleep(0)
        return task is not None and task.cancelled()

    assert run_alone(press_and_close())


def test_without_an_event_loop_it_is_read_at_once(make: Make) -> None:
    view = make(perceptron(), noise(512, 16), budget="64 KiB")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(view.table._handle_custom_msg, {"type": READ_ON_DEMAND}, []).result()
    assert (view.table.to_read, view.table.reading) == (0, False)


def test_an_error_while_reading_is_shown_under_the_view(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    view = make(perceptron(), noise(64, 16))
    ask(view, type="something else")
    assert view.selection.store.problem == ""

    def fail(*args: Any, **options: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(health, "report_steps", fail)
    ask(view)
    assert view.selection.store.problem == "OSError: disk full" and not view.table.reading


def test_a_cache_that_was_closed_keeps_its_findings(make: Make) -> None:
    view = make(sick_perceptron(), noise(512, 16))
    view.cache.close()
    ask(view)
    assert view.selection.store.problem.startswith("ClosedError: the cache was closed and its values are gone")
    assert [row["kind"] for row in view.rows] == ["non-finite", "dead units"]


def test_errors_say_what_to_do(make: Make) -> None:
    with pytest.raises(SourceError, match=r"HealthReport\(model, x\)"):
        make(3)
    with pytest.raises(UnknownOptionError, match="nearest is 'tokens'"):
        make(nn.GRU(3, 4), torch.ones(2, 3), token=[])
    with pytest.raises(ForwardError) as failure:
        make(perceptron(), torch.ones(2, 5))
    cut_off = make(failure.value.cache)
    assert cut_off.table.headline == "Nothing was recorded, so nothing was checked."
    cut_off.cache.close()
    with pytest.raises(ClosedError):
        make(cut_off.cache)


def test_closing_leaves_the_cache_and_answers_no_more(make: Make) -> None:
    view = make(sick_perceptron(), noise(64, 16))
    cache, table = view.cache, view.table
    view.close()
    view.close()
    assert not cache.closed and table._msg_callbacks.callbacks == []
    assert repr(view) == "HealthReport(closed)"
    with pytest.raises(ClosedError):
        view.look_at(0)


def test_repr_is_one_line(make: Make) -> None:
    assert repr(make(perceptron(), noise(64, 16))).startswith("HealthReport(Nothing found in 6 layers.")


def test_severities_are_those_that_exist(make: Make) -> None:
    table = make(perceptron(), noise(64, 16)).table
    with pytest.raises(TraitError, match="severities"):
        table.severities = ["fatal"]
