"""Trained networks on real inputs: what the canvas shows equals what the plain modules computed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ..real_models import g2p, onet
from .jupyter_lab import Notebook
from .reference import automatic, pixels_of

ONET_CELL = """from tests.real_models import onet
model, x = onet()
explorer = mv.ActivationExplorer(model, x[:4])
explorer"""
G2P_CELL = """from tests.real_models import g2p
model, ids = g2p()
explorer = mv.ActivationExplorer(model, ids)
explorer"""
KERNEL_BUSY_S = 20
LINE_S = 10
"""Most wait for the line over time, which follows the cursor by itself."""


def plain_outputs(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output of the first call of every module, by path, from the hook that everybody writes (with a copy)."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            assert isinstance(first, torch.Tensor)
            outputs.setdefault(path, first.detach().clone())

        return hook

    handles = [module.register_forward_hook(keep(path)) for path, module in model.named_modules()]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return outputs


def labels(notebook: Notebook) -> list[str]:
    return list(notebook.evaluate("[layer['label'] for layer in explorer.selection.store.catalog['layers']]"))


def go_to_layer(notebook: Notebook, position: int) -> int:
    """Scrub to a layer with the keys of the layer slider; returns its record."""
    notebook.focus_slider("layer")
    notebook.page.keyboard.press("Home")
    for _ in range(position):
        notebook.page.keyboard.press("ArrowRight")
    return int(notebook.evaluate(f"explorer.selection.store.catalog['layers'][{position}]['records'][0][0]"))


def go_to_channel(notebook: Notebook, channel: int) -> None:
    notebook.focus_slider("channel")
    notebook.page.keyboard.press("Home")
    for _ in range(channel):
        notebook.page.keyboard.press("ArrowRight")


def assert_shows(notebook: Notebook, layer: torch.Tensor, channel: int, sample: int = 0) -> None:
    """The canvas equals the quantised reference of one map of a (B, C, H, W) layer."""
    vmin, vmax, colormap = automatic(layer.numpy())
    expected = pixels_of(layer[sample, channel].numpy(), vmin, vmax, colormap)
    np.testing.assert_array_equal(notebook.pixels(), expected)


@pytest.mark.parametrize("path", ["conv1", "prelu1", "pool2", "conv4"])
def test_onet_pixels_equal_reference(open_notebook: Callable[..., Notebook], path: str) -> None:
    model, x = onet()
    layer = plain_outputs(model, x[:4])[path]
    notebook = open_notebook(ONET_CELL)
    record = go_to_layer(notebook, labels(notebook).index(path))
    for channel in (0, 7, 20):
        go_to_channel(notebook, channel)
        notebook.wait_painted(record, channel)
        assert_shows(notebook, layer, channel)


def test_onet_hover_shows_the_tensors_number(open_notebook: Callable[..., Notebook]) -> None:
    model, x = onet()
    layer = plain_outputs(model, x[:4])["conv2"]
    notebook = open_notebook(ONET_CELL)
    record = go_to_layer(notebook, labels(notebook).index("conv2"))
    go_to_channel(notebook, 3)
    notebook.wait_painted(record, 3)
    row, col = 4, 9
    box = notebook.page.locator("canvas.memviz-image").bounding_box()
    assert box is not None
    rows, cols = layer.shape[2:]
    notebook.page.mouse.move(
        box["x"] + (col + 0.5) / cols * box["width"], box["y"] + (row + 0.5) / rows * box["height"]
    )
    exact = str(layer[0, 3, row, col].numpy())
    tooltip = notebook.page.locator(".memviz-tooltip")
    notebook.page.wait_for_function(
        "text => document.querySelector('.memviz-tooltip')?.textContent.endsWith(text)", arg=exact, timeout=10_000
    )
    assert f"height {row}" in tooltip.inner_text() and f"width {col}" in tooltip.inner_text()
    assert "≈" not in tooltip.inner_text()


def test_scrubbing_goes_on_while_the_kernel_is_busy(open_notebook: Callable[..., Notebook]) -> None:
    model, x = onet()
    layer = plain_outputs(model, x[:4])["conv2"]
    notebook = open_notebook(ONET_CELL)
    record = go_to_layer(notebook, labels(notebook).index("conv2"))
    notebook.wait_painted(record, 0)
    wait_until_loaded(notebook, record)
    notebook.execute(f"import time; time.sleep({KERNEL_BUSY_S})", wait=False)
    started = time.monotonic()
    for channel in (1, 17, 40, 63):
        go_to_channel(notebook, channel)
        notebook.wait_painted(record, channel)
        assert_shows(notebook, layer, channel)
    assert time.monotonic() - started < KERNEL_BUSY_S, "the kernel was no longer busy: the test shows nothing"


def wait_until_loaded(notebook: Notebook, record: int) -> None:
    """Wait until every frame of the record is in the browser (it is asked for in the background)."""
    notebook.page.wait_for_function(
        "r => document.querySelector('canvas.memviz-image')?.dataset.loaded === `${r}:all`", arg=record, timeout=20_000
    )


def test_gru_picture_is_time_by_channel(open_notebook: Callable[..., Notebook]) -> None:
    model, ids = g2p()
    layer = plain_outputs(model, ids)["enc"]  # (1, 11 timesteps, 256 channels)
    notebook = open_notebook(G2P_CELL)
    record = go_to_layer(notebook, next(k for k, label in enumerate(labels(notebook)) if label.startswith("enc[")))
    notebook.wait_painted(record, 0)
    vmin, vmax, colormap = automatic(layer.numpy())
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(layer[0].numpy(), vmin, vmax, colormap))


def line_over_time(notebook: Notebook) -> Any:
    """Points of the line over time, in pixels (T, 2)."""
    line = notebook.page.locator(".memviz-series path.line").first.get_attribute("d") or ""
    return np.array([pair.split(",") for pair in line[1:].split("L")], float)


def test_gru_timestep_slider_moves_the_cursor_and_the_line_shows_the_channel(
    open_notebook: Callable[..., Notebook],
) -> None:
    model, ids = g2p()
    layer = plain_outputs(model, ids)["enc"]
    notebook = open_notebook(G2P_CELL)
    record = go_to_layer(notebook, next(k for k, label in enumerate(labels(notebook)) if label.startswith("enc[")))
    notebook.wait_painted(record, 0)
    go_to_channel(notebook, 5)
    notebook.focus_slider("time")
    for _ in range(4):
        notebook.page.keyboard.press("ArrowRight")
    notebook.page.wait_for_function(
        """share => { const rect = document.querySelector('.memviz-band-line[data-axis=row]');
        const high = document.querySelector('.memviz-image-holder').clientHeight;
        return rect && Math.abs(Number(rect.getAttribute('y')) / high - share) < 0.01; }""",
        arg=4 / layer.shape[1],
    )
    values = layer[0, :, 5].numpy()
    until = time.monotonic() + LINE_S
    while True:  # the line follows the cursor, and is bqplot's to draw
        points = line_over_time(notebook)
        assert len(points) == layer.shape[1], "one point per timestep"
        slope, offset = np.polyfit(values, points[:, 1], 1)
        if np.allclose(points[:, 1], slope * values + offset, atol=0.01) or time.monotonic() > until:
            break
        notebook.page.wait_for_timeout(100)
    np.testing.assert_allclose(points[:, 1], slope * values + offset, atol=0.01)
    assert slope < 0, "larger values are higher up"
    assert notebook.heard("explorer.selection.time", 4) == 4
