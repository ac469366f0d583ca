"""RetentionLines from Python: which marks it writes to, and their colours."""

from __future__ import annotations

import bqplot
import pytest

from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import RetentionLines
from tests.views.bare_view import bare


def marks() -> dict[str, bqplot.Lines]:
    scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale()}
    return {name: bqplot.Lines(x=[0.0], y=[0.0], scales=scales) for name in ("lines", "horizon")}


def test_the_two_curves_have_the_colours_that_the_axis_names() -> None:
    with bare(RetentionLines, **marks()) as view:
        assert view.lines.colors == ["#808080", "#1f77b4"]


def test_refers_to_its_marks_by_their_models() -> None:
    with bare(RetentionLines, **marks()) as view:
        models = {"lines": view.lines.model_id, "horizon": view.horizon.model_id}
        assert view.get_state(list(models)) == {name: f"IPY_MODEL_{model}" for name, model in models.items()}


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'line'; nearest is 'lines'"
    with pytest.raises(UnknownOptionError, match=message), bare(RetentionLines, line=None):
        pass
