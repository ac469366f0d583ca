"""The memory card in a real notebook: measured when it is looked at, remembered, readable without a kernel."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .jupyter_lab import Notebook

CELL = """import memviz_widgets.frames.memory_card_states as states
states.QUICK_S = 0.0  # so that the gradient horizon waits for its button
from memviz_widgets.analysis.recall import DelayedRecall, measure
torch.manual_seed(0)
model = torch.nn.LSTM(3, 6, batch_first=True)
x = torch.randn(2, 40, 3)
def guess(inputs):
    return torch.zeros(*inputs.shape, 10)
with torch.no_grad():
    explorer = mv.MemoryExplorer(model, x, recall=measure(guess, DelayedRecall(), [1, 5]))
explorer"""


def open_card(notebook: Notebook) -> Page:
    page = notebook.page
    page.locator(".memviz-card").scroll_into_view_if_needed()
    page.wait_for_selector(".memviz-card[data-state=ready]")
    return page


def value_of(page: Page, name: str) -> str:
    row = page.locator(".memviz-card-row", has=page.get_by_role("rowheader", name=name, exact=True))
    return row.locator(".memviz-card-value").inner_text()


def test_the_card_is_what_the_kernel_measured(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELL)
    page = open_card(notebook)
    record = notebook.evaluate("explorer.selection.record")
    assert notebook.evaluate("list(explorer.card.cards)") == [f"{record}/0"]
    rows = notebook.evaluate(f"explorer.card.cards['{record}/0']['rows']")
    assert {row["name"] for row in rows} >= {"time constant", "retention horizon", "saturation of gate.f", "state size"}
    for row in rows:
        assert value_of(page, row["name"]) == row["value"]
    expect(page.locator(".memviz-card-absent")).to_contain_text("no KV cache here")
    assert value_of(page, "recall at delay 5") == notebook.evaluate("explorer.card.recall[1]['value']")
    how = page.get_by_role("button", name="how computed: time constant")
    how.focus()
    page.keyboard.press("Enter")
    expect(how).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".memviz-card-method:visible")).to_contain_text("mean(ln keep)")
    assert not notebook.problems


def test_what_takes_long_has_a_button_and_what_is_known_needs_no_kernel(
    open_notebook: Callable[..., Notebook],
) -> None:
    notebook = open_notebook(CELL)
    page = open_card(notebook)
    first = value_of(page, "time constant")
    page.get_by_role("button", name="measure gradient horizon").click()
    expect(page.get_by_role("rowheader", name="gradient horizon (1/e)")).to_be_visible()
    expect(page.locator(".memviz-card-offers")).to_be_hidden()
    notebook.execute("explorer.selection.sample = 1")
    expect(page.locator(".memviz-card-title").first).to_have_text("(model) l0, sample 1")
    page.wait_for_selector(".memviz-card[data-state=ready]")
    assert value_of(page, "time constant") != first
    notebook.execute("import time; time.sleep(20)", wait=False)
    notebook.focus_slider("sample")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".memviz-card-title").first).to_have_text("(model) l0, sample 0", timeout=5_000)
    assert value_of(page, "time constant") == first
    expect(page.get_by_role("rowheader", name="gradient horizon (1/e)")).to_be_visible()
    assert not notebook.problems
