"""Pictures larger than a screen in a real notebook: zoom shows single elements, and 100,000 channels are in reach."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .jupyter_lab import Notebook

LARGE = """torch.manual_seed(0)
values = torch.randn(1, 2, 4096, 4096)
explorer = mv.ActivationExplorer(torch.nn.Identity(), values)
explorer"""
CHANNELS = """torch.manual_seed(0)
with torch.no_grad():
    explorer = mv.ActivationExplorer(torch.nn.Conv2d(1, 100_000, 3, padding=1), torch.randn(1, 1, 8, 8))
explorer"""
DETAIL = ".memviz-picture canvas.memviz-detail"


def zoom(notebook: Notebook, turns: int, at: tuple[float, float]) -> tuple[float, float]:
    """Turn the mouse wheel over the plot with bqplot's own pan and zoom; the point in the page."""
    page = notebook.page
    box = page.locator(".memviz-picture .memviz-image-holder").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * at[0], box["y"] + box["height"] * at[1]
    page.mouse.move(x, y)
    for _ in range(abs(turns)):
        page.mouse.wheel(0, -120 if turns > 0 else 120)
        page.wait_for_timeout(50)
    return x, y


def test_zoom_shows_single_elements_and_reads_them(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LARGE)
    page = notebook.page
    expect(page.locator(DETAIL)).to_be_hidden()
    page.locator(".memviz-picture").hover()
    page.locator(".memviz-picture .toolbar_div button").first.click()
    x, y = zoom(notebook, 20, (0.4, 0.6))
    expect(page.locator(f"{DETAIL}[data-pools='1 1']")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(300)  # a detail that comes later hides the reading until the pointer moves
    page.mouse.move(x + 3, y + 3)
    tooltip = page.locator(".memviz-picture .memviz-tooltip")
    expect(tooltip).to_have_text(re.compile(r"height \d+, width \d+: -?[\d.]+$"), timeout=20_000)
    row, col, value = re.findall(r"-?\d[\d.]*", tooltip.inner_text())[-3:]
    assert float(value) == pytest.approx(notebook.evaluate(f"values[0, 0, {row}, {col}].item()"), rel=1e-6)
    notebook.execute("explorer.selection.channel = 1")
    page.mouse.move(x + 9, y + 9)
    expect(page.locator(f"{DETAIL}[data-pools='1 1']")).to_be_visible(timeout=20_000)


def test_every_one_of_100_000_channels_is_in_reach(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CHANNELS)
    page = notebook.page
    notebook.execute("explorer.selection.channel = 99_999")
    notebook.wait_painted(0, 99_999)
    pager = page.locator(".memviz-sheet-page")
    expect(pager).to_contain_text("100,000 of 100,000")
    page.get_by_label("previous channels").click()
    expect(pager).to_contain_text("99,840 of 100,000")
