"""HeadGrid from Python: what its traits take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from traitlets import TraitError

import memviz_widgets as mv
from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import HeadGrid
from memviz_widgets.views.lifecycle import close_all

Make = Callable[..., mv.ActivationExplorer]


@pytest.fixture
def make_grid(make_explorer: Make) -> Iterator[Callable[..., HeadGrid]]:
    """``make_grid(order="sink")`` shows the fixture's model; it is closed after the test."""
    made: list[HeadGrid] = []

    def make(**traits: Any) -> HeadGrid:
        made.append(HeadGrid(selection=make_explorer().selection, **traits))
        return made[-1]

    yield make
    close_all([widget for grid in made for widget in (grid, grid.layout)])


@pytest.mark.parametrize("order", ["index", "entropy", "distance", "sink", "induction"])
def test_heads_are_sorted_by_index_or_a_measure(make_grid: Callable[..., HeadGrid], order: str) -> None:
    grid = make_grid()
    assert grid.order == "index"
    grid.order = order
    assert repr(grid) == f"HeadGrid(order={order!r})"


def test_unknown_order_is_refused(make_grid: Callable[..., HeadGrid]) -> None:
    with pytest.raises(TraitError, match=r"order.*'magnitude'"):
        make_grid().order = "magnitude"


def test_misspelt_trait_names_the_nearest(make_explorer: Make) -> None:
    with pytest.raises(UnknownOptionError, match="HeadGrid has no option 'oder'; nearest is 'order'"):
        HeadGrid(selection=make_explorer().selection, oder="sink")


def test_the_browser_gets_selection_and_order(make_grid: Callable[..., HeadGrid]) -> None:
    grid = make_grid(order="sink")
    state = grid.get_state()
    assert (state["selection"], state["order"]) == (f"IPY_MODEL_{grid.selection.model_id}", "sink")
    assert (state["_model_name"], state["_view_name"]) == ("HeadGridModel", "HeadGridView")
