"""TokenLines from Python: its threshold."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import TokenLines
from tests.views.bare_view import bare


def test_threshold_is_a_tenth_until_told_otherwise() -> None:
    with bare(TokenLines) as view:
        assert repr(view) == "TokenLines(threshold=0.1)"
        view.threshold = 1
        assert view.threshold == 1.0


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with bare(TokenLines) as view, pytest.raises(TraitError, match="threshold"):
        view.threshold = threshold


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'treshold'; nearest is 'threshold'"
    with pytest.raises(UnknownOptionError, match=message), bare(TokenLines, treshold=0.5):
        pass
