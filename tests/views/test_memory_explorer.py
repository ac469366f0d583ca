"""MemoryExplorer and explore without a browser: composition, linking, errors, closing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from ipywidgets import Dropdown, IntSlider, Tab, Widget
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.errors import ClosedError, ForwardError, SourceError, UnknownOptionError
from memviz_widgets.views.cache_entries import CacheEntries
from memviz_widgets.views.lifecycle import widgets_below
from memviz_widgets.views.tensor_image import TensorImage

TOKENS = list("abcdef")


class Reader(nn.Module):
    """A recurrent layer between two others."""

    def __init__(self, attends: bool = False) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 4)
        self.rnn = nn.LSTM(4, 5, 2, batch_first=True)
        self.attend = nn.MultiheadAttention(5, 1, batch_first=True) if attends else None
        self.out = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.rnn(self.embed(x))[0]
        if self.attend is not None:
            h = self.attend(h, h, h)[0]
        out: Tensor = self.out(h)
        return out


@pytest.fixture
def explorer() -> Iterator[mv.MemoryExplorer]:
    torch.manual_seed(0)
    made = mv.MemoryExplorer(Reader(), torch.randn(2, 6, 3), tokens=TOKENS)
    yield made
    made.close()


def below(view: Widget, kind: type[Widget]) -> list[Any]:
    return [widget for widget in widgets_below(view, keep=()) if isinstance(widget, kind)]


def dropdown(view: Widget, name: str) -> Any:
    return next(control for control in below(view, Dropdown) if control.description == name)


def test_it_starts_at_what_the_first_memory_holds(explorer: mv.MemoryExplorer) -> None:
    assert explorer.selection.path == "rnn[l0] cell"
    assert [label for label, _ in dropdown(explorer, "memory").options] == ["rnn l0", "rnn l1"]
    parts = [label for label, _ in dropdown(explorer, "part").options]
    assert parts == ["cell", "hidden", "gate.i", "gate.f", "gate.g", "gate.o"]


def test_sliders_are_those_of_the_memories(explorer: mv.MemoryExplorer) -> None:
    sliders = {slider.description: slider.max for slider in below(explorer, IntSlider)}
    assert sliders == {"timestep": 5, "channel": 4, "sample": 1}


def test_readings_are_those_that_some_memory_has(explorer: mv.MemoryExplorer) -> None:
    assert below(explorer, Tab)[0].titles == ("measures", "text by unit", "retention", "gate saturation")
    plain = mv.MemoryExplorer(nn.RNN(3, 4), torch.randn(6, 3))
    assert below(plain, Tab)[0].titles == ("measures", "text by unit")  # nothing says what a plain RNN keeps
    assert not below(plain, CacheEntries)
    plain.close()


def test_slots_come_before_their_controller() -> None:
    dnc = pytest.importorskip("dnc")
    model = dnc.DNC(4, 8, nr_cells=5, cell_size=3, read_heads=1)
    view = mv.MemoryExplorer(model, torch.randn(2, 6, 4))
    assert view.selection.path == "rnn_layer_memory_shared memory"
    view.close()


def test_it_is_linked_with_the_other_views_of_the_cache(explorer: mv.MemoryExplorer) -> None:
    begins = explorer.selection.path
    other = mv.ActivationExplorer(explorer.cache)
    assert other.selection is explorer.selection
    other.selection.layer = "out"
    other.selection.time = 3
    second = mv.MemoryExplorer(explorer.cache)
    assert (second.selection.path, second.selection.time) == ("out", 3)  # who comes later does not move the others
    alone = mv.MemoryExplorer(explorer.cache, link=False)
    assert alone.selection is not explorer.selection
    assert alone.selection.path == begins != "out"  # with a cursor of its own it begins at the memory
    for view in (other, second, alone):
        view.close()


def test_a_model_without_memory_gets_a_sentence_and_no_picture() -> None:
    view = mv.MemoryExplorer(nn.Sequential(nn.Linear(4, 4)), torch.ones(1, 4))
    assert not below(view, TensorImage)
    assert not below(view, IntSlider)
    assert view.selection.store.notice.endswith("No tensor of this model looks like a memory.")
    assert view.cache.memories() == {}
    view.close()


def test_errors_say_what_to_do() -> None:
    with pytest.raises(SourceError, match=r"MemoryExplorer\(model, x\)"):
        mv.MemoryExplorer(3)  # type: ignore[arg-type]
    with pytest.raises(UnknownOptionError, match="nearest is 'tokens'"):
        mv.MemoryExplorer(nn.GRU(3, 4), torch.ones(2, 3), token=TOKENS)
    with pytest.raises(ForwardError):
        mv.MemoryExplorer(nn.GRU(3, 4), torch.ones(2, 5))
    cache = mv.ActivationCache.capture(nn.GRU(3, 4), torch.ones(2, 3))
    cache.close()
    with pytest.raises(ClosedError):
        mv.MemoryExplorer(cache)


def test_closing_leaves_the_cache() -> None:
    view = mv.MemoryExplorer(Reader(), torch.randn(2, 6, 3), tokens=TOKENS)
    cache, parts = view.cache, widgets_below(view, keep=())
    view.close()
    view.close()
    assert all(part.comm is None for part in parts)
    assert repr(view) == "MemoryExplorer(closed)"
    assert cache.get("rnn", "cell", item="l1").shape == (2, 6, 5)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Linear(3, 4), ["activations"]),
        (Reader(), ["activations", "memory"]),
        (Reader(attends=True), ["activations", "attention", "memory"]),
    ],
)
def test_explore_shows_what_there_is(model: nn.Module, names: list[str]) -> None:
    box = mv.explore(model, torch.randn(2, 6, 3))
    assert list(box.explorers) == names
    assert box.titles == tuple(names)
    assert {id(explorer.selection) for explorer in box.explorers.values()} == {id(box.selection)}
    assert repr(box) == f"explore({', '.join(names)})"
    cache, parts = box.cache, widgets_below(box, keep=())
    box.close()
    box.close()
    assert all(part.comm is None for part in parts)
    assert not cache.closed


def test_explore_side_by_side_and_of_a_cache() -> None:
    cache = mv.ActivationCache.capture(Reader(), torch.randn(2, 6, 3))
    box = mv.explore(cache, side_by_side=True)
    assert [type(child).__name__ for child in box.children] == ["ActivationExplorer", "MemoryExplorer"]
    assert box.cache is cache
    box.close()
    with pytest.raises(UnknownOptionError, match="explore has no option 'budgets'; nearest is 'budget'"):
        mv.explore(nn.Linear(3, 4), torch.ones(1, 3), budgets="1 MiB")


def test_a_range_that_was_set_in_python_has_a_name_in_the_dropdown(explorer: mv.MemoryExplorer) -> None:
    explorer.colors.vmax = 0.1
    (ranges,) = [control for control in below(explorer, Dropdown) if control.description == "range"]
    assert explorer.colors.mode in [value for _, value in ranges.options]
