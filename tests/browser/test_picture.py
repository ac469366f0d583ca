"""Pictures of views in a real notebook: the save menu, and the map of the picture pixel for pixel as on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import expect

from ..png_map import places_of
from .jupyter_lab import Notebook

CONV = """torch.manual_seed(0)
values = torch.randn(2, 3, 20, 30)
values[0, 0, 3, 4:9], values[0, 0, 8, 12], values[0, 0, 12, 20] = float("nan"), float("inf"), -float("inf")
explorer = mv.ActivationExplorer(torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU()), values)
explorer"""
ATTENTION = """torch.manual_seed(0)
words = "the cat sat on".split()
model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
with torch.no_grad():
    mask = torch.ones(4, 4, dtype=torch.bool).triu(1)
    explorer = mv.AttentionExplorer(model, {"src": torch.randn(1, 4, 8), "mask": mask}, tokens=words)
explorer"""
MEMORY = """torch.manual_seed(0)
words = "the cat sat on the mat".split()
with torch.no_grad():
    explorer = mv.MemoryExplorer(torch.nn.LSTM(3, 8, batch_first=True), torch.randn(1, 6, 3), tokens=words)
explorer"""
COMPARISON = """torch.manual_seed(0)
model, x = torch.nn.Conv2d(1, 4, 3), torch.randn(2, 1, 14, 14)
a = mv.ActivationCache.capture(model, x)
with torch.no_grad():
    model.weight[2] += 0.3
explorer = mv.compare(a, mv.ActivationCache.capture(model, x))
explorer"""
# What is set in the kernel, one after another.
STATES = {
    "activations": (
        CONV,
        (
            "",
            "explorer.selection.channel, explorer.selection.sample = 2, 1",
            "explorer.colors.mode = 'frame'",
            "explorer.colors.mode = 'all'",
            "explorer.colors.vmin, explorer.colors.vmax, explorer.colors.colormap = -0.5, 1.5, 'batlow'",
            "explorer.selection.layer = '1'; explorer.colors.mode, explorer.colors.colormap = 'auto', 'auto'",
            "explorer.colors.mode = 'symmetric'",
        ),
    ),
    "attention": (
        ATTENTION,
        (
            "explorer.selection.head = 1",
            *(f"explorer.choice.kind = {kind!r}" for kind in ("row", "log", "mean", "max", "difference")),
            "explorer.choice.kind = 'rollout'; explorer.selection.layer = 'layers.1.linear2'",
            "explorer.selection.layer = 'layers.1.self_attn attention'",
            "explorer.selection.query, explorer.choice.kind = 2, 'flow'",
        ),
    ),
    "memory": (
        MEMORY,
        (
            "explorer.choice.order = 'timescale'",
            "explorer.selection.layer = '(model)[l0] gate.f'",
            "explorer.choice.map = 'wrote'",
            "explorer.choice.whole, explorer.selection.channel = False, 5",
        ),
    ),
}
SETUP = """from memviz_widgets.export.picture_pixels import map_pixels
def sizes():
    part = explorer._board(False).rows[0][0]
    return [*part.frame.codes.shape, *map_pixels(part, 1).shape[:2]]"""
SETTLE_S = 15.0


def is_the_same(notebook: Notebook) -> bool:
    """Whether the map of the picture that the kernel draws is what the canvas shows."""
    rows, cols, height, width = notebook.evaluate("sizes()")
    printed = notebook.execute("explorer.save_png('now.png', scale=1)")
    assert printed == ""
    seen = notebook.pixels()
    if seen.shape[:2] != (rows, cols):
        return False
    cells = np.where(seen[..., 3:] == 0, 255, seen[..., :3]).astype(np.uint8)
    png = (notebook.root / "now.png").read_bytes()
    return len(places_of(png, cells, height // rows, width // cols)) == 1


@pytest.mark.parametrize("view", STATES)
def test_the_picture_has_the_pixels_of_the_screen(view: str, open_notebook: Callable[..., Notebook]) -> None:
    cell, states = STATES[view]
    notebook = open_notebook(cell)
    notebook.execute(SETUP)
    for state in states:
        assert notebook.execute(state) == ""
        until = time.monotonic() + SETTLE_S  # the canvas follows by itself
        while not (same := is_the_same(notebook)) and time.monotonic() < until:
            notebook.page.wait_for_timeout(200)
        assert same, f"{view} after {state!r}: the picture is another one than that on the screen"
    assert notebook.page.locator(".jp-OutputArea-output img[src^='data:image/png']").count() == 0  # the widget is shown


def test_the_menu_writes_a_picture_beside_the_notebook(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV)
    page, said = notebook.page, notebook.page.locator(".memviz-save-said")
    button = page.get_by_role("button", name="Save", exact=True)
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    page.keyboard.press("ArrowDown")
    item = page.get_by_role("menuitem", name="Picture (.png)")
    item.focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("saved Sequential-activations-0.png (", timeout=30_000)
    assert (notebook.root / "Sequential-activations-0.png").read_bytes().startswith(b"\x89PNG")
    button.click()
    item.click()
    expect(said).to_contain_text("saved Sequential-activations-0-2.png (", timeout=30_000)
    notebook.execute("explorer.save_png = lambda path: open('/nowhere/at.all', 'w')")
    button.click()
    item.click()
    expect(page.locator(".memviz-save-failed")).to_contain_text("FileNotFoundError", timeout=30_000)


def test_without_a_kernel_the_button_says_so(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CONV)
    page = notebook.page
    button = page.get_by_role("button", name="Save", exact=True)
    expect(button).to_be_enabled()
    notebook.reopen_without_kernel()
    notebook.wait_ready()
    expect(button).to_be_disabled(timeout=30_000)
    expect(button).to_have_attribute("title", "saving needs a running kernel: run the notebook")


def test_the_pictures_of_a_comparison_have_the_pixels_of_the_screen(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(COMPARISON)
    canvases = notebook.page.locator("canvas.memviz-image")
    expect(canvases).to_have_count(3)
    notebook.execute("explorer.selection.channel = 2")
    until = time.monotonic() + SETTLE_S
    found: list[list[tuple[int, int]]] = []
    while [len(places) for places in found] != [1, 1, 1] and time.monotonic() < until:
        notebook.page.wait_for_timeout(200)
        assert notebook.execute("explorer.save_png('now.png', scale=1)") == ""
        png = (notebook.root / "now.png").read_bytes()
        found = [places_of(png, notebook.pixels(number)[..., :3], 23, 23) for number in range(3)]  # 280 pixels / 12
    assert [len(places) for places in found] == [1, 1, 1]
