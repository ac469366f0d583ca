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
STATES = """torch.manual_seed(0)
with torch.no_grad():
    explorer = mv.MemoryExplorer(torch.nn.LSTM(8, 24, batch_first=True), torch.randn(1, 6_000, 8))
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
    messages = page.locator(".memviz-record-messages")
    expect(messages).to_contain_text("1 of 4 \N{MULTIPLICATION SIGN} 4 cells shown: largest |x|")
    x, y = zoom(notebook, 20, (0.4, 0.6))
    expect(page.locator(f"{DETAIL}[data-pools='1 1']")).to_be_visible(timeout=20_000)
    expect(messages).to_have_text("zoomed: every cell of this part is shown")
    tooltip = page.locator(".memviz-picture .memviz-tooltip")  # under a pointer that rests
    expect(tooltip).to_have_text(re.compile(r"height \d+, width \d+: -?[\d.]+$"), timeout=20_000)
    row, col, value = re.findall(r"-?\d[\d.]*", tooltip.inner_text())[-3:]
    assert float(value) == pytest.approx(notebook.evaluate(f"values[0, 0, {row}, {col}].item()"), rel=1e-6)
    notebook.execute("explorer.selection.channel = 1")
    expect(page.locator(f"{DETAIL}[data-pools='1 1']")).to_be_visible(timeout=20_000)
    expect(tooltip).to_have_text(re.compile(r"^channel 1, height \d+"), timeout=20_000)
    page.mouse.dblclick(x, y)
    expect(page.locator(DETAIL)).to_be_hidden(timeout=20_000)
    expect(messages).to_contain_text("1 of 4 \N{MULTIPLICATION SIGN} 4 cells shown: largest |x|")


def test_cells_show_the_mean_when_that_is_chosen(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LARGE)
    page = notebook.page
    page.locator(".memviz-explorer select").filter(has_text="largest magnitude").select_option(label="mean")
    expect(page.locator(".memviz-record-messages")).to_contain_text("cells shown: mean", timeout=20_000)
    box = page.locator(".memviz-picture .memviz-image-holder").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    tooltip = page.locator(".memviz-picture .memviz-tooltip")
    expect(tooltip).to_have_text(
        re.compile("^mean of channel 0, height [0-9]+\N{EN DASH}[0-9]+, width [0-9]+\N{EN DASH}[0-9]+: -?[0-9.e-]+$"),
        timeout=20_000,
    )
    *corners, value = re.findall(r"-?\d[\d.e-]*", tooltip.inner_text())
    _, top, bottom, left, right = (int(corner) for corner in corners)
    exact = notebook.evaluate(f"values[0, 0, {top}:{bottom + 1}, {left}:{right + 1}].mean().item()")
    assert float(value) == pytest.approx(exact, abs=1e-6)


def test_units_over_time_of_a_memory_have_a_detail_by_keyboard(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(STATES)
    page = notebook.page
    page.locator(".memviz-memory-picture .memviz-image-holder").focus()
    for _ in range(9):
        page.keyboard.press("+")
    detail = page.locator(".memviz-memory-picture canvas.memviz-detail[data-pools='1 1']")
    expect(detail).to_be_visible(timeout=20_000)
    expect(page.locator(".memviz-record-messages")).to_contain_text("zoomed: every cell of this part is shown")
    page.keyboard.press("0")
    expect(detail).to_be_hidden(timeout=20_000)


def test_every_one_of_100_000_channels_is_in_reach(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CHANNELS)
    page = notebook.page
    notebook.execute("explorer.selection.channel = 99_999")
    notebook.wait_painted(0, 99_999)
    pager = page.locator(".memviz-sheet-page")
    expect(pager).to_contain_text("100,000 of 100,000")
    page.get_by_label("previous channels").click()
    expect(pager).to_contain_text("99,840 of 100,000")
