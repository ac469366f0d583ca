"""10,000 modules in a real JupyterLab: few rows in the page, found by name, and found again without a kernel."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from .jupyter_lab import Notebook

MODULES = """from torch import nn
deep = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3_333)))
with torch.no_grad():
    explorer = mv.ActivationExplorer(deep, torch.randn(2, 4))
explorer"""
FIELD, COUNT, OPTIONS = ".memviz-picker-input", ".memviz-picker-count", ".memviz-picker-option"
EARLY, LATE = "0.0 · Linear · 1 of 10,000", "3332.0 · Linear · 9,997 of 10,000"
WAIT_MS = 15_000


def test_ten_thousand_layers_are_listed_and_found(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(MODULES)
    page = notebook.page
    notebook.focus_slider("layer")
    page.keyboard.press("/")
    expect(page.locator(FIELD)).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert page.locator(OPTIONS).count() < 40
    assert page.locator(OPTIONS).first.get_attribute("aria-setsize") == "10000"
    listed = page.locator(".memviz-picker-list")
    assert listed.evaluate("list => list.scrollHeight") == 10_000 * 24
    listed.hover()
    page.mouse.wheel(0, 24 * 6_000)
    expect(page.locator(f"{OPTIONS}[aria-posinset='6001']")).to_be_visible()
    assert page.locator(OPTIONS).count() < 40

    page.keyboard.type("33.1")
    expect(page.locator(COUNT)).to_have_text("33 found")
    for place, label in ((1, "33.1"), (2, "133.1")):
        page.keyboard.press("Enter")
        expect(page.locator(COUNT)).to_have_text(f"{place} of 33")
        expect(page.locator(".memviz-picker-readout .memviz-picker-path")).to_have_text(label)
    record = notebook.evaluate("explorer.selection.store.catalog['layers'][400]['records'][0][0]")
    notebook.wait_painted(record, 0)
    assert notebook.heard("explorer.selection.layer", 400) == 400
    page.keyboard.press("Control+a")
    page.keyboard.type("no such layer")
    expect(page.locator(".memviz-picker-remark")).to_have_text("no layer of that name")
    page.keyboard.press("Escape")


def test_layers_are_found_again_without_a_kernel(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(MODULES)
    named, facts = (notebook.page.locator(f".memviz-{part}") for part in ("picker-readout", "record-facts"))
    notebook.execute("explorer.selection.layer = 9_996")
    expect(named).to_have_text(LATE, timeout=WAIT_MS)
    expect(facts).to_contain_text("float32")
    told = facts.inner_text()
    notebook.execute("explorer.selection.layer = 0")
    expect(named).to_have_text(EARLY, timeout=WAIT_MS)
    notebook.reopen_without_kernel()
    notebook.wait_ready()
    expect(named).to_have_text(EARLY, timeout=WAIT_MS)
    notebook.page.locator(FIELD).fill("3332.0")
    notebook.page.keyboard.press("Enter")
    expect(named).to_have_text(LATE, timeout=WAIT_MS)
    assert facts.inner_text() == told, "its statistics are in the page, to the last digit that is shown"
