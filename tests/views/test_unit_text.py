"""UnitText from Python: what it can be told."""

from __future__ import annotations

import pytest

from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import UnitText
from tests.views.bare_view import bare


def test_refers_to_the_selection_by_its_model() -> None:
    with bare(UnitText) as view:
        assert view.get_state("selection") == {"selection": f"IPY_MODEL_{view.selection.model_id}"}
        assert repr(view) == "UnitText()"


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'selecton'; nearest is 'selection'"
    with pytest.raises(UnknownOptionError, match=message), bare(UnitText, selecton=None):
        pass
