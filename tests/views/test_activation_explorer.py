"""ActivationExplorer without a browser: composition, linking, errors, closing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import comm
import pytest
import torch
from ipywidgets import IntSlider, Play, Widget
from ipywidgets.widgets.widget import _instances
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import ClosedError, SelectionError, SourceError, UnknownOptionError
from memviz_widgets.synced import Synced
from memviz_widgets.views.explorer import axes_in_use
from memviz_widgets.views.lifecycle import widgets_below

Make = Callable[..., mv.ActivationExplorer]


def sliders(explorer: mv.ActivationExplorer) -> dict[str, IntSlider]:
    below = widgets_below(explorer, keep=())
    return {widget.description: widget for widget in below if isinstance(widget, IntSlider)}


def test_repr_is_one_short_line(make_explorer: Make) -> None:
    explorer = make_explorer()
    assert repr(explorer) == "ActivationExplorer(5 layers, at '0')"


def test_sliders_of_an_axis_without_meaning_are_disabled_not_gone(make_explorer: Make) -> None:
    found = sliders(make_explorer())
    assert sorted(found) == ["channel", "layer", "sample", "timestep"]
    assert found["timestep"].disabled and not found["channel"].disabled
    assert (found["channel"].max, found["sample"].max, found["layer"].max) == (3, 2, 4)


def test_call_slider_appears_when_a_module_ran_more_than_once(make_explorer: Make) -> None:
    shared = nn.Linear(4, 4)
    found = sliders(make_explorer(nn.Sequential(shared, nn.ReLU(), shared), torch.ones(1, 4)))
    assert "call" in found and "sample" not in found


def test_step_slider_appears_when_the_model_ran_more_than_once(make_explorer: Make) -> None:
    explorer = make_explorer()
    catalog = explorer.selection.store.catalog
    layers = [{**layer, "records": [*layer["records"], []]} for layer in catalog["layers"]]
    assert "step" not in axes_in_use(explorer.selection)
    explorer.selection.store.catalog = {**catalog, "layers": layers}
    assert axes_in_use(explorer.selection) == ["sample", "step"]


def test_each_axis_has_a_play_button(make_explorer: Make) -> None:
    explorer = make_explorer()
    plays = [widget for widget in widgets_below(explorer, keep=()) if isinstance(widget, Play)]
    assert len(plays) == len(sliders(explorer)) == 4


def test_explorers_of_one_cache_share_the_selection(make_explorer: Make, model: nn.Module, x: torch.Tensor) -> None:
    cache = mv.ActivationCache.capture(model, x)
    one, two, alone = make_explorer(cache), make_explorer(cache), make_explorer(cache, link=False)
    one.selection.layer = 2
    assert two.selection.layer == 2
    assert alone.selection.layer == 0


def test_closing_one_explorer_leaves_the_other_working(make_explorer: Make, model: nn.Module, x: torch.Tensor) -> None:
    cache = mv.ActivationCache.capture(model, x)
    one, two = make_explorer(cache), make_explorer(cache)
    one.close()
    two.selection.layer = "3"
    assert two.selection.path == "3"
    assert two.selection.store.comm is not None


def test_ten_explorers_leave_no_widget_comm_hook_or_tensor(model: nn.Module, x: torch.Tensor) -> None:
    def counted() -> tuple[int, int, int, int]:
        gc.collect()
        tensors = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
        hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
        return len(_instances), len(comm.get_comm_manager().comms), hooks, tensors

    mv.ActivationExplorer(model, x).close()  # the first one fills caches of the libraries
    before = counted()
    for _ in range(10):
        mv.ActivationExplorer(model, x).close()
    assert counted() == before


def test_closed_explorer_lets_its_cache_go(model: nn.Module, x: torch.Tensor) -> None:
    explorer = mv.ActivationExplorer(model, x)
    cache = weakref.ref(explorer.cache)
    explorer.close()
    explorer.close()
    gc.collect()
    assert cache() is None
    assert repr(explorer) == "ActivationExplorer(closed)"
    with pytest.raises(ClosedError, match="this explorer is closed and has let its cache go"):
        _ = explorer.cache


def test_cache_of_a_closed_explorer_stays_usable(make_explorer: Make) -> None:
    explorer = make_explorer()
    cache = explorer.cache
    explorer.close()
    assert cache["0"].shape == (3, 4, 6, 6)


@pytest.mark.parametrize("source", [3, "model", None])
def test_source_must_be_a_model_or_a_cache(source: Any) -> None:
    text = f"source is a {type(source).__name__}; expected an nn.Module with its input"
    with pytest.raises(SourceError, match=text):
        mv.ActivationExplorer(source, torch.ones(1))


def test_input_beside_a_cache_is_refused(model: nn.Module, x: torch.Tensor) -> None:
    cache = mv.ActivationCache.capture(model, x)
    with pytest.raises(SourceError, match="x was given with a cache that is already recorded"):
        mv.ActivationExplorer(cache, x)


def test_misspelt_option_names_the_nearest(model: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(UnknownOptionError, match="no option 'bugdet'; nearest is 'budget'"):
        mv.ActivationExplorer(model, x, bugdet="1 GiB")


def test_failed_forward_makes_no_widget(x: torch.Tensor) -> None:
    before = len(_instances)
    with pytest.raises(mv.errors.ForwardError, match="Linear"):
        mv.ActivationExplorer(nn.Sequential(nn.Linear(3, 3)), x)
    assert len(_instances) == before


def test_class_instead_of_a_model_is_named(x: torch.Tensor) -> None:
    with pytest.raises(SourceError, match=r"source is the class Flatten; expected an nn\.Module"):
        mv.ActivationExplorer(nn.Flatten, x)  # type: ignore[arg-type]


def test_closed_cache_is_refused(model: nn.Module, x: torch.Tensor) -> None:
    cache = mv.ActivationCache.capture(model, x)
    cache.close()
    with pytest.raises(ClosedError, match="the cache given as source was closed"):
        mv.ActivationExplorer(cache)


def test_cache_that_is_still_recording_is_refused(
    model: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = mv.ActivationCache.capture(model, x)
    monkeypatch.setattr(mv.ActivationCache, "recording", property(lambda cache: True))
    with pytest.raises(SourceError, match=r"is still recording; call cache\.stop\(\) first\."):
        mv.ActivationExplorer(cache)


def test_spill_folder_goes_to_the_capture(
    make_explorer: Make, model: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = mv.ActivationCache.capture(model, x)
    capture = Mock(return_value=cache)
    monkeypatch.setattr(mv.ActivationCache, "capture", capture)
    make_explorer(model, x, spill="folder")
    capture.assert_called_once_with(model, x, spill="folder")


def test_selection_cannot_be_replaced(make_explorer: Make, model: nn.Module, x: torch.Tensor) -> None:
    one, other = make_explorer(), make_explorer(model, x)
    with pytest.raises(SelectionError, match="the selection of an explorer cannot be replaced; set its indices"):
        one.selection = other.selection


def test_close_all_of_ipywidgets_closes_explorers(model: nn.Module, x: torch.Tensor) -> None:
    explorer = mv.ActivationExplorer(model, x)
    cache = explorer.cache
    Widget.close_all()
    assert repr(explorer) == "ActivationExplorer(closed)"
    again = mv.ActivationExplorer(cache)
    assert again.selection.comm is not None
    again.close()


@pytest.mark.parametrize("part", ["selection", "store"])
def test_part_that_was_closed_is_made_anew_for_the_next_explorer(
    make_explorer: Make, model: nn.Module, x: torch.Tensor, part: str
) -> None:
    cache = mv.ActivationCache.capture(model, x)
    selection = make_explorer(cache).selection
    (selection if part == "selection" else selection.store).close()
    fresh = make_explorer(cache).selection
    assert fresh.comm is not None and fresh.store.comm is not None


def test_every_part_has_a_short_repr(make_explorer: Make) -> None:
    texts = [repr(part) for part in widgets_below(make_explorer(), keep=()) if isinstance(part, Synced)]
    assert "ColorMapping(mode='auto', vmin=0.0, vmax=1.0, colormap='auto')" in texts
    assert "TensorImage(readout=True)" in texts
    assert all(len(text) < 100 and "\n" not in text for text in texts)
