"""PictureChoice from Python: which maps there are, and what hangs on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from traitlets import TraitError

import memviz_widgets as mv
from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.selection import Selection
from memviz_widgets.views import ColorMapping, PictureChoice
from memviz_widgets.views.sharing import join, leave


@pytest.fixture
def selection(model: nn.Module, x: torch.Tensor) -> Iterator[Selection]:
    cache = mv.ActivationCache.capture(model, x)
    joined = join(cache, link=True)
    yield joined
    leave(cache, joined)


def test_shows_the_weights_of_a_head_at_first(selection: Selection) -> None:
    choice = PictureChoice(selection=selection)
    assert (choice.kind, choice.other_head) == ("weights", 0)
    assert repr(choice) == "PictureChoice(kind='weights', other_head=0)"
    choice.close()


def test_unknown_map_is_refused_with_those_there_are(selection: Selection) -> None:
    choice = PictureChoice(selection=selection)
    with pytest.raises(TraitError, match=r"'weights', 'row', 'log', 'mean', 'max', 'difference'.*'rollout'.*'flow'"):
        choice.kind = "median"
    choice.close()


def test_other_head_counts_from_0(selection: Selection) -> None:
    choice = PictureChoice(selection=selection)
    with pytest.raises(TraitError, match="other_head"):
        choice.other_head = -1
    choice.close()


def test_misspelt_keyword_is_refused(selection: Selection) -> None:
    with pytest.raises(UnknownOptionError, match="no option 'knd'; nearest is 'kind'"):
        PictureChoice(selection=selection, knd="mean")


def test_colors_refer_to_it_and_need_none(selection: Selection) -> None:
    choice = PictureChoice(selection=selection)
    with_choice, without = ColorMapping(selection=selection, choice=choice), ColorMapping(selection=selection)
    assert (with_choice.choice, without.choice) == (choice, None)
    assert with_choice.get_state()["choice"] == f"IPY_MODEL_{choice.model_id}"
    for widget in (with_choice, without, choice):
        widget.close()
