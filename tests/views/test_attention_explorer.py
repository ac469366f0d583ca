"""AttentionExplorer without a browser: composition, linking, errors, closing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from ipywidgets import Dropdown, IntSlider, Tab, Widget
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.errors import InputError, SourceError, UnknownOptionError
from memviz_widgets.views.head_grid import HeadGrid
from memviz_widgets.views.lifecycle import widgets_below
from memviz_widgets.views.tensor_image import TensorImage


class Attends(nn.Module):
    """An embedding, then two layers of fused attention of 2 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 8)
        self.layers = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x, x, x, need_weights=False)[0]
        return x


@pytest.fixture
def explorer() -> Iterator[mv.AttentionExplorer]:
    torch.manual_seed(0)
    made = mv.AttentionExplorer(Attends().eval(), torch.randn(2, 5, 8), tokens=list("abcde"))
    yield made
    made.close()


def below(view: Widget, kind: type[Widget]) -> list[Any]:
    return [widget for widget in widgets_below(view, keep=()) if isinstance(widget, kind)]


def test_it_starts_at_the_first_attention(explorer: mv.AttentionExplorer) -> None:
    assert explorer.selection.path == "layers.0 attention"
    assert repr(explorer) == f"AttentionExplorer({explorer.selection.extent('layer')} layers, at 'layers.0 attention')"


def test_layers_and_axes_are_those_of_the_attention(explorer: mv.AttentionExplorer) -> None:
    [layers] = [control for control in below(explorer, Dropdown) if control.description == "layer"]
    assert [label for label, _ in layers.options] == ["layers.0 attention", "layers.1 attention"]
    sliders = {slider.description: slider.max for slider in below(explorer, IntSlider)}
    assert sliders == {"head": 1, "query": 4, "key": 4, "sample": 1, "other head": 1}


def test_a_picture_has_its_own_tab(explorer: mv.AttentionExplorer) -> None:
    assert below(explorer, Tab)[0].titles == ("text", "lines")
    with_picture = mv.AttentionExplorer(Attends().eval(), torch.randn(1, 5, 8), image=torch.rand(3, 4, 4))
    assert below(with_picture, Tab)[0].titles == ("text", "lines", "picture")
    with_picture.close()


def test_it_is_linked_with_the_other_views_of_the_cache(explorer: mv.AttentionExplorer) -> None:
    other = mv.ActivationExplorer(explorer.cache)
    assert other.selection is explorer.selection
    other.selection.layer = "embed"
    assert explorer.selection.path == "embed"
    second = mv.AttentionExplorer(explorer.cache)
    assert second.selection.path == "embed"  # who comes later does not move the others
    second.close()
    other.close()


def test_a_model_without_attention_gets_a_sentence_and_no_picture() -> None:
    view = mv.AttentionExplorer(nn.Sequential(nn.Linear(4, 4)), torch.ones(1, 4))
    assert below(view, HeadGrid) and not below(view, TensorImage) and not below(view, IntSlider)
    view.close()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UnknownOptionError, match="AttentionExplorer"):
        mv.AttentionExplorer(Attends(), torch.randn(1, 5, 8), token=["a"])
    with pytest.raises(SourceError, match=r"AttentionExplorer\(model, x\)"):
        mv.AttentionExplorer("bert")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        mv.AttentionExplorer(Attends(), torch.randn(1, 5, 8), tokens=5)


def test_closing_ends_every_widget(explorer: mv.AttentionExplorer) -> None:
    own = [widget for widget in widgets_below(explorer, keep=()) if widget is not explorer]
    explorer.close()
    explorer.close()
    assert all(widget.comm is None for widget in own)
    assert repr(explorer) == "AttentionExplorer(closed)"
