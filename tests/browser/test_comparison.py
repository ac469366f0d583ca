"""Comparison in a real notebook: three linked pictures, a locked range, and the way to where two recordings part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from playwright.sync_api import expect

from .jupyter_lab import Notebook
from .reference import pixels_of

CELL = """import copy
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 6, 3)).eval()
x = torch.linspace(-1, 1, 100).reshape(1, 1, 10, 10)
twin = copy.deepcopy(model)
with torch.no_grad():
    twin[2].weight[3] *= 1.5
    a, b = mv.ActivationCache.capture(model, x), mv.ActivationCache.capture(twin, x)
explorer = mv.compare(a, b)
explorer"""

PIXELS = """index => {
  const canvas = document.querySelectorAll('canvas.memviz-image')[index];
  const { width, height } = canvas;
  return { width, height, data: [...canvas.getContext('2d').getImageData(0, 0, width, height).data] };
}"""
ALL_AT = """([record, frame]) => [...document.querySelectorAll('canvas.memviz-image')].filter(({ dataset }) =>
  dataset.state === 'ready' && dataset.record === record && dataset.frame === frame).length === 3"""


def pixels(notebook: Notebook, index: int) -> np.ndarray:
    found = notebook.page.evaluate(PIXELS, index)
    return np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)


def test_three_pictures_go_to_where_the_recordings_part(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELL)
    page = notebook.page
    page.wait_for_function(ALL_AT, arg=["0", "0"])
    page.locator(".memviz-curve-verdict button").click()  # "A and B part at 2"
    notebook.focus_slider("channel")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(ALL_AT, arg=["2", "3"])
    a, b = (np.array(notebook.evaluate(f"{name}['2'].tolist()"), np.float32) for name in "ab")
    reach = float(max(np.abs(a).max(), np.abs(b).max()))
    np.testing.assert_array_equal(pixels(notebook, 0), pixels_of(a[0, 3], -reach, reach, "vik"))
    np.testing.assert_array_equal(pixels(notebook, 1), pixels_of(b[0, 3], -reach, reach, "vik"))
    difference = a - b
    largest = float(np.abs(difference).max())
    np.testing.assert_array_equal(pixels(notebook, 2), pixels_of(difference[0, 3], -largest, largest, "vik"))
    assert torch.count_nonzero(torch.from_numpy(difference[0, :3])) == 0


def test_all_numbers_of_a_cell_and_scrubbing_without_the_kernel(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELL)
    page = notebook.page
    page.wait_for_function(ALL_AT, arg=["0", "0"])
    box = page.locator(".memviz-image-holder").nth(2).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    readout = page.locator(".memviz-comparison-readout")
    number = notebook.evaluate("a['0'][0, 0, 4, 4].item()")
    expect(readout).to_contain_text("height 4, width 4")
    expect(readout).to_contain_text(f"A: {np.float32(number)!s}")  # exact: no sign of approximation
    expect(readout).to_contain_text("A \N{MINUS SIGN} B: 0.0")
    notebook.execute("import time; time.sleep(20)", wait=False)
    notebook.focus_slider("channel")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(ALL_AT, arg=["0", "1"], timeout=5_000)
