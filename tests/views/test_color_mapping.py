"""ColorMapping from Python: who fixes the range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from traitlets import TraitError

import memviz_widgets as mv

Make = Callable[..., mv.ActivationExplorer]


def test_number_set_in_python_fixes_the_range(make_explorer: Make) -> None:
    colors = make_explorer().colors
    assert colors.mode == "auto"
    colors.vmin = -2.0
    assert colors.mode == "fixed"


def test_number_from_the_browser_leaves_the_mode(make_explorer: Make) -> None:
    colors = make_explorer().colors
    colors.set_state({"vmin": -2.0})
    assert (colors.vmin, colors.mode) == (-2.0, "auto")


def test_unknown_mode_is_refused(make_explorer: Make) -> None:
    with pytest.raises(TraitError, match="mode"):
        make_explorer().colors.mode = "log"
