"""RecallLab: points as they come, stopping and going on, what is shown of a run that failed, and closing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from ipywidgets import Widget
from PIL import Image
from torch import nn

import memviz_widgets as mv
from memviz_widgets import zoo
from memviz_widgets.analysis.recall import AssociativeRecall, DelayedRecall
from memviz_widgets.errors import ClosedError, ForwardError, SelectionError, SourceError, UnknownOptionError
from memviz_widgets.export.picture_parts import CurvesPart, TablePart

from ..recall_models import Breaks, LooksBack
from .loops import run_alone

Make = Callable[..., mv.RecallLab]
TASK = DelayedRecall(delay=3)
SWEEP = {"delay": [0, 2, 6]}
PAIRS = AssociativeRecall(pairs=2, symbols=4)


@pytest.fixture
def make_lab() -> Iterator[Make]:
    """``make_lab(models, task)``; closed after the test."""
    made: list[mv.RecallLab] = []

    def make(models: Any = None, task: Any = TASK, **options: Any) -> mv.RecallLab:
        options = {"sweep": SWEEP, "n": 32, "chunk": 8, **options}
        made.append(mv.RecallLab(LooksBack(4) if models is None else models, task, **options))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


def dots(lab: mv.RecallLab, setting: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.curves.curves[setting]["dots"]
    return found


def ask(lab: mv.RecallLab, value: float, model: int = 0, over: str = "delay") -> None:
    """What the browser sends for a click on a point."""
    lab.curves._handle_custom_msg({"type": "open", "model": model, "over": over, "value": value}, [])


def test_run_measures_every_point(make_lab: Make) -> None:
    lab = make_lab().run(progress=False)
    assert [(dot["value"], dot["accuracy"] == 1.0, dot["n"]) for dot in dots(lab)] == [
        (0.0, True, 32),
        (2.0, True, 32),
        (6.0, False, 32),
    ]
    assert (lab.controls.state, lab.controls.share, lab.controls.done) == ("done", 1000, 3)
    assert repr(lab) == "RecallLab(LooksBack: 3 of 3 points)"
    json.dumps(lab.curves.curves, allow_nan=False)


def test_nothing_is_measured_before_it_is_asked_for(make_lab: Make) -> None:
    lab = make_lab()
    assert (lab.controls.state, lab.controls.total, dots(lab)) == ("ready", 3, [])
    assert lab.curves.curves[0]["rows"][0]["d50"] == "not measured"


def test_the_interval_of_a_point_holds_its_accuracy(make_lab: Make) -> None:
    all_right, _, some = dots(make_lab().run(progress=False))
    assert (all_right["low"], all_right["high"]) == (1 - 3 / 32, 1.0)  # the rule of three
    half = 1.96 * (some["accuracy"] * (1 - some["accuracy"]) / 31) ** 0.5  # answers are right or wrong: binomial
    assert some["high"] - some["accuracy"] == pytest.approx(half)


def test_d50_and_state_are_those_of_the_largest_value(make_lab: Make) -> None:
    lab = make_lab({"lstm": zoo.RecallLSTM(TASK.vocabulary, 8, width=5)}).run(progress=False)
    row = lab.curves.curves[0]["rows"][0]
    assert (row["value"], row["n"], row["elements"], row["held_bytes"]) == (6.0, 32, 10, 40)  # h and c of 5 float32
    assert row["d50"] == lab.curve("lstm").d50_text


def test_the_state_of_attention_grows_with_the_sequence(make_lab: Make) -> None:
    model = zoo.RecallTransformer(PAIRS.vocabulary, 4, width=6, layers=2)
    lab = make_lab(model, PAIRS, sweep={"pairs": [1, 3]}).run(progress=False)
    row = lab.curves.curves[0]["rows"][0]
    assert row["elements"] == 2 * 2 * 9 * 6  # layers, keys and values, steps, width
    assert row["state_note"] == "keys and values of 9 steps: it grows with the sequence"


def test_a_model_without_memory_has_no_state_size(make_lab: Make) -> None:
    row = make_lab().run(progress=False).curves.curves[0]["rows"][0]
    assert (row["elements"], row["state_note"]) == (None, "not known: no memory was found")


def test_a_model_that_raises_is_shown_with_its_setting_and_raised(make_lab: Make) -> None:
    lab = make_lab({"a": Breaks(99), "b": LooksBack(99)})
    with pytest.raises(ForwardError, match="a at delay 6: RuntimeError: too long for me") as caught:
        lab.run(progress=False)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert lab.controls.problem == "a at delay 6: RuntimeError: too long for me"
    assert (lab.controls.state, lab.controls.failed, len(dots(lab))) == ("done", 1, 6)
    assert [dot["accuracy"] for dot in dots(lab) if not dot["error"]] == [1.0] * 5


def test_the_model_is_as_it_was(make_lab: Make) -> None:
    model = LooksBack(4).train()
    before = torch.get_rng_state()
    lab = make_lab(model).run(progress=False)
    lab.failure()
    assert model.training and model.drop.training and int(model.seen) == 0
    assert torch.equal(torch.get_rng_state(), before) and model.scale.grad is None


# In the background


def test_the_button_measures_while_others_have_their_turn(make_lab: Make) -> None:
    lab = make_lab(n=400, chunk=1)

    async def press_and_wait() -> int:
        turns = 0
        lab.controls._handle_custom_msg({"type": "run"}, [])
        assert lab.controls.state == "running"
        while lab.running:
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert run_alone(press_and_wait()) > 3
    assert (lab.controls.state, len(dots(lab))) == ("done", 3)


def test_stop_stops_and_run_goes_on_from_there(make_lab: Make) -> None:
    lab, whole = make_lab(n=400, chunk=1), make_lab(n=400).run(progress=False)

    async def stop_soon() -> None:
        lab.start()
        await asyncio.sleep(0.02)
        lab.controls._handle_custom_msg({"type": "stop"}, [])
        await asyncio.sleep(0.02)

    run_alone(stop_soon())
    assert (lab.controls.state, lab.running) == ("stopped", False)
    assert 0 < lab.controls.share < 1000
    lab.run(progress=False)
    assert [dot["accuracy"] for dot in dots(lab)] == [dot["accuracy"] for dot in dots(whole)]


def test_failed_points_are_tried_again(make_lab: Make) -> None:
    model = Breaks(99)
    lab = make_lab(model)

    async def press() -> None:
        lab.start()
        while lab.running:
            await asyncio.sleep(0)

    run_alone(press())
    assert (lab.controls.state, lab.controls.failed) == ("done", 1)
    model.forward = lambda inputs: LooksBack.forward(model, inputs)  # type: ignore[method-assign]
    run_alone(press())
    assert (lab.controls.failed, lab.controls.problem, dots(lab)[2]["accuracy"]) == (0, "", 1.0)


def test_start_needs_a_loop(make_lab: Make) -> None:
    lab = make_lab()
    with ThreadPoolExecutor(1) as thread, pytest.raises(SelectionError, match="no event loop runs here, as one does"):
        thread.submit(lab.start).result()


# A run that failed


def test_a_click_opens_the_first_run_that_failed(make_lab: Make) -> None:
    torch.manual_seed(0)
    lab = make_lab([LooksBack(99), zoo.RecallLSTM(TASK.vocabulary, 8, width=5)]).run(progress=False)
    ask(lab, 6.0, model=1)
    shown = lab.curves.failure
    assert isinstance(lab.explorer, mv.MemoryExplorer) and lab.children[-1] is lab.explorer
    assert (shown["model"], shown["value"], shown["written"], shown["asked"]) == (1, 6.0, 0, 7)
    assert lab.explorer.selection.time == 7
    assert shown["symbols"][1:] == ["_"] * 6 + ["?"] and shown["right"] == shown["symbols"][0] != shown["answered"]
    assert shown["verdict"] in ("decayed", "overwritten", "none of the four")
    assert shown["sentences"][0].startswith(f"lstm l0: {shown['verdict']}")
    json.dumps(shown, allow_nan=False)


def test_a_second_run_takes_the_place_of_the_first(make_lab: Make) -> None:
    lab = make_lab(zoo.RecallLSTM(TASK.vocabulary, 8, width=5)).run(progress=False)
    lab.failure(value=2)
    first, count = lab.explorer, len(lab.children)
    lab.failure(value=6)
    assert len(lab.children) == count and lab.explorer is not first
    assert repr(first) == "MemoryExplorer(closed)"


def test_the_failed_run_is_the_sequence_that_was_measured(make_lab: Make) -> None:
    lab = make_lab(n=50).run(progress=False)
    found = lab.failure(value=6)
    point = next(point for point in lab.curve().points if point.value == 6)
    batch = point.batch()
    assert (found.sequence, found.asked_step) == tuple(point.wrong[0].tolist())
    assert found.right == int(batch.targets[found.sequence, found.asked_step]) != 0 == found.answered
    assert torch.equal(found.cache.get("").argmax(-1)[0, -1], torch.tensor(found.answered))


def test_attention_that_does_not_look_there_never_reads(make_lab: Make) -> None:
    class Blind(nn.Module):
        """Attention that sees its own position only."""

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            x = nn.functional.one_hot(inputs, PAIRS.vocabulary).float().unsqueeze(1)
            own = torch.eye(inputs.shape[1], dtype=torch.bool)
            return nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=own).squeeze(1)

    lab = make_lab(Blind(), PAIRS, sweep={"pairs": [2]}).run(progress=False)
    found = lab.failure()
    assert found.verdict == "never read" and isinstance(lab.explorer, mv.AttentionExplorer)
    assert (lab.explorer.selection.query, lab.explorer.selection.key) == (found.asked_step, found.written_step)
    assert "the reads have weight 0 where it is" in found.sentences[0]


def test_a_gate_that_shuts_is_decay_and_one_that_is_replaced_is_overwritten(make_lab: Make) -> None:
    gru = zoo_gru(keep=0.2)
    assert make_lab(gru, sweep={"delay": [4]}).run(progress=False).failure().verdict == "overwritten"
    gru = zoo_gru(keep=0.6)
    assert make_lab(gru, sweep={"delay": [4]}).run(progress=False).failure().verdict == "decayed"


def zoo_gru(keep: float) -> nn.Module:
    """A GRU that keeps this part of its state at every step, whatever it reads, and answers at random."""

    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(TASK.vocabulary, 6)
            self.gru = nn.GRU(6, 6, batch_first=True)
            self.head = nn.Linear(6, 8)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.gru(self.embed(inputs))[0])
            return logits

    torch.manual_seed(1)
    model = Keeps()
    with torch.no_grad():
        for name, value in model.gru.named_parameters():
            value[6:12] = torch.logit(torch.tensor(keep)) / 2 if "bias" in name else 0.0  # the rows of z
    return model


def test_what_has_neither_memory_nor_attention_says_so(make_lab: Make) -> None:
    found = make_lab().run(progress=False).failure()
    assert (found.verdict, found.sentences) == (
        "",
        ["No diagnosis: the recording has neither a memory nor attention."],
    )


def test_what_cannot_be_opened_is_said(make_lab: Make) -> None:
    lab = make_lab(n=8)
    ask(lab, 6.0)
    assert lab.controls.problem == "LooksBack at delay 6 was not measured; measured are none."
    lab.run(progress=False)
    ask(lab, 2.0)
    assert lab.controls.problem == "all 8 answers of LooksBack at delay 2 are right; there is no failed run."
    with pytest.raises(SelectionError, match="no model 'x'; there are LooksBack, counted from 0"):
        lab.failure("x")
    with pytest.raises(SelectionError, match="'length' is not swept here; delay is"):
        lab.failure(over="length")


def test_where_all_is_right_there_is_no_failure(make_lab: Make) -> None:
    lab = make_lab(LooksBack(99)).run(progress=False)
    with pytest.raises(SelectionError, match="no answer of LooksBack over delay was wrong"):
        lab.failure()


# The rest


def test_several_settings_have_a_dropdown(make_lab: Make) -> None:
    lab = make_lab(task=DelayedRecall(delay=6), sweep={"delay": [2, 8], "distractors": [0, 3]}).run(progress=False)
    assert [curve["text"] for curve in lab.curves.curves] == ["delay (steps)", "distractors (symbols)"]
    assert [dot["value"] for dot in dots(lab, 1)] == [0.0, 3.0]
    assert [point.value for point in lab.curve(over="distractors").points] == [0, 3]


def test_a_closed_lab_says_so(make_lab: Make) -> None:
    lab = make_lab()
    lab.close()
    lab.close()
    assert repr(lab) == "RecallLab(closed)"
    with pytest.raises(ClosedError, match="this recall lab is closed; make another one"):
        lab.run()


def test_close_all_of_ipywidgets_closes_a_lab_with_a_run(make_lab: Make) -> None:
    lab = make_lab().run(progress=False)
    lab.failure(value=6)
    assert lab.explorer is not None
    Widget.close_all()  # in the order in which they were made: parts of the lab are closed before the lab
    assert repr(lab) == "RecallLab(closed)"


def test_closing_ends_what_runs(make_lab: Make) -> None:
    lab = make_lab(n=400, chunk=1)

    async def close_soon() -> bool:
        lab.start()
        await asyncio.sleep(0)
        task = lab._task
        lab.close()
        await asyncio.sleep(0.02)
        return task is not None and task.cancelled()

    assert run_alone(close_soon())


def test_what_cannot_be_measured_is_refused_at_once() -> None:
    with pytest.raises(SourceError, match=r"expected an nn\.Module, or a function that makes one"):
        mv.RecallLab(3, TASK)  # type: ignore[arg-type]
    with pytest.raises(UnknownOptionError, match="no setting 'dely'"):
        mv.RecallLab(LooksBack(1), TASK, sweep="dely")


def test_its_picture_has_the_curves_and_the_table(make_lab: Make, tmp_path: Path) -> None:
    lab = make_lab({"four": LooksBack(4), "two": LooksBack(2)}).run(progress=False)
    (figure,), (table,) = lab._board(held_only=False).rows
    assert isinstance(figure, CurvesPart) and isinstance(table, TablePart)
    assert [curve.name for curve in figure.curves] == ["four", "two"]
    own = [(dot["value"], dot["accuracy"], dot["low"], dot["high"]) for dot in dots(lab) if dot["model"] == 1]
    assert list(figure.curves[1].points) == own
    assert figure.ticks == ((0.0, "0"), (2.0, "2"), (6.0, "6")) and figure.level == 1 / 8
    half = figure.curves[0].half
    assert half is not None and (half[0], half[1]) == (lab.curve("four").d50, (1 + 1 / 8) / 2)
    assert [row[:2] for row in table.rows] == [
        ((name,), (f"delay {lab.curve(name).d50_text}",)) for name in ("four", "two")
    ]
    picture = Image.open(lab.save_png(tmp_path / "lab.png", scale=1)).convert("RGB")
    colors = {color for _, color in picture.getcolors(1 << 24) or []}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colors  # one colour per model
    lab.failure("two")
    assert lab._board(held_only=False).notes == tuple(lab.curves.failure["sentences"])


def test_a_picture_before_anything_is_measured_and_after_closing(make_lab: Make, tmp_path: Path) -> None:
    lab = make_lab()
    (figure,), (table,) = lab._board(held_only=True).rows
    assert isinstance(figure, CurvesPart) and figure.curves[0].points == () and figure.level is None
    assert isinstance(table, TablePart) and table.rows[0][1] == ("not measured",)
    assert lab.save_png(tmp_path / "lab.png").exists()
    assert "image/png" in lab._repr_mimebundle_()[0]
    lab.close()
    with pytest.raises(ClosedError, match="this recall lab is closed; make another one to measure again"):
        lab.save_png(tmp_path / "lab.png")
