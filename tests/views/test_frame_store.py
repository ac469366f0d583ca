"""FrameStore: what it sends with itself and how it answers the browser."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.frames.page import page_header
from memviz_widgets.frames.pages import Page, PageSource
from memviz_widgets.views import FrameStore
from memviz_widgets.views.lifecycle import widgets_below
from tests.frames.fake_cache import FakeCache

Make = Callable[..., mv.ActivationExplorer]


@pytest.fixture
def answers(make_explorer: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], list[tuple[Any, Any]]]:
    """Sends one message to the store of an explorer and gives what the store sent back."""
    store = make_explorer().selection.store
    sent: list[tuple[Any, Any]] = []
    monkeypatch.setattr(store, "send", lambda content, buffers=None: sent.append((content, buffers)))

    def ask(message: dict[str, Any]) -> list[tuple[Any, Any]]:
        sent.clear()
        store._handle_custom_msg(message, [])
        return list(sent)

    return ask


def test_first_pages_travel_with_the_widget(make_explorer: Make) -> None:
    store = make_explorer().selection.store
    assert isinstance(store, FrameStore)
    assert [(page["record"], page["kind"]) for page in store.pages] == [
        (0, "frame"),
        (0, "histogram"),
        (0, "channels"),
        (0, "sheet"),
    ]


@pytest.mark.parametrize(
    ("residual", "sent"), [(None, None), (1e-7, 1e-7), (math.nan, sys.float_info.max), (math.inf, sys.float_info.max)]
)
def test_header_of_a_page_says_how_far_recovered_values_are_off(residual: float | None, sent: float | None) -> None:
    header = page_header(Page(0, "time", 0, np.zeros((1, 1, 1), np.uint8), residual=residual))
    assert header["residual"] == sent
    json.dumps(header, allow_nan=False)


def test_page_answer_carries_codes_and_ranges(answers: Callable[..., Any], make_explorer: Make) -> None:
    (page, buffers), done = answers({"type": "pages", "id": 7, "wants": [{"record": 1, "kind": "frame", "page": 0}]})
    assert page["shape"] == [12, 6, 6] and page["id"] == 7 and done[0] == {"type": "done", "id": 7}
    relu = make_explorer().cache["1"].numpy().reshape(12, 36)
    np.testing.assert_array_equal(np.frombuffer(buffers[1], np.float64), relu.min(1))
    np.testing.assert_array_equal(np.frombuffer(buffers[2], np.float64), relu.max(1))


def test_page_that_does_not_exist_is_refused_and_the_rest_is_served(answers: Callable[..., Any]) -> None:
    wants = [{"record": 0, "kind": "frame", "page": 99}, {"record": 0, "kind": "frame", "page": 0}]
    refused, page, done = answers({"type": "pages", "id": 1, "wants": wants})
    assert refused[0]["type"] == "refused" and "99" in refused[0]["message"]
    assert page[0]["type"] == "page" and done[0]["type"] == "done"


def test_value_answer_is_the_tensors_number(answers: Callable[..., Any], make_explorer: Make) -> None:
    ((answer, _),) = answers({"type": "value", "id": 3, "record": 0, "frame": 5, "row": 2, "col": 1})
    exact = make_explorer().cache["0"][1, 1, 2, 1]  # frame 5 = sample 1, channel 1 of 4
    said = {"text": str(exact.numpy()), "number": exact.item(), "index": [1, 1, 2, 1]}
    assert answer == {"type": "value", "id": 3, **said}


def test_value_answer_is_that_of_the_kind_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FrameStore(mv.ActivationCache.from_attentions([torch.tensor([[[[1.0, 0.0]], [[0.25, 0.75]]]])]))
    sent: list[Any] = []
    monkeypatch.setattr(store, "send", lambda content, buffers=None: sent.append(content))
    for kind, frame in (("difference", 1), ("max", 0), ("heads", 0)):
        message = {"type": "value", "id": 1, "record": 0, "frame": frame, "row": 0, "col": 1, "kind": kind}
        store._handle_custom_msg(message, [])
    store.close()
    expected = [("value", -0.75), ("value", 0.75), ("refused", None)]
    assert [(answer["type"], answer.get("number")) for answer in sent] == expected


def test_answers_are_pooled_as_the_question_says(monkeypatch: pytest.MonkeyPatch) -> None:
    cache: Any = FakeCache((torch.arange(4096.0).reshape(2048, 2), ("height", "width")))
    store = FrameStore(cache)
    sent: list[Any] = []
    monkeypatch.setattr(store, "send", lambda content, buffers=None: sent.append(content))
    for pooled_by in ("mean", "largest"):
        question = {"type": "value", "id": 1, "record": 0, "frame": 0, "row": 3, "col": 1}
        store._handle_custom_msg({**question, "pooled_by": pooled_by}, [])
    assert [(answer["number"], answer["index"]) for answer in sent] == [(14.0, [-1, -1]), (15.0, [7, 1])]
    store.pooled_by = "mean"
    assert store.page(0, "frame", 0).highs[0] == 4094.0
    store.close()


@pytest.mark.parametrize(("rows", "controls"), [(2048, 1), (16, 0)])
def test_pooling_can_be_chosen_where_something_is_pooled(rows: int, controls: int) -> None:
    explorer = mv.ActivationExplorer(nn.Identity(), torch.randn(1, 1, rows, 3))
    found = [part for part in widgets_below(explorer, keep=()) if getattr(part, "description", "") == "pooled by"]
    assert len(found) == controls
    explorer.close()


class TallThenAttends(nn.Module):
    """A tall tensor, whose picture is pooled, and attention and a memory of few steps."""

    def __init__(self) -> None:
        super().__init__()
        self.tall = nn.Identity()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.rnn = nn.GRU(8, 4, batch_first=True)

    def forward(self, tall: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        self.tall(tall)
        states: torch.Tensor = self.rnn(self.attend(x, x, x)[0])[0]
        return states


@pytest.mark.parametrize(("steps", "others"), [(6, 0), (1500, 1)])
def test_an_explorer_offers_pooling_for_its_own_pictures(steps: int, others: int) -> None:
    model, x = TallThenAttends(), (torch.randn(1, 1, 2048, 3), torch.randn(1, steps, 8))
    cache = mv.ActivationCache.capture(model, x)
    for kind, expected in (
        (mv.ActivationExplorer, 1),
        (mv.AttentionExplorer, others),
        (mv.MemoryExplorer, others),
    ):
        explorer = kind(cache)
        found = [part for part in widgets_below(explorer, keep=()) if getattr(part, "description", "") == "pooled by"]
        assert (kind, len(found)) == (kind, expected)
        explorer.close()


def test_page_that_fails_is_refused_shown_and_does_not_hold_back_others(
    answers: Callable[..., Any], make_explorer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PageSource.page

    def page(source: PageSource, record: int, kind: str, number: int) -> Page:
        if record == 0:
            raise RuntimeError("out of memory")
        return real(source, record, kind, number)

    monkeypatch.setattr(PageSource, "page", page)
    wants = [{"record": record, "kind": "frame", "page": 0} for record in (0, 1)]
    (refused, _), (served, _), (done, _) = answers({"type": "pages", "id": 1, "wants": wants})
    assert (refused["message"], served["type"], done["type"]) == ("out of memory", "page", "done")


def test_summary_follows_every_answer() -> None:
    cache = FakeCache((torch.ones(1, 2), ("batch", "channel")))
    store = FrameStore(cache)  # type: ignore[arg-type]
    value = {"type": "value", "id": 2, "record": 0, "frame": 0, "row": 0, "col": 0}
    for message in ({"type": "pages", "id": 1, "wants": []}, value, {**value, "record": 99}):
        cache.summary = f"after {message}"
        store._handle_custom_msg(message, [])
        assert store.summary == cache.summary
    store.close()


def test_store_starts_with_the_summary_of_its_cache(make_explorer: Make) -> None:
    explorer = make_explorer()
    assert explorer.selection.store.summary == explorer.cache.summary != ""


def test_first_record_that_cannot_be_had_again_is_left_for_the_browser_to_ask() -> None:
    cache = FakeCache((torch.ones(1, 2), ("batch", "channel")))
    cache.change(0, kept=False, on_demand=True)
    cache.values.clear()
    store = FrameStore(cache)  # type: ignore[arg-type]
    assert store.pages == [] and store.catalog["records"][0]["on_demand"]
    store.close()


def test_error_of_a_callback_is_shown_under_the_view(make_explorer: Make) -> None:
    store = make_explorer().selection.store
    store._handle_custom_msg({"type": "pages", "id": 1, "wants": [{}]}, [])
    assert store.problem == "KeyError: 'record'"


def test_what_the_capture_could_not_record_is_shown_under_the_view(make_explorer: Make) -> None:
    scripted = torch.jit.script(nn.ReLU())
    store = make_explorer(nn.Sequential(nn.Linear(2, 2), scripted), torch.ones(1, 2)).selection.store
    assert store.notice == "'1' is a ReLU compiled by TorchScript; it takes no hooks"


def test_many_notices_of_a_capture_are_counted(make_explorer: Make) -> None:
    scripted = [torch.jit.script(nn.ReLU()) for _ in range(5)]
    lines = make_explorer(nn.Sequential(*scripted), torch.ones(1, 2)).selection.store.notice.splitlines()
    assert len(lines) == 4 and lines[3] == "and 2 more: see cache.remarks and cache.opaque"
