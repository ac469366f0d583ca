"""Quiz without a browser: what is asked, what is refused, what Python reads of the answers, closing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ipywidgets import Widget
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import ClosedError, QuizError, SelectionError
from memviz_widgets.views.quiz_fields import MOST_LISTED

from .test_attention_explorer import Attends

Ask = Callable[..., mv.Quiz]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """``ask(view, answer)`` makes a quiz; it and its view are closed after the test."""
    made: list[Any] = []

    def start(view: Any, answer: Any, question: str = "Which?", **options: Any) -> mv.Quiz:
        made.append(view)
        quiz = mv.Quiz(view, question, answer, **options)
        made.append(quiz)
        return quiz

    yield start
    for each in reversed(made):
        each.close()


@pytest.fixture
def wide() -> mv.ActivationExplorer:
    """20 channels, then 6 of another layer, then 5 numbers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 20, 3), nn.Conv2d(20, 6, 3), nn.Flatten(), nn.Linear(96, 5)).eval()
    return mv.ActivationExplorer(model, torch.randn(3, 1, 8, 8))


def attending(**options: Any) -> mv.AttentionExplorer:
    torch.manual_seed(0)
    return mv.AttentionExplorer(Attends().eval(), torch.randn(2, 5, 8), **options)


def answered(quiz: mv.Quiz, **chosen: int) -> mv.Quiz:
    """As the browser does it: choose, then check."""
    attempts = [*quiz.form.attempts, chosen]
    quiz.form.set_state({"chosen": chosen, "attempts": attempts, "revealed": True})
    return quiz


def field(quiz: mv.Quiz, number: int = 0) -> dict[str, Any]:
    return dict(quiz.form.fields[number])


def test_a_long_axis_without_names_is_a_number(ask: Ask, wide: mv.ActivationExplorer) -> None:
    quiz = ask(wide, {"channel": 17})
    assert field(quiz) == {
        "trait": "channel", "name": "channel", "right": [17], "options": [], "size": 20, "texts": {}
    }  # fmt: skip
    assert quiz.children == (quiz.form, wide) and quiz.selection is wide.selection


def test_a_short_axis_lists_every_position(ask: Ask, wide: mv.ActivationExplorer) -> None:
    wide.selection.layer = "1"
    assert field(ask(wide, {"channel": torch.tensor(4)}))["options"] == [0, 1, 2, 3, 4, 5]
    assert field(ask(wide, {"sample": 2}))["options"] == [0, 1, 2]


def test_layers_are_listed_by_name(ask: Ask, wide: mv.ActivationExplorer) -> None:
    asked = field(ask(wide, {"layer": "1"}))
    assert (asked["right"], asked["options"]) == ([1], [0, 1, 2, 3, 4])
    assert asked["texts"] == {"0": "0", "1": "1", "2": "2", "3": "3", "4": "(model)"}


def test_an_attention_explorer_asks_for_attention_layers_and_their_heads(ask: Ask) -> None:
    quiz = ask(attending(), {"head": {1}, "layer": "layers.1 attention"})
    assert [field(quiz, i)["trait"] for i in (0, 1)] == ["layer", "head"]  # the layer first, whatever was written
    assert set(field(quiz)["texts"].values()) == {"layers.0 attention", "layers.1 attention"}
    assert (field(quiz, 1)["options"], field(quiz, 1)["right"]) == ([0, 1], [1])


def test_a_memory_explorer_asks_for_the_parts_of_memories(ask: Ask) -> None:
    torch.manual_seed(0)
    view = mv.MemoryExplorer(nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 5, batch_first=True)), torch.randn(1, 6, 3))
    kinds = field(ask(view, {"layer": view.selection.path, "time": 3}))["texts"].values()
    assert len(kinds) >= 5 and all("1" in kind for kind in kinds)  # h, c and gates of "1"; not the linear layer "0"


def test_layers_without_the_axis_are_not_offered(ask: Ask) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.LSTM(6, 3, batch_first=True)).eval()
    view = mv.ActivationExplorer(model, torch.randn(2, 4))  # an unbatched sequence: the LSTM alone has time
    quiz = ask(view, {"layer": "1", "time": 1})
    layers = view.selection.store.catalog["layers"]
    offered = [layers[layer]["records"][0][0] for layer in field(quiz)["options"]]
    assert 0 < len(offered) < len(layers)
    assert all(view.selection.store.catalog["records"][record]["extents"].get("time") for record in offered)


def test_tokens_are_listed_by_their_text(ask: Ask) -> None:
    view = attending(tokens=list("abcde"))
    view.selection.layer = "layers.0 attention"
    view.selection.sample = 1
    for trait in ("query", "key"):
        assert field(ask(view, {trait: 3}))["texts"] == {"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}


def test_a_number_of_choices_draws_the_same_ones_each_time(ask: Ask, wide: mv.ActivationExplorer) -> None:
    first, again = (field(ask(wide, {"channel": {17, 3}}, choices=6))["options"] for _ in range(2))
    other = field(ask(wide, {"channel": {17, 3}}, "Another question?", choices=6))["options"]
    assert first == again == sorted(set(first)) and {3, 17} < set(first) and len(first) == 6
    assert other != first


def test_a_list_of_choices_keeps_its_order(ask: Ask, wide: mv.ActivationExplorer) -> None:
    assert field(ask(wide, {"channel": 3}, choices=[9, 3, 9, 0]))["options"] == [9, 3, 0]
    quiz = ask(wide, {"layer": "1", "channel": 3}, choices={"layer": ["1", "0"], "channel": 3})
    assert field(quiz)["options"] == [1, 0]
    assert (field(quiz, 1)["size"], len(field(quiz, 1)["options"])) == (20, 3)  # of the layers to choose from


def test_the_question_is_about_where_the_view_is(ask: Ask, wide: mv.ActivationExplorer) -> None:
    wide.selection.layer, wide.selection.sample = "1", 2
    quiz = ask(wide, {"channel": {5, 2}})
    wide.selection.layer = "0"
    ahead = quiz.form.ahead
    assert (ahead.layer, ahead.sample, ahead.channel) == (1, 2, 2)
    assert (wide.selection.layer, wide.selection.channel) == (0, 0)  # asking moves nothing


def test_attempts_are_read_in_the_terms_of_the_answer(ask: Ask, wide: mv.ActivationExplorer) -> None:
    quiz = ask(wide, {"layer": {"0", "1"}, "channel": 3})
    assert (quiz.chosen, quiz.attempts, quiz.correct, quiz.revealed) == ({}, [], None, False)
    assert repr(quiz) == "Quiz(layer, channel: not answered)"
    answered(quiz, channel=4, layer=1)
    assert (quiz.chosen, quiz.correct, quiz.revealed) == ({"layer": "1", "channel": 4}, False, True)
    answered(quiz, channel=3, layer=1)
    assert quiz.attempts == [{"layer": "1", "channel": 4}, {"layer": "1", "channel": 3}]
    assert quiz.correct is True and repr(quiz) == "Quiz(layer, channel: right)"


def test_reset_hides_and_forgets(ask: Ask, wide: mv.ActivationExplorer) -> None:
    quiz = answered(ask(wide, {"channel": 3}), channel=3)
    quiz.reset()
    assert (quiz.chosen, quiz.attempts, quiz.correct, quiz.revealed) == ({}, [], None, False)


def test_texts_and_fields_go_to_the_browser_as_they_are(ask: Ask, wide: mv.ActivationExplorer) -> None:
    evil = "<img src=x onerror=alert(1)>\nsecond line"
    form = ask(wide, {"channel": 3}, evil, hint=evil, explanation=evil).form
    assert {form.question, form.hint, form.explanation} == {evil}
    assert json.loads(json.dumps(form.fields, allow_nan=False)) == form.fields


def test_it_takes_the_box_of_explore_and_a_report(ask: Ask) -> None:
    torch.manual_seed(0)
    cache = mv.ActivationCache.capture(Attends().eval(), torch.randn(2, 5, 8))
    box = mv.explore(cache)
    assert field(ask(box, {"layer": "layers.0 attention"}))["size"] == len(box.selection.store.catalog["layers"])
    ask(mv.HealthReport(cache), {"layer": 1})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"chanel": 1}, r"no axis 'chanel' to ask for; nearest is 'channel'\. Axes: layer, step"),
        ({"channel": 20}, r"channel 20 is not in '0'; expected 0 \.\. 19"),
        ({"channel": {0, 20}}, r"channel 20 is not in '0'"),
        ({"layer": {"0", "1"}, "channel": 7}, r"channel 7 is not in '1'; expected 0 \.\. 5"),
        ({"head": 0}, r"'0' has no head to ask for; it has layer, step, call, sample, channel"),
        ({"layer": "conv1"}, r"no layer 'conv1' \(5 recorded\)"),
        ({"channel": 1.5}, r"channel is 1\.5; expected a whole number"),
    ],
)
def test_what_the_recording_does_not_have_is_refused(
    ask: Ask, wide: mv.ActivationExplorer, answer: Any, error: str
) -> None:
    with pytest.raises(SelectionError, match=error):
        ask(wide, answer)
    assert (wide.selection.layer, wide.selection.channel) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "choices", "error"),
    [
        ({}, None, r"answer is \{\}; expected what is asked with what is right"),
        ("channel", None, "answer is 'channel'; expected what is asked"),
        ({"channel": []}, None, "channel has no right value; expected one, or a set"),
        ({"step": 0}, None, "step has one position in '0', so there is nothing to choose"),
        ({"channel": 1}, [2, 3], "the choices for channel lack the right value 1; add it"),
        ({"channel": {1, 2}}, [2, 1], "the choices for channel are all right; add a wrong one"),
        ({"channel": {1, 2}}, 2, r"2 choices for channel; expected 3 \.\. 20: the right ones, at least one wrong one"),
        ({"channel": 1}, 21, r"21 choices for channel; expected 2 \.\. 20"),
        ({"channel": 1}, {"head": 2}, "choices are given for 'head', which is not asked; asked: channel"),
        ({"channel": 1, "layer": 0}, [1, 2], r"one list of choices for layer and channel; expected a list for each"),
    ],
)
def test_what_makes_no_question_is_refused(
    ask: Ask, wide: mv.ActivationExplorer, answer: Any, choices: Any, error: str
) -> None:
    with pytest.raises(QuizError, match=error):
        ask(wide, answer, choices=choices)


def test_what_is_no_view_or_text_is_refused(ask: Ask, wide: mv.ActivationExplorer) -> None:
    with pytest.raises(QuizError, match="view is a ActivationCache; expected a view with a selection, such as mv"):
        mv.Quiz(wide.cache, "?", {"channel": 1})
    with pytest.raises(QuizError, match="view is the class ActivationExplorer; expected a view"):
        mv.Quiz(mv.ActivationExplorer, "?", {"channel": 1})
    with pytest.raises(QuizError, match="question is '  '; expected plain text"):
        ask(wide, {"channel": 1}, "  ")
    with pytest.raises(QuizError, match="hint is 3; expected plain text"):
        ask(wide, {"channel": 1}, hint=3)


def test_a_closed_view_and_a_closed_quiz_say_so(ask: Ask, wide: mv.ActivationExplorer) -> None:
    quiz = ask(wide, {"channel": 1})
    quiz.close()
    quiz.close()
    assert repr(quiz) == "Quiz(closed)" and wide.comm is not None
    with pytest.raises(ClosedError, match="this quiz is closed; make another one"):
        quiz.reset()
    wide.close()
    with pytest.raises(ClosedError, match="the view given to the quiz is closed"):
        ask(wide, {"channel": 1})


def test_it_closes_also_after_its_view(ask: Ask, wide: mv.ActivationExplorer) -> None:
    quiz = ask(wide, {"channel": 1})
    wide.close()
    quiz.close()
    assert all(isinstance(each, Widget) and each.comm is None for each in (quiz, quiz.form, quiz.form.ahead))


def test_the_listed_positions_fit_the_buttons_of_the_page() -> None:
    source = (Path(__file__).parents[2] / "js/src/quiz_field.ts").read_text(encoding="utf-8")
    assert f"MOST_BUTTONS = {MOST_LISTED};" in source
