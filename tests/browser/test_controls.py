"""Keyboard, names for screen readers, search, colours, contact sheet, layout: the explorer as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from .jupyter_lab import Notebook
from .reference import pixels_of

CONV_CELL = """torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(216, 4))
x = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8)
explorer = mv.ActivationExplorer(model, x)
explorer"""


def conv_output() -> torch.Tensor:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(1, 6, 3)
    with torch.no_grad():
        output: torch.Tensor = conv(torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8))
    return output


def selected(notebook: Notebook, trait: str, value: int) -> None:
    """Wait until the kernel's selection has this value."""
    notebook.page.wait_for_timeout(50)
    for _ in range(50):
        if notebook.evaluate(f"explorer.selection.{trait}") == value:
            return
        notebook.page.wait_for_timeout(50)
    raise AssertionError(f"selection.{trait} is {notebook.evaluate(f'explorer.selection.{trait}')}, expected {value}")


def test_arrows_move_a_focused_slider_and_the_cell_keeps_focus(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    notebook.focus_slider("channel")
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    notebook.wait_painted(0, 3)
    selected(notebook, "channel", 3)


def test_indices_set_in_python_just_before_the_display_arrive(open_notebook: Callable[..., Notebook]) -> None:
    cell = CONV_CELL.removesuffix("explorer")
    notebook = open_notebook(f"{cell}explorer.selection.channel = 4\nexplorer.selection.sample = 1\nexplorer")
    notebook.wait_painted(0, 10)  # sample 1, channel 4 of 6
    notebook.execute("explorer.selection.layer = 1; explorer.selection.channel = 2; explorer.selection.sample = 0")
    notebook.wait_painted(1, 2)
    assert notebook.heard("[explorer.selection.channel, explorer.selection.sample]", [2, 0]) == [2, 0]


def test_brackets_go_to_the_previous_and_next_layer(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    notebook.focus_slider("channel")
    notebook.page.keyboard.press("]")
    notebook.wait_painted(1, 0)
    notebook.page.keyboard.press("[")
    notebook.wait_painted(0, 0)


def test_slider_range_follows_the_layer_and_disabled_sliders_stay(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    handle = notebook.page.locator(".memviz-axis-channel .noUi-handle")
    assert float(handle.get_attribute("aria-valuemax") or "nan") == 5
    notebook.focus_slider("layer")
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    notebook.page.wait_for_function(
        """() => { const handle = document.querySelector('.memviz-axis-channel .noUi-handle');
        return parseFloat(handle.getAttribute('aria-valuemax')) === 3; }"""
    )
    assert notebook.page.locator(".memviz-axis-time .slider[disabled]").count() == 1


def test_search_finds_a_layer_by_name(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    search = notebook.page.get_by_role("combobox", name="layer")
    search.fill("linear")
    search.press("ArrowDown")
    search.press("Enter")
    selected(notebook, "layer", 3)
    assert "Linear" in notebook.page.locator(".memviz-picker").inner_text()


def test_every_control_has_an_accessible_name(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    client = notebook.page.context.new_cdp_session(notebook.page)
    tree = client.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"slider", "button", "combobox", "spinbutton", "textbox", "listbox"}
    inside = notebook.page.evaluate(
        "() => document.querySelectorAll('.memviz-explorer [role], .memviz-explorer button').length"
    )
    assert inside > 10
    root = next(node for node in tree if "activation explorer" in str(node.get("name", {}).get("value", "")).lower())
    by_id = {node["nodeId"]: node for node in tree}
    waiting, unnamed, seen = [root], [], 0
    while waiting:
        node = waiting.pop()
        waiting += [by_id[child] for child in node.get("childIds", []) if child in by_id]
        if node.get("role", {}).get("value") in roles and not node.get("ignored"):
            seen += 1
            if not node.get("name", {}).get("value"):
                unnamed.append(node)
    assert seen >= 10 and not unnamed, unnamed


@pytest.mark.parametrize("mode", ["frame", "layer", "all", "symmetric"])
def test_colour_range_never_touches_the_kernel(open_notebook: Callable[..., Notebook], mode: str) -> None:
    notebook = open_notebook(CONV_CELL)
    layer = conv_output()
    notebook.execute("import time; time.sleep(8)", wait=False)
    labels = {"frame": "this frame", "layer": "this layer", "all": "all layers", "symmetric": "symmetric about 0"}
    notebook.page.locator(".memviz-colors select").first.select_option(label=labels[mode])
    frame = layer[0, 0]
    edge = float(layer.abs().max())
    ranges: dict[str, tuple[Any, Any]] = {
        "frame": (frame.min(), frame.max()),
        "layer": (layer.min(), layer.max()),
        "symmetric": (-edge, edge),
    }
    if mode == "all":
        notebook.page.wait_for_timeout(300)
        assert notebook.image()["state"] == "ready"
        return
    low, high = ranges[mode]
    vmin, vmax = float(low), float(high)
    expected = pixels_of(frame.numpy(), vmin, vmax, "vik" if vmin < 0 < vmax else "viridis")
    notebook.page.wait_for_timeout(
        300
    )  # a range that is the same as before paints nothing: there is no event to wait for
    np.testing.assert_array_equal(notebook.pixels(), expected)


def test_typed_numbers_fix_the_range(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    boxes = notebook.page.locator(".memviz-colors input[type=number]")
    boxes.nth(0).fill("-0.25")
    boxes.nth(0).press("Enter")
    boxes.nth(1).fill("0.75")
    boxes.nth(1).press("Enter")
    notebook.page.wait_for_timeout(300)
    expected = pixels_of(conv_output()[0, 0].numpy(), -0.25, 0.75, "vik")
    np.testing.assert_array_equal(notebook.pixels(), expected)
    assert notebook.heard("explorer.colors.mode", "fixed") == "fixed"


def test_click_on_a_tile_selects_the_channel(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    sheet = notebook.page.locator(".memviz-sheet-canvas")
    box = sheet.bounding_box()
    assert box is not None
    facts = sheet.evaluate("c => ({...c.dataset})")
    row, col = divmod(4, int(facts["columns"]))
    x, y = ((k + 0.4) * float(facts[pitch]) for k, pitch in ((col, "pitchX"), (row, "pitchY")))
    notebook.page.mouse.click(box["x"] + x, box["y"] + y)
    notebook.wait_painted(0, 4)
    selected(notebook, "channel", 4)


def test_order_by_magnitude_puts_the_strongest_channel_first(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    notebook.page.locator(".memviz-side select").select_option(label="mean magnitude")
    strongest = int(conv_output().abs().mean((0, 2, 3)).argmax())
    sheet = notebook.page.locator(".memviz-sheet-canvas").bounding_box()
    assert sheet is not None
    notebook.page.mouse.click(sheet["x"] + 12, sheet["y"] + 12)
    selected(notebook, "channel", strongest)


def test_play_button_moves_the_channel_without_the_kernel(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV_CELL)
    notebook.execute("import time; time.sleep(6)", wait=False)
    notebook.page.locator(".memviz-axis-channel .widget-play button").first.click()
    notebook.page.wait_for_function(
        "() => Number(document.querySelector('canvas.memviz-image').dataset.frame) >= 2", timeout=5_000
    )


@pytest.mark.parametrize("width", [600, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_clipped(open_notebook: Callable[..., Notebook], width: int, theme: str) -> None:
    notebook = open_notebook(CONV_CELL, width=width)
    if theme == "dark":
        notebook.page.evaluate(
            "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
        )
        notebook.page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    notebook.page.wait_for_timeout(600)
    overflow = notebook.page.evaluate(
        """() => { const root = document.querySelector('.memviz-explorer'), edge = root.getBoundingClientRect();
        return [...root.querySelectorAll('input, select, button, canvas.memviz-image, .memviz-sheet, .memviz-bar')]
          .filter(e => e.offsetParent && e.getBoundingClientRect().right > edge.right + 1)
          .map(e => e.outerHTML.slice(0, 120)); }"""
    )
    assert overflow == []


def test_names_of_layers_are_text_never_html(open_notebook: Callable[..., Notebook]) -> None:
    cell = """class Named(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("<img src=x onerror=hacked=1>", torch.nn.ReLU())
    def forward(self, x):
        for child in self.children(): x = child(x)
        return x
explorer = mv.ActivationExplorer(Named(), torch.randn(1, 2, 4, 4))
explorer"""
    notebook = open_notebook(cell)
    assert "<img src=x" in notebook.page.locator(".memviz-picker").inner_text()
    assert notebook.page.evaluate("() => window.hacked === undefined")
