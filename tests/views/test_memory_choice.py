"""MemoryChoice from Python: which maps and orders there are, and what hangs on it; Selection.lit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from traitlets import TraitError

import memviz_widgets as mv
from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.selection import Selection
from memviz_widgets.views import ColorMapping, MemoryChoice, RecordLine
from memviz_widgets.views.sharing import join, leave


@pytest.fixture
def selection(model: nn.Module, x: torch.Tensor) -> Iterator[Selection]:
    cache = mv.ActivationCache.capture(model, x)
    joined = join(cache, link=True)
    yield joined
    leave(cache, joined)


def test_shows_the_part_over_time_at_first(selection: Selection) -> None:
    choice = MemoryChoice(selection=selection)
    assert repr(choice) == "MemoryChoice(map='time', order='index', whole=True)"
    choice.close()


@pytest.mark.parametrize(
    ("trait", "value", "match"),
    [
        ("map", "write", "'time', 'cursor', 'wrote'.*'reads'"),
        ("order", "name", "'index', 'timescale'.*'similarity'"),
        ("whole", "no", "whole"),
    ],
)
def test_unknown_choice_is_refused_with_those_there_are(
    selection: Selection, trait: str, value: str, match: str
) -> None:
    choice = MemoryChoice(selection=selection)
    with pytest.raises(TraitError, match=match):
        setattr(choice, trait, value)
    choice.close()


def test_misspelt_keyword_is_refused(selection: Selection) -> None:
    with pytest.raises(UnknownOptionError, match="no option 'ordr'; nearest is 'order'"):
        MemoryChoice(selection=selection, ordr="index")


def test_colors_and_facts_refer_to_it_as_to_a_picture_choice(selection: Selection) -> None:
    choice = MemoryChoice(selection=selection)
    colors, line = ColorMapping(selection=selection, choice=choice), RecordLine(selection=selection, choice=choice)
    assert {each.get_state()["choice"] for each in (colors, line)} == {f"IPY_MODEL_{choice.model_id}"}
    with pytest.raises(TraitError, match="MapChoice"):
        colors.choice = selection
    for widget in (colors, line.layout, line, choice):
        widget.close()


def test_lit_is_a_list_of_shares(selection: Selection) -> None:
    assert selection.lit == []
    selection.lit = [0.25, 0.0, 0.75]
    assert selection.get_state()["lit"] == [0.25, 0.0, 0.75]
    with pytest.raises(TraitError, match="lit"):
        selection.lit = [1.5]
    assert selection.lit == [0.25, 0.0, 0.75]
