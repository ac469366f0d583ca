"""MemoryCard from Python: what the browser asks is answered once, remembered, and never lost as an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.analysis.recall import DelayedRecall, RecallCurve, measure
from memviz_widgets.errors import ClosedError, PageRefusedError, SourceError, UnknownOptionError
from memviz_widgets.frames import memory_card_states as states
from memviz_widgets.views import memory_card
from memviz_widgets.views.memory_card import MemoryCard


@pytest.fixture
def explorer() -> Iterator[mv.MemoryExplorer]:
    torch.manual_seed(0)
    with torch.no_grad():
        made = mv.MemoryExplorer(nn.LSTM(3, 5, batch_first=True), torch.randn(2, 20, 3))
    yield made
    made.close()


def card_of(explorer: mv.MemoryExplorer) -> MemoryCard:
    assert explorer.card is not None
    return explorer.card


def ask(card: MemoryCard, record: int, sample: int, **more: Any) -> list[dict[str, Any]]:
    """What the browser's wish is answered with, beside the trait."""
    sent: list[dict[str, Any]] = []
    card.send = lambda content, buffers=None: sent.append(content)
    card._handle_custom_msg({"type": "card", "record": record, "sample": sample, **more}, [])
    del card.send
    return sent


def content_index(explorer: mv.MemoryExplorer) -> int:
    return next(record.index for record in explorer.cache.records if record.kind == "cell")


def names(card: dict[str, Any]) -> list[str]:
    return [row["name"] for row in card["rows"]]


def test_a_wish_is_answered_and_remembered(explorer: mv.MemoryExplorer) -> None:
    view, record = card_of(explorer), content_index(explorer)
    assert view.cards == {}
    assert ask(view, record, 1) == [{"type": "done", "record": record, "sample": 1}]
    card = view.cards[f"{record}/1"]
    assert card["title"] == "(model) l0, sample 1"
    assert {"time constant", "gradient horizon (1/e)", "state size"} <= set(names(card))
    ask(view, record, 0)
    assert list(view.cards) == [f"{record}/1", f"{record}/0"]
    assert view.cards[f"{record}/0"]["rows"] != card["rows"]


def test_what_takes_long_waits_for_the_button(explorer: mv.MemoryExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "price_s", lambda run: 3.2)
    view, record = card_of(explorer), content_index(explorer)
    ask(view, record, 0)
    card = view.cards[f"{record}/0"]
    assert card["offers"] == ["gradient horizon (about 3.2 s)"]
    assert "gradient horizon (1/e)" not in names(card)
    ask(view, record, 0, patient=True)
    card = view.cards[f"{record}/0"]
    assert card["offers"] == []
    assert "gradient horizon (1/e)" in names(card)


def test_the_gradient_horizon_is_the_measure_itself(explorer: mv.MemoryExplorer) -> None:
    model, x = nn.GRU(2, 4), torch.randn(30, 1, 2)
    with torch.no_grad():
        other = mv.MemoryExplorer(model, x)
    card = card_of(other).measure(next(iter(other.cache.memories().values()))[0].index)
    expected = mv.analysis.memory.gradient_horizon(lambda inputs: model(inputs[:, None])[0][:, 0], x[:, 0])
    rows = {row["name"]: row["number"] for row in card["rows"]}
    assert rows["gradient horizon (1/e)"] == expected.horizon
    assert rows["gradient horizon (1 %)"] == expected.far_horizon
    other.close()


def test_one_channel_of_noise_gives_a_capacity() -> None:
    torch.manual_seed(0)
    model, x = nn.RNN(1, 4, 2), torch.rand(400, 1) - 0.5
    with torch.no_grad():
        view = mv.MemoryExplorer(model, x)
    for parts in view.cache.memories().values():
        card = card_of(view).measure(parts[0].index)
        states_of = view.cache.get("", "hidden", item=parts[0].item)[0]
        expected = mv.analysis.memory.linear_capacity(states_of, x[:, 0])
        [row] = [row for row in card["rows"] if row["measure"] == "linear memory capacity"]
        assert row["number"] == pytest.approx(expected.total_above_floor)
        assert row["compare"].startswith(f"at most {expected.rank}; chance ")
    view.close()


def test_errors_are_sentences_in_the_card(explorer: mv.MemoryExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    view, record = card_of(explorer), content_index(explorer)
    ask(view, 99, 0)
    assert view.cards["99/0"]["problems"] == [
        f"no record 99; the recording has {len(explorer.cache.records)}, counted from 0."
    ]
    assert explorer.selection.store.problem == ""  # a refusal is an answer

    def broken(*given: object, **options: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(memory_card, "build_card", broken)
    assert ask(view, record, 0)[0]["type"] == "done"
    assert view.cards[f"{record}/0"]["problems"] == ["KeyError: 'lost'"]
    assert explorer.selection.store.problem == "KeyError: 'lost'"


def test_cards_at_places_are_made_without_being_remembered(
    explorer: mv.MemoryExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = card_of(explorer)
    record = content_index(explorer)
    found = card.cards_at([(record, 0), (10_000, 0)])
    assert found[f"{record}/0"]["rows"] and found["10000/0"]["problems"][0].startswith("no record 10000")
    assert card.cards == {}

    def broken(*_: Any, **__: Any) -> Any:
        raise ArithmeticError("singular")

    monkeypatch.setattr(memory_card, "build_card", broken)
    assert card.cards_at([(record, 0)])[f"{record}/0"]["problems"] == ["ArithmeticError: singular"]


def test_a_closed_cache_is_an_answer(explorer: mv.MemoryExplorer) -> None:
    view, record = card_of(explorer), content_index(explorer)
    explorer.cache.close()
    ask(view, record, 0)
    assert view.cards[f"{record}/0"]["problems"] == ["the recording is closed; capture again to measure its memories."]
    with pytest.raises(ClosedError, match="capture again to measure"):
        view.measure(record)


def test_the_cards_asked_for_last_are_remembered(explorer: mv.MemoryExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_card, "MOST_CARDS", 2)
    view, record = card_of(explorer), content_index(explorer)
    for index, sample in ((record, 0), (record, 1), (record, 0), (99, 0)):
        ask(view, index, sample)
    assert list(view.cards) == [f"{record}/0", "99/0"]


def test_closing_the_explorer_lets_the_cache_go() -> None:
    view = mv.MemoryExplorer(nn.GRU(3, 4), torch.ones(2, 3))
    card = card_of(view)
    view.close()
    assert card.comm is None
    with pytest.raises(ClosedError):
        card.measure(0)


def test_misspelt_keyword_names_the_nearest() -> None:
    cache = mv.ActivationCache.capture(nn.GRU(3, 4), torch.ones(2, 3))
    with pytest.raises(UnknownOptionError, match="MemoryCard has no option 'recal'; nearest is 'recall'"):
        MemoryCard(cache, recal=[])


# Recall


def curve_of(accurate: bool) -> RecallCurve:
    """Of a model that says the first symbol at every step, or always symbol 0."""

    def model(inputs: Tensor) -> Tensor:
        said = inputs[:, :1].expand(inputs.shape) if accurate else torch.zeros_like(inputs)
        return 100 * nn.functional.one_hot(said, 10).float()

    return measure(model, DelayedRecall(), [1, 5], sequences=64)


def rows_of(recall: Any) -> dict[str, dict[str, Any]]:
    view = mv.MemoryExplorer(nn.GRU(3, 4), torch.ones(2, 3), recall=recall)
    rows = {row["name"]: row for row in card_of(view).recall}
    view.close()
    return rows


def test_a_curve_is_shown_with_its_chance_line() -> None:
    rows = rows_of(curve_of(accurate=True))
    assert rows["recall: half-way to chance"]["value"] == "delay > 5"
    assert rows["recall: half-way to chance"]["number"] is None
    recall = rows["recall at delay 5"]
    assert (recall["value"], recall["number"]) == ("1 ± 0", 1.0)
    assert recall["compare"] == "chance: 0.125; any of the sequence: 1"
    assert recall["n"] == "64 answers of 64 sequences"
    assert rows["bits kept at delay 5"]["value"] == "3 bits"
    assert rows["bits kept at delay 5"]["compare"] == "chance: 0; all: 3"


def test_curves_are_named() -> None:
    good, bad = curve_of(accurate=True), curve_of(accurate=False)
    rows = rows_of({"oracle": good, "zero": bad})
    assert rows["recall at delay 5 (oracle)"]["number"] == 1.0
    assert rows["recall at delay 5 (zero)"]["number"] < 0.5
    assert "recall at delay 5 (curve 2)" in rows_of([good, bad])
    assert rows_of(RecallCurve("delay", ())) == {}


def test_a_model_without_memory_shows_its_recall() -> None:
    view = mv.MemoryExplorer(nn.Linear(3, 4), torch.ones(2, 3), recall=curve_of(accurate=True))
    assert card_of(view) in view.children
    view.close()
    plain = mv.MemoryExplorer(nn.Linear(3, 4), torch.ones(2, 3))
    assert plain.card is None
    plain.close()


@pytest.mark.parametrize("recall", [3, [3], {"a": 3}])
def test_what_is_no_curve_is_refused(recall: Any) -> None:
    with pytest.raises(
        SourceError, match=r"recall holds a int; expected a RecallCurve of mv\.analysis\.recall\.measure"
    ):
        mv.MemoryExplorer(nn.GRU(3, 4), torch.ones(2, 3), recall=recall)


def test_refusals_of_the_measure_are_raised_in_python(explorer: mv.MemoryExplorer) -> None:
    with pytest.raises(PageRefusedError, match="no sample 7"):
        card_of(explorer).measure(content_index(explorer), 7)
