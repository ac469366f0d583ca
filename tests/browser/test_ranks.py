"""What several ranks saved in a real notebook: one picture, the line that says how, and what a lost rank leaves out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from playwright.sync_api import expect

from .jupyter_lab import Notebook
from .reference import LOUD, attention_pixels, automatic, pixels_of

SAVED = """import shutil, tempfile
from pathlib import Path
from tests.cache.rank_parts import save_batches
class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3, padding=1)
        self.encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.lstm = torch.nn.LSTM(8, 6, batch_first=True)
    def forward(self, x):
        return self.lstm(self.encoder(self.conv(x)[:, 0]))[0]
torch.manual_seed(0)
model, x = Block().eval(), torch.randn(6, 1, 8, 8)
store = Path(tempfile.mkdtemp()) / "run.zarr"
save_batches(model, x.split(2), store)
single = mv.ActivationCache.capture(model, x)"""
WHOLE = """whole = mv.ActivationCache.open(store)
explorer = mv.ActivationExplorer(whole)
explorer"""
LOST = """shutil.rmtree(store / "ranks" / "1")
rest = mv.ActivationCache.open(store)
explorer = mv.ActivationExplorer(rest)
explorer"""
ATTENTION = """shutil.rmtree(store / "ranks" / "1")
rest = mv.ActivationCache.open(store)
explorer = mv.AttentionExplorer(rest)
explorer"""
MEMORY = """whole = mv.ActivationCache.open(store)
explorer = mv.MemoryExplorer(whole)
explorer"""


def values(notebook: Notebook, expression: str) -> np.ndarray:
    return np.array(notebook.evaluate(f"{expression}.tolist()"), np.float32)


def test_samples_of_all_ranks_are_scrubbed_as_one(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SAVED, WHOLE)
    page = notebook.page
    expect(page.locator(".memviz-record-messages")).to_have_text("3 ranks: batch")
    layer = values(notebook, "whole['conv']")
    np.testing.assert_allclose(layer, values(notebook, "single['conv']"), rtol=1e-5, atol=1e-6)
    for sample in (0, 3, 5):
        notebook.execute(f"explorer.selection.sample = {sample}")
        notebook.wait_painted(0, 2 * sample)
        np.testing.assert_array_equal(notebook.pixels(), pixels_of(layer[sample, 0], *automatic(layer)))
    expect(page.locator(".memviz-summary")).to_contain_text("recorded by 3 ranks, all on disk")


def test_samples_of_a_lost_rank_are_no_values(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SAVED, LOST)
    page = notebook.page
    line = page.locator(".memviz-record-messages")
    expect(line).to_contain_text("rank 1 of 3 missing; not recorded: batch 2 to 3")
    notebook.execute("explorer.selection.sample = 2")
    notebook.wait_painted(0, 4)
    assert (notebook.pixels()[..., :3] == LOUD[255]).all()
    box = page.locator(".memviz-picture .memviz-image-holder").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
    expect(page.locator(".memviz-picture .memviz-tooltip")).to_contain_text("not recorded")
    notebook.execute("explorer.selection.sample = 4")
    notebook.wait_painted(0, 8)
    layer = values(notebook, "rest['conv']")
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(layer[4, 0], *automatic(layer[[0, 1, 4, 5]])))


def test_attention_of_a_lost_rank(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SAVED, ATTENTION)
    page = notebook.page
    record = notebook.evaluate("rest.find('encoder.self_attn', 'attention').index")
    weights = values(notebook, "rest.attention('encoder.self_attn', batch=5, head=1)")
    notebook.execute("explorer.selection.sample = 5; explorer.selection.head = 1")
    notebook.wait_painted(record, 11)
    np.testing.assert_array_equal(notebook.pixels(), attention_pixels(weights))
    notebook.execute("explorer.selection.sample = 3")
    notebook.wait_painted(record, 7)
    assert (notebook.pixels()[..., :3] == LOUD[255]).all()
    expect(page.get_by_text("sample 3 was not recorded: the part of its rank is missing").first).to_be_visible()


def test_a_memory_of_all_ranks(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SAVED, MEMORY)
    expect(notebook.page.locator(".memviz-record-messages").first).to_contain_text("3 ranks: batch")
    notebook.execute("explorer.selection.sample = 4")
    states = values(notebook, "whole.get('lstm', 'hidden')")
    np.testing.assert_allclose(states, values(notebook, "single.get('lstm', 'hidden')"), rtol=1e-5, atol=1e-6)
    assert notebook.page.locator("canvas").count() > 0
