"""GateSaturation from Python: which marks it writes to, and what it needs of them."""

from __future__ import annotations

import bqplot
import pytest

from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import GateSaturation
from tests.views.bare_view import bare


def scatter() -> bqplot.Scatter:
    return bqplot.Scatter(x=[0.0], y=[0.0], scales={"x": bqplot.LinearScale(), "y": bqplot.LinearScale()})


def test_makes_its_dots_clickable_and_shows_no_name_beside_them() -> None:
    with bare(GateSaturation, dots=scatter()) as view:
        assert view.dots.interactions == {"hover": "tooltip", "click": "select"}
        assert view.dots.display_names is False
        assert view.dots.tooltip.fields == ["name", "x", "y"]


def test_refers_to_its_marks_by_their_models() -> None:
    with bare(GateSaturation, dots=scatter()) as view:
        assert view.get_state(["dots", "x_axis"]) == {"dots": f"IPY_MODEL_{view.dots.model_id}", "x_axis": None}


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'dot'; nearest is 'dots'"
    with pytest.raises(UnknownOptionError, match=message), bare(GateSaturation, dot=None):
        pass
