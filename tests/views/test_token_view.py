"""TokenView from Python: what it can be told."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import PictureChoice, TokenView
from tests.views.bare_view import bare


def test_shows_where_a_query_attends_to_until_told_otherwise() -> None:
    with bare(TokenView) as view:
        assert (view.direction, view.choice) == ("from", None)
        view.direction = "to"
        assert repr(view) == "TokenView(direction='to')"


def test_refers_to_selection_and_choice_by_their_models() -> None:
    with bare(TokenView) as view:
        view.choice = PictureChoice(selection=view.selection)
        models = {"selection": view.selection.model_id, "choice": view.choice.model_id}
        assert view.get_state(list(models)) == {name: f"IPY_MODEL_{model}" for name, model in models.items()}


def test_unknown_direction_is_refused() -> None:
    with bare(TokenView) as view, pytest.raises(TraitError, match="direction"):
        view.direction = "both"


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'directon'; nearest is 'direction'"
    with pytest.raises(UnknownOptionError, match=message), bare(TokenView, directon="to"):
        pass
