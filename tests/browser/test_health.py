"""HealthReport in a real notebook: a click on a finding takes the linked views there, also while the kernel is busy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .jupyter_lab import Notebook

FAULTY_CELL = """from tests.faulty_model import Faulty, faulty_input
torch.manual_seed(0)
with torch.no_grad():
    report = mv.HealthReport(Faulty(planted=True), faulty_input())
explorer = mv.ActivationExplorer(report.cache)
report"""
HELD_BACK_CELL = """from tests.analysis.test_health_planting import noise, perceptron
model = perceptron()
with torch.no_grad():
    model[0].bias[4] = -100.0
    report = mv.HealthReport(model, noise(512, 16), budget="64 KiB")
report"""
AT = "[report.selection.path, report.selection.channel, report.selection.head, report.selection.key]"


@pytest.fixture
def notebook(open_notebook: Callable[..., Notebook]) -> Notebook:
    return open_notebook(FAULTY_CELL, "explorer")


def test_rows_lead_all_views_there_while_the_kernel_is_busy(notebook: Notebook) -> None:
    page = notebook.page
    rows = page.locator(".memviz-health-row")
    expect(rows).to_have_count(6)
    expect(page.locator(".memviz-health-headline")).to_have_text("1 error and 5 warnings in 33 layers")
    expect(rows.nth(0)).to_have_attribute("aria-selected", "true")  # alone, it starts where to look first
    notebook.execute("import time; time.sleep(8)", wait=False)
    rows.filter(has_text="dead units").locator("[data-place='6']").click()
    expect(page.locator(".memviz-picker-path").first).to_have_text("relu", timeout=3000)
    expect(page.locator(".memviz-axis-channel .noUi-handle").first).to_have_attribute("aria-valuenow", "63.0")
    assert notebook.heard(f"{AT}[:2]", ["relu", 63]) == ["relu", 63]


def test_keys_go_through_rows_and_places(notebook: Notebook) -> None:
    page = notebook.page
    rows = page.locator(".memviz-health-row")
    expect(rows).to_have_count(6)
    rows.nth(0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(rows.nth(1)).to_be_focused()
    expect(page.locator(".memviz-picker-path").first).to_have_text("relu")
    assert notebook.heard(f"{AT}[:2]", ["relu", 8]) == ["relu", 8]  # the second of the dead units
    notebook.execute("explorer.selection.layer = 'mixed'; explorer.selection.channel = 7")
    expect(rows.filter(has_text="duplicated channels")).to_have_attribute("aria-selected", "true")


def test_what_is_not_held_is_read_when_asked(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(HELD_BACK_CELL, picture=False, width=600)
    page = notebook.page
    button = page.locator(".memviz-health-offer button")
    expect(button).to_contain_text("that are not held", timeout=60_000)
    expect(page.locator(".memviz-health-row")).to_have_count(0)
    button.click()
    expect(page.locator(".memviz-health-row")).to_have_count(1)
    expect(page.locator(".memviz-health-headline")).to_have_text("1 warning in 6 layers")
    expect(button).to_be_hidden()
    notebook.execute("report.close()")
    expect(page.locator(".memviz-health")).to_have_count(0)
