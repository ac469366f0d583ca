"""A training in a real notebook: the step slider with its labels, scrubbed while the kernel is busy, in one range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from playwright.sync_api import Page, expect

from .jupyter_lab import Notebook
from .reference import automatic, pixels_of

TRAINING = """torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 64, 3))
x, target = torch.randn(8, 1, 10, 10), torch.arange(8) % 3
optimiser = torch.optim.SGD(model.parameters(), lr=0.3)
cache = mv.ActivationCache()
for epoch in range(6):
    cache.record_step(model, x, step=f"epoch {epoch}")
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(model(x), target).backward()
    optimiser.step()
explorer = mv.ActivationExplorer(cache)
explorer"""

LOOP = """torch.manual_seed(0)
cell, x = torch.nn.GRUCell(3, 4), torch.randn(5, 1, 3)
with mv.record(cell) as cache:
    h = torch.zeros(1, 4)
    for t in range(5):
        h = cell(x[t], h)
explorer = mv.MemoryExplorer(cache)
explorer"""

MEMORY = """torch.manual_seed(0)
lstm, x = torch.nn.LSTM(3, 4, batch_first=True), torch.randn(1, 7, 3)
states = []
for step in range(3):
    states.append({key: value * (1 + step) for key, value in lstm.state_dict().items()})
cache = mv.timelapse(lstm, dict(zip(["start", "half way", "end"], states)), x)
explorer = mv.MemoryExplorer(cache)
explorer"""

ATTENTION = """torch.manual_seed(0)
attention, x = torch.nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(1, 5, 8)
states = [{key: value * (1 + 4 * step) for key, value in attention.state_dict().items()} for step in range(4)]
cache = mv.timelapse(attention, states, (x, x, x), labels=[0, 100, 200, 300])
explorer = mv.AttentionExplorer(cache)
explorer"""


def label(page: Page) -> str:
    return page.locator(".memviz-step-label").inner_text()


def settled(notebook: Notebook) -> None:
    """Wait until the page has asked for nothing for a while: the other steps have come."""
    count = "explorer.selection.store._asked"
    notebook.execute(
        "store = explorer.selection.store; store._asked = 0\n"
        "store.on_msg(lambda *_: setattr(store, '_asked', store._asked + 1))"
    )
    last = -1
    for _ in range(40):
        notebook.page.wait_for_timeout(250)
        now = notebook.evaluate(count)
        if now == last:
            return
        last = now
    raise AssertionError("the page keeps asking for pages")


def test_a_training_is_scrubbed_while_the_kernel_is_busy(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(TRAINING)
    page = notebook.page
    expect(page.locator(".memviz-step-label")).to_have_text("epoch 0")
    steps = np.array(notebook.evaluate("[cache.get('0', step=k)[0, 0].tolist() for k in range(6)]"), np.float32)
    records = notebook.evaluate("[cache.find('0', step=k).index for k in range(6)]")
    layer = np.array(notebook.evaluate("[cache.get('0', step=k).tolist() for k in range(6)]"), np.float32)
    settled(notebook)
    notebook.execute("import time; time.sleep(20)", wait=False)
    notebook.focus_slider("step")
    for step in range(1, 6):
        page.keyboard.press("ArrowRight")
        notebook.wait_painted(records[step], 0, timeout_ms=5_000)
        assert label(page) == f"epoch {step}"
        # The range is that of the layer in all steps, so a value has the same colour in each.
        np.testing.assert_array_equal(notebook.pixels(), pixels_of(steps[step], *automatic(layer)))
    said = page.locator(".memviz-axis-step .noUi-handle").get_attribute("aria-valuetext")
    assert said == "epoch 5, 6 of 6"


def test_hover_has_the_value_of_the_step(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(TRAINING)
    page = notebook.page
    notebook.execute("explorer.selection.step = 'epoch 4'")
    notebook.wait_painted(notebook.evaluate("cache.find('0', step=4).index"), 0)
    box = page.locator("canvas.memviz-image").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 3.5 / 8)
    number = np.float32(notebook.evaluate("cache.get('0', step=4)[0, 0, 3, 2].item()"))
    expect(page.locator(".memviz-tooltip")).to_contain_text(str(number).replace("-", "\N{MINUS SIGN}"))


def test_play_goes_through_the_steps(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(TRAINING)
    page = notebook.page
    page.locator(".memviz-axis-step .widget-play button").first.click()
    expect(page.locator(".memviz-step-label")).to_have_text("epoch 5", timeout=15_000)
    notebook.wait_painted(notebook.evaluate("cache.find('0', step=5).index"), 0)


def test_attention_and_memory_have_the_steps_too(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(ATTENTION, MEMORY)
    page = notebook.page
    for kind, (first, last) in {"attention": ("0", "300"), "memory": ("start", "end")}.items():
        explorer = page.locator(f".memviz-explorer[aria-label='{kind} explorer']")
        shown = explorer.locator(".memviz-step-label")
        expect(shown).to_have_text(first)
        explorer.locator("canvas.memviz-image[data-state=ready]").first.wait_for(state="attached")
        before = explorer.locator("canvas.memviz-image").first.get_attribute("data-record")
        explorer.locator(".memviz-axis-step .noUi-handle").focus()
        page.keyboard.press("End")
        expect(shown).to_have_text(last)
        expect(explorer.locator("canvas.memviz-image").first).not_to_have_attribute("data-record", str(before))
        expect(explorer.locator("canvas.memviz-image").first).to_have_attribute("data-state", "ready")


def test_the_steps_of_a_loop_are_the_times_of_its_memory(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LOOP)
    row = notebook.page.locator(".memviz-axis-step")
    expect(row.locator(".noUi-target")).to_have_attribute("disabled", "true")
    expect(row.locator("[title*='are the timesteps of the selected memory']").first).to_be_attached()
    assert row.locator(".widget-play button").first.is_disabled()


def test_an_open_view_shows_what_is_recorded_after_it(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(TRAINING.replace("range(6)", "range(2)"))
    page = notebook.page
    expect(page.locator(".memviz-step-label")).to_have_text("epoch 0")
    notebook.focus_slider("step")
    page.keyboard.press("End")
    expect(page.locator(".memviz-step-label")).to_have_text("epoch 1")
    settled(notebook)
    notebook.execute("for epoch in range(2, 5):\n    cache.record_step(model, x * epoch, step=f'epoch {epoch}')")
    thumb = page.locator(".memviz-axis-step .noUi-handle")
    expect(thumb).to_have_attribute("aria-valuetext", "epoch 1, 2 of 5")
    expect(thumb).to_have_attribute("aria-valuemax", "4.0")
    expect(page.locator(".memviz-step-label")).to_have_text("epoch 1")
    settled(notebook)
    notebook.focus_slider("step")
    page.keyboard.press("End")
    expect(page.locator(".memviz-step-label")).to_have_text("epoch 4")
    notebook.wait_painted(notebook.evaluate("cache.find('0', step=4).index"), 0)
    newest = np.array(notebook.evaluate("cache.get('0', step=4)[0, 0].tolist()"), np.float32)
    layer = np.array(notebook.evaluate("[cache.get('0', step=k).tolist() for k in range(5)]"), np.float32)
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(newest, *automatic(layer)))
