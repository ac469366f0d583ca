"""Every view of an opened capture is that of the cache that was saved, without the model."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ipywidgets import Widget
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.analysis import health

TOKENS = list("abcdefgh")


class Model(nn.Module):
    """A picture of everything: convolution, attention, memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.embed = nn.Linear(32, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, batch_first=True)
        self.lstm = nn.LSTM(16, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x).transpose(1, 2).flatten(2)  # (B, T, 4 W)
        out: Tensor = self.lstm(self.block(self.embed(h)))[0]
        return out


@pytest.fixture(params=["run.zarr", "run.safetensors"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ActivationCache, ActivationCache]]:
    torch.manual_seed(0)
    cache = ActivationCache.capture(Model().eval(), torch.randn(2, 1, 8, 8), tokens=TOKENS, image=torch.rand(1, 8, 8))
    cache.save(tmp_path / request.param)
    opened = ActivationCache.open(tmp_path / request.param)
    yield cache, opened
    cache.close()
    opened.close()


def shown(view: Any) -> tuple[Any, ...]:
    """What a view sends to the browser: the catalog, the first pages, and every array of its widgets."""
    store = view.selection.store
    return store.catalog, store.pages, store.notice, view.selection.layer


@pytest.mark.parametrize("make", [mv.ActivationExplorer, mv.AttentionExplorer, mv.MemoryExplorer])
def test_a_view_shows_the_same(pair: tuple[ActivationCache, ActivationCache], make: Callable[[Any], Any]) -> None:
    before = set(Widget.widgets) if hasattr(Widget, "widgets") else set()
    views = [make(cache) for cache in pair]
    assert shown(views[0]) == shown(views[1])
    for view in views:
        view.close()
    assert not before or set(Widget.widgets) == before


def test_all_views_at_once(pair: tuple[ActivationCache, ActivationCache]) -> None:
    box = mv.explore(pair[1])
    assert len(box.children) >= 3
    box.close()


def test_health_is_the_same(pair: tuple[ActivationCache, ActivationCache]) -> None:
    first, second = (health.report(cache) for cache in pair)
    assert first.findings == second.findings and first.unread == second.unread


def test_measures_of_attention_and_memory_are_the_same(pair: tuple[ActivationCache, ActivationCache]) -> None:
    for first, second in zip(*(cache.memories().values() for cache in pair), strict=True):
        assert [record.residual for record in first] == [record.residual for record in second]
    weights = [cache.attention("block.self_attn") for cache in pair]
    entropies = [mv.analysis.attention.entropy(each) for each in weights]
    torch.testing.assert_close(entropies[0], entropies[1], rtol=0, atol=0)


def test_the_model_is_gone_while_the_opened_capture_is_looked_at(tmp_path: Path) -> None:
    model = Model().eval()
    watch = weakref.ref(model)
    ActivationCache.capture(model, torch.randn(1, 1, 8, 8)).save(tmp_path / "run.zarr")
    del model
    gc.collect()
    view = mv.MemoryExplorer(ActivationCache.open(tmp_path / "run.zarr"))
    assert watch() is None and view.selection.path == "lstm[l0] cell"
    view.close()
