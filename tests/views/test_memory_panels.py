"""MemoryPanels from Python: what its traits take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from traitlets import TraitError

import memviz_widgets as mv
from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views.lifecycle import close_all
from memviz_widgets.views.memory_panels import MemoryPanels

Make = Callable[..., mv.ActivationExplorer]


@pytest.fixture
def make_panels(make_explorer: Make) -> Iterator[Callable[..., MemoryPanels]]:
    """``make_panels(order="timescale")`` shows the fixture's model; it is closed after the test."""
    made: list[MemoryPanels] = []

    def make(**traits: Any) -> MemoryPanels:
        made.append(MemoryPanels(selection=make_explorer().selection, **traits))
        return made[-1]

    yield make
    close_all([widget for panels in made for widget in (panels, panels.layout)])


@pytest.mark.parametrize("order", ["index", "timescale", "similarity"])
def test_units_are_by_index_timescale_or_similarity(make_panels: Callable[..., MemoryPanels], order: str) -> None:
    panels = make_panels()
    assert panels.order == "index"
    panels.order = order
    assert repr(panels) == f"MemoryPanels(order={order!r})"


def test_unknown_order_is_refused(make_panels: Callable[..., MemoryPanels]) -> None:
    with pytest.raises(TraitError, match=r"order.*'entropy'"):
        make_panels().order = "entropy"


def test_misspelt_trait_names_the_nearest(make_explorer: Make) -> None:
    with pytest.raises(UnknownOptionError, match="MemoryPanels has no option 'oder'; nearest is 'order'"):
        MemoryPanels(selection=make_explorer().selection, oder="index")


def test_the_browser_gets_selection_and_order(make_panels: Callable[..., MemoryPanels]) -> None:
    panels = make_panels(order="timescale")
    state = panels.get_state()
    assert (state["selection"], state["order"]) == (f"IPY_MODEL_{panels.selection.model_id}", "timescale")
    assert (state["_model_name"], state["_view_name"]) == ("MemoryPanelsModel", "MemoryPanelsView")
