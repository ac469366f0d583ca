"""The explorer of a recorded data set: a slider over all samples, and the samples that excite the selected channel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ipywidgets.widgets.widget import _instances
from torch import nn

import memviz_widgets as mv
from memviz_widgets.views import TopExamples
from memviz_widgets.views.lifecycle import widgets_below

pytest.importorskip("zarr")
SAMPLES = 60


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 5)).eval()


def recorded(to: Path, world_size: int = 1, lost: int | None = None) -> mv.ActivationDataset:
    pictures = torch.randn(SAMPLES, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for rank in range(world_size):
        if rank != lost:
            options = {"layers": ["0", "2"], "to": to, "top_k": 3, "rank": rank, "world_size": world_size}
            mv.record_dataset(network(), pictures.split(16), **options)  # type: ignore[arg-type]  # as they are called
    return mv.open_dataset(to)


@pytest.fixture(params=[1, 3], ids=["one process", "3 ranks"])
def dataset(tmp_path: Path, request: pytest.FixtureRequest) -> mv.ActivationDataset:
    return recorded(tmp_path / "a.zarr", request.param)


def strips_in(explorer: mv.ActivationExplorer) -> list[TopExamples]:
    return [widget for widget in widgets_below(explorer, keep=(mv.Selection,)) if isinstance(widget, TopExamples)]


def examples_of(explorer: mv.ActivationExplorer) -> TopExamples:
    (found,) = strips_in(explorer)
    return found


def test_examples_follow_layer_and_channel(dataset: mv.ActivationDataset) -> None:
    explorer = mv.ActivationExplorer(dataset)
    strip, selection = examples_of(explorer), explorer.selection
    assert selection.extent("sample") == SAMPLES
    for layer, channel in (("0", 0), ("0", 3), ("2", 4)):
        selection.layer = layer
        selection.channel = channel
        top = dataset.top(layer, channel)
        assert (strip.record, strip.channel) == (dataset.find(layer).index, channel)
        assert strip.samples == [each.sample for each in top]
        assert len(strip.values) == len(strip.places) == 3
    assert strip.places == ["", "", ""]
    selection.layer = "0"
    assert strip.places[0] == str(dataset.top("0", selection.channel)[0].position)
    assert float(strip.values[0].replace("\N{MINUS SIGN}", "-")) == pytest.approx(
        dataset.top("0", selection.channel)[0].value, rel=1e-3
    )
    explorer.close()


def test_a_channel_beyond_the_next_layer_moves_into_it(dataset: mv.ActivationDataset) -> None:
    explorer = mv.ActivationExplorer(dataset)
    explorer.selection.layer = "2"
    explorer.selection.channel = 4
    explorer.selection.layer = "0"
    assert examples_of(explorer).channel == explorer.selection.channel == 3
    explorer.close()


def test_closing_leaves_nothing(dataset: mv.ActivationDataset) -> None:
    before = set(_instances)
    first, second = mv.ActivationExplorer(dataset), mv.ActivationExplorer(dataset)
    strip = examples_of(first)
    first.close()
    second.selection.channel = 2
    assert strip.channel == 0
    assert examples_of(second).channel == 2
    second.close()
    assert set(_instances) == before


def test_a_capture_has_no_examples() -> None:
    explorer = mv.ActivationExplorer(network(), torch.randn(2, 1, 8, 8))
    assert strips_in(explorer) == []
    explorer.close()


def test_a_picture_of_it_is_saved(dataset: mv.ActivationDataset, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    explorer = mv.ActivationExplorer(dataset)
    explorer.selection.sample = SAMPLES - 1
    assert explorer.save_png(tmp_path / "a.png").stat().st_size > 1000
    explorer.close()


def test_a_lost_rank_is_said_and_its_samples_are_no_numbers(tmp_path: Path) -> None:
    explorer = mv.ActivationExplorer(recorded(tmp_path / "a.zarr", 4, lost=1))
    assert "rank 1 of 4 missing" in explorer.selection.store.summary
    explorer.selection.layer = "0"
    explorer.selection.sample = 20  # of the second batch, which was that of rank 1
    assert "20" not in examples_of(explorer).samples
    explorer.close()
