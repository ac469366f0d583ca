"""Quiz in a real notebook: hidden before, revealed after, while the kernel is busy, and in a page without a kernel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, expect
from torch import nn

import memviz_widgets as mv

from .jupyter_lab import Notebook
from .reference import automatic, pixels_of

CELL = """torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 20, 3), torch.nn.ReLU(), torch.nn.Conv2d(20, 16, 3), torch.nn.ReLU())
explorer = mv.ActivationExplorer(model, torch.randn(2, 1, 16, 16))
quiz = mv.Quiz(explorer, "Which layer and channel?\\n<b>Think first.</b>", {"layer": "2", "channel": 13},
               hint="a late one", explanation="Because of the kernel.")
store, sent = explorer.selection.store, []
send = store.send
store.send = lambda content, buffers=None: (sent.append(content), send(content, buffers))
quiz"""
ATTENTION_CELL = """torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(8, 4, 16, 0.0, batch_first=True).eval()
quiz = mv.Quiz(mv.explore(layer, torch.randn(1, 6, 8), tokens="the cat sat on a mat".split()), "Which key?", {"key": 1})
quiz"""
RECORD, CHANNEL = 2, 13
KERNEL_WAIT_S = 30
SENT = f"any(each.get('record') == {RECORD} and each.get('kind') == 'frame' for each in sent)"
STATE = "[quiz.chosen, quiz.correct, quiz.revealed, quiz.selection.path, quiz.selection.channel]"


@pytest.fixture
def notebook(open_notebook: Callable[..., Notebook]) -> Notebook:
    """A quiz whose answer is two layers on; the pages of the answer have come."""
    opened = open_notebook(CELL)
    wait_for(opened, SENT, True)
    return opened


def wait_for(notebook: Notebook, expression: str, value: Any) -> None:
    """Wait until the kernel says so: it hears of one change of a widget after another, each when it is idle."""
    until = time.monotonic() + KERNEL_WAIT_S
    while (found := notebook.evaluate(expression)) != value:
        assert time.monotonic() < until, f"{expression} is still {found}, not {value}"


def veiled(notebook: Notebook) -> Locator:
    return notebook.page.locator(".memviz-quiz > .memviz-explorer")


def answer(notebook: Notebook, layer: str, channel: int) -> None:
    form = notebook.page.locator(".memviz-quiz-form")
    form.get_by_role("radio", name=layer, exact=True).check()
    form.get_by_role("spinbutton").fill(str(channel))
    form.get_by_role("button", name="check").click()


def expected_pixels(notebook: Notebook) -> np.ndarray:
    layer = np.array(notebook.evaluate("explorer.cache['2'].tolist()"), np.float32)
    return pixels_of(layer[0, CHANNEL], *automatic(layer))


def test_nothing_of_the_view_can_be_read_before_the_choice(notebook: Notebook) -> None:
    page, view = notebook.page, veiled(notebook)
    expect(view).to_have_css("opacity", "0")
    expect(view).to_have_attribute("inert", "")
    box = view.bounding_box()
    assert box and box["height"] == 0
    assert page.locator(".memviz-quiz").get_by_role("slider").count() == 0  # what a screen reader finds
    assert page.locator(".memviz-quiz b").count() == 0
    expect(page.locator(".memviz-quiz")).not_to_contain_text("Because of the kernel.")
    page.locator(".memviz-quiz-hint summary").focus()
    page.keyboard.press("Tab")
    assert not page.evaluate("() => document.querySelector('.memviz-quiz .memviz-explorer').matches(':focus-within')")
    page.locator(".memviz-quiz-veil").hover()
    expect(page.locator(".memviz-tooltip:visible")).to_have_count(0)


def test_it_reveals_and_moves_while_the_kernel_is_busy(notebook: Notebook) -> None:
    page, form = notebook.page, notebook.page.locator(".memviz-quiz-form")
    expected = expected_pixels(notebook)
    notebook.execute("import time; time.sleep(8)", wait=False)
    answer(notebook, "2", 3)
    expect(form.get_by_role("status")).to_contain_text("Not right", timeout=3000)
    expect(form).to_contain_text("Because of the kernel.")
    notebook.wait_painted(RECORD, CHANNEL, timeout_ms=3000)
    np.testing.assert_array_equal(notebook.pixels(), expected)
    expect(veiled(notebook)).to_have_css("opacity", "1")
    assert veiled(notebook).get_by_role("slider").count() >= 3
    expect(page.locator("canvas.memviz-image")).to_be_visible()
    form.get_by_role("button", name="your pick").click()
    notebook.wait_painted(RECORD, 3, timeout_ms=3000)
    wait_for(notebook, STATE, [{"layer": "2", "channel": 3}, False, True, "2", 3])
    form.get_by_role("button", name="try again").click()
    expect(veiled(notebook)).to_have_css("opacity", "0")
    answer(notebook, "2", CHANNEL)
    expect(form.get_by_role("status")).to_contain_text("Attempt 2")
    expect(page.locator(".memviz-axis-channel .noUi-handle")).to_have_attribute("aria-valuenow", f"{CHANNEL}.0")
    wait_for(notebook, STATE, [{"layer": "2", "channel": CHANNEL}, True, True, "2", CHANNEL])
    notebook.execute("quiz.reset()")
    expect(veiled(notebook)).to_have_attribute("inert", "")
    assert notebook.heard("[quiz.attempts, quiz.correct]", [[], None]) == [[], None]
    notebook.execute("quiz.close()")
    expect(page.locator(".memviz-quiz")).to_have_count(0)


def test_it_works_in_a_page_without_a_kernel(notebook: Notebook) -> None:
    page = notebook.page
    expected = expected_pixels(notebook)
    notebook.reopen_without_kernel()
    expect(page.locator(".memviz-quiz-form")).to_be_visible(timeout=60_000)
    expect(veiled(notebook)).to_have_attribute("inert", "")
    answer(notebook, "2", CHANNEL)
    expect(page.locator(".memviz-quiz-result")).to_contain_text("Right:")
    notebook.wait_painted(RECORD, CHANNEL)
    np.testing.assert_array_equal(notebook.pixels(), expected)
    page.get_by_role("button", name="try again").click()
    expect(veiled(notebook)).to_have_css("opacity", "0")


def test_it_works_in_a_frozen_page(browser: Browser, tmp_path: Path) -> None:
    torch.manual_seed(0)
    explorer = mv.ActivationExplorer(nn.Sequential(nn.Conv2d(1, 6, 3), nn.Conv2d(6, 5, 3)), torch.randn(1, 1, 16, 16))
    quiz = mv.Quiz(explorer, "Which channel of layer 1?", {"layer": "1", "channel": 4}, explanation="Because.")
    file = quiz.save_html(tmp_path / "quiz.html")
    layer = explorer.cache["1"].numpy()
    quiz.close()
    explorer.close()
    context = browser.new_context(offline=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    notebook = Notebook(page, "", tmp_path)
    expect(veiled(notebook)).to_have_attribute("inert", "", timeout=30_000)
    expect(veiled(notebook)).to_have_css("opacity", "0")
    form = page.locator(".memviz-quiz-form")
    for axis, position in (("layer", "1"), ("channel", "4")):
        form.get_by_role("group", name=f"Which {axis}?").get_by_role("radio", name=position).check()
    form.get_by_role("button", name="check").click()
    expect(form.get_by_role("status")).to_contain_text("Right:")
    expect(form).to_contain_text("Because.")
    notebook.wait_painted(1, 4)
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(layer[0, 4], *automatic(layer)))
    form.get_by_role("button", name="try again").click()
    expect(veiled(notebook)).to_have_css("opacity", "0")
    context.close()
    assert not problems


def test_keys_are_enough_and_it_hides_all_tabs_of_explore(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(ATTENTION_CELL, width=600, picture=False)
    page = notebook.page
    tabs = page.locator(".memviz-quiz > .memviz-explorer-tabs")
    expect(tabs).to_have_attribute("inert", "", timeout=60_000)
    expect(tabs).to_have_css("opacity", "0")
    options = page.get_by_role("radio")
    expect(options).to_have_count(6)
    options.first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    expect(options.nth(1)).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="try again")).to_be_focused()
    expect(page.locator(".memviz-quiz-result")).to_contain_text("cat")
    expect(tabs).to_have_css("opacity", "1")
    wait_for(notebook, "[quiz.correct, quiz.selection.key]", [True, 1])
    page.keyboard.press("Enter")  # try again
    expect(options.first).to_be_focused()
    expect(tabs).to_have_attribute("inert", "")
