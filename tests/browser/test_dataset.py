"""A recorded data set in a real notebook: a slider over all samples, and the strip of what excites a channel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from playwright.sync_api import Page, expect

from .jupyter_lab import Notebook
from .reference import automatic, pixels_of

SAMPLES = 1500
RECORDING = f"""torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 5))
x = torch.randn({SAMPLES}, 1, 8, 8)
dataset = mv.record_dataset(model.eval(), x.split(100), layers=["0", "3"], to="memory://browser/acts.zarr", top_k=6)
explorer = mv.ActivationExplorer(mv.open_dataset("memory://browser/acts.zarr"))
explorer"""


def top(notebook: Notebook, layer: str, channel: int) -> list[int]:
    found: list[int] = notebook.evaluate(f"[each.sample for each in dataset.top({layer!r}, {channel})]")
    return found


def expect_strip(page: Page, samples: list[int]) -> None:
    expect(page.locator(".memviz-top-sample")).to_have_text([f"sample {sample:,}" for sample in samples])


def test_what_excites_a_channel_is_shown_and_leads_to_the_sample(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(RECORDING)
    page = notebook.page
    first = top(notebook, "0", 0)
    expect_strip(page, first)
    notebook.execute("explorer.selection.channel = 2")
    expected = top(notebook, "0", 2)
    expect_strip(page, expected)
    expect(page.locator(".memviz-top-title")).to_have_text("What excites channel 2 of 0")
    expect(page.locator(".memviz-top-map[data-state='ready']")).to_have_count(6)

    maps = [np.array(notebook.evaluate(f"dataset.sample('0', {each})[2].tolist()"), np.float32) for each in expected]
    ends = np.array(notebook.evaluate("[dataset['0'].min().item(), dataset['0'].max().item()]"), np.float32)
    tile = page.locator(".memviz-top-map").nth(1)
    drawn = tile.evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]")
    reference = pixels_of(maps[1], *automatic(ends))
    np.testing.assert_array_equal(np.array(drawn, np.uint8).reshape(reference.shape), reference)

    page.locator(".memviz-top-example").nth(1).click()
    notebook.wait_painted(0, expected[1] * 4 + 2)
    np.testing.assert_array_equal(notebook.pixels(), reference)
    assert notebook.heard("explorer.selection.sample", expected[1]) == expected[1]
    page.keyboard.press("ArrowRight")
    notebook.wait_painted(0, expected[2] * 4 + 2)
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(maps[2], *automatic(ends)))
    expect(page.locator(".memviz-top-example[aria-pressed='true'] .memviz-top-sample")).to_have_text(
        f"sample {expected[2]:,}"
    )


def test_the_slider_goes_over_all_samples_of_a_reduced_layer(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(RECORDING)
    page = notebook.page
    notebook.execute("explorer.selection.layer = '3'")
    expect_strip(page, top(notebook, "3", 0))
    expect(page.locator(".memviz-top-map:visible")).to_have_count(0)  # a channel is one number
    notebook.focus_slider("sample")
    page.keyboard.press("End")
    notebook.wait_painted(1, SAMPLES - 1)
    values = np.array(notebook.evaluate("dataset['3'].tolist()"), np.float32)
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(values[-1:], *automatic(values)))
