"""ColorMapping from Python: who fixes the range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from traitlets import TraitError

import memviz_widgets as mv
from memviz_widgets.errors import ColorRangeError, UnknownColormapError

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


@pytest.mark.parametrize("number", [torch.tensor(0.5), np.float32(0.5)])
def test_end_of_the_range_may_be_a_number_of_torch_or_numpy(make_explorer: Make, number: object) -> None:
    colors = make_explorer().colors
    colors.vmax = number
    assert colors.vmax == 0.5 and type(colors.vmax) is float


@pytest.mark.parametrize("number", [float("nan"), float("inf"), None, "a", torch.ones(2)])
def test_end_of_the_range_that_is_no_finite_number_is_refused(make_explorer: Make, number: object) -> None:
    colors = make_explorer().colors
    with pytest.raises(ColorRangeError, match=r"vmin is .*; expected a finite number, as in colors\.vmin = 0\.5\."):
        colors.vmin = number
    assert (colors.vmin, colors.mode) == (0.0, "auto")


def test_unknown_colour_map_is_refused_with_the_nearest(make_explorer: Make) -> None:
    colors = make_explorer().colors
    with pytest.raises(UnknownColormapError, match=r"no colour map 'viridi'; nearest is 'viridis'.*Or 'auto'\."):
        colors.colormap = "viridi"
    colors.colormap = "RdBu"
    assert colors.colormap == "RdBu"


def test_the_mode_is_sent_before_the_number(make_explorer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    colors = make_explorer().colors
    sent: list[str] = []
    monkeypatch.setattr(colors, "send_state", lambda key=None: sent.append(str(key)))
    colors.vmin = -2.0
    assert sent == ["mode", "vmin"]  # in any other mode the browser puts the range in force in its place
