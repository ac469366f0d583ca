"""MemoryExplorer in a real notebook: what it draws are the states themselves, and the parts work together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

import memviz_widgets as mv

from ..real_models import g2p
from .jupyter_lab import Notebook
from .reference import automatic, pixels_of

G2P_CELL = """from tests.real_models import g2p
model, ids = g2p()
with torch.no_grad():
    explorer = mv.MemoryExplorer(model, ids, tokens=[*"activation", "</s>"])
explorer"""
LSTM_CELL = """torch.manual_seed(0)
model = torch.nn.LSTM(3, 6, batch_first=True)
x = torch.randn(2, 12, 3)
with torch.no_grad():
    explorer = mv.MemoryExplorer(model, x, tokens=[f"w{step}" for step in range(12)])
explorer"""
LINKED_CELL = LSTM_CELL.removesuffix("explorer").replace("mv.MemoryExplorer", "mv.explore")
NOTHING_CELL = """explorer = mv.MemoryExplorer(torch.nn.Sequential(torch.nn.Linear(4, 4)), torch.ones(1, 4))
explorer"""
NTM_CELL = """from tests.conformance.slot_models import NTM
torch.manual_seed(0)
model, x = NTM("rw"), torch.randn(2, 6, 4)
model.memory.reset(2)
with torch.no_grad(), mv.record(model) as cache:
    for step in x.unbind(1):
        model(step)
explorer = mv.MemoryExplorer(cache)
explorer"""


UNKNOWN_CELL = """from torch import nn
class Leaky(nn.Module):
    def __init__(self):
        super().__init__()
        self.voltage = torch.zeros(2, 16)
    def forward(self, x):
        self.voltage = 0.9 * self.voltage + x
        return (self.voltage > 1).float()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Leaky()
    def forward(self, x):
        return torch.stack([self.cell(step) for step in x])
model, x = Net(), torch.rand(8, 2, 16)
explorer = mv.MemoryExplorer(model, x)
explorer"""


def decoder_states() -> np.ndarray:
    """The hidden state after each of the decoder's calls, (T, C), from the cell's own results."""
    model: Any
    model, ids = g2p()
    states: list[torch.Tensor] = []
    handle = model.dec.register_forward_hook(lambda module, args, result: states.append(result[0].detach().clone()))
    with torch.no_grad():
        model(ids)
    handle.remove()
    return torch.stack(states).numpy()


def lstm_run() -> tuple[torch.nn.LSTM, torch.Tensor]:
    torch.manual_seed(0)
    return torch.nn.LSTM(3, 6, batch_first=True), torch.randn(2, 12, 3)


def show(notebook: Notebook, layer: str) -> int:
    """Select a part of a memory and wait for its picture; the index of its record."""
    notebook.execute(f"explorer.selection.layer = {layer!r}")
    record = int(notebook.evaluate("explorer.selection.record"))
    notebook.page.wait_for_function(
        """record => { const { dataset } = document.querySelector('canvas.memviz-image');
        return dataset.state === 'ready' && dataset.record === String(record); }""",
        arg=record,
    )
    return record


def shown_kind(notebook: Notebook) -> str:
    return str(notebook.page.locator("canvas.memviz-image").get_attribute("data-kind"))


def test_the_decoders_calls_are_timesteps(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(G2P_CELL)
    show(notebook, "dec hidden")
    states = decoder_states()
    assert states.shape == (10, 256)
    assert notebook.evaluate("explorer.selection.extent('time')") == 10
    vmin, vmax, colormap = automatic(states)
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(states.T, vmin, vmax, colormap))
    notebook.focus_slider("time")
    for _ in range(12):
        notebook.page.keyboard.press("ArrowRight")
    assert notebook.heard("explorer.selection.time", 9) == 9


def test_gates_keep_to_0_and_1(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(G2P_CELL)
    show(notebook, "dec gate.z")
    gate = np.array(notebook.evaluate("explorer.cache.get('dec', 'gate.z')[0].tolist()"), np.float32)
    assert gate.shape == (10, 256)
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(gate.T, 0.0, 1.0, "viridis"))
    expect(notebook.page.locator(".memviz-record")).to_contain_text("residual")


def test_the_map_says_which_step_wrote_what_is_held(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LSTM_CELL)
    show(notebook, "(model)[l0] cell")
    notebook.execute("explorer.choice.map = 'wrote'; explorer.colors.mode = 'frame'")
    notebook.page.wait_for_function("() => document.querySelector('canvas.memviz-image').dataset.kind === 'wrote'")
    notebook.page.wait_for_function("() => document.querySelector('canvas.memviz-image').dataset.state === 'ready'")
    model, x = lstm_run()
    with torch.no_grad():
        cache = mv.ActivationCache.capture(model, x)
    i, f, g = (cache.get("", f"gate.{name}").transpose(0, 1) for name in "ifg")
    share = mv.analysis.memory.provenance(f, i * g).share[0].numpy()
    expected = pixels_of(np.where(share == 0, -np.inf, share), float(share[share > 0].min()), share.max(), "viridis")
    expected[share == 0] = 0
    off = np.abs(notebook.pixels().astype(int) - expected.astype(int)).max()
    assert off <= 8, off  # a share may be rounded to the neighbouring code


def test_the_writers_of_a_unit_light_up_in_every_view(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LINKED_CELL + "box = explorer\nexplorer = box.explorers['memory']\nbox")
    page = notebook.page
    page.get_by_role("tab", name="memory", exact=True).click()
    show_in = page.locator(".memviz-memory-picture .memviz-image-holder")
    expect(show_in).to_be_visible()
    box = show_in.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.4)
    page.wait_for_function("() => document.querySelectorAll('.memviz-lit').length > 0")
    page.wait_for_timeout(300)
    time, lit = notebook.evaluate("[explorer.selection.time, list(explorer.selection.lit)]")
    assert time > 0
    assert len(lit) == 12
    assert max(lit[time + 1 :], default=0) == 0  # nothing that came later wrote it
    assert 0 < sum(lit) <= 1.02
    page.get_by_role("tab", name="activations", exact=True).click()
    assert page.locator(".memviz-explorer").first.locator(".memviz-lit").count() > 0
    assert notebook.heard("box.explorers['activations'].selection.time", time) == time


def test_time_goes_on_while_the_kernel_sleeps(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LSTM_CELL)
    show(notebook, "(model)[l0] hidden")
    notebook.execute("import time; time.sleep(20)", wait=False)
    notebook.focus_slider("time")
    for step in range(1, 12):
        notebook.page.keyboard.press("ArrowRight")
        notebook.page.wait_for_function(
            """step => Number(document.querySelector('.memviz-axis-time .noUi-handle')
            .getAttribute('aria-valuenow')) === step""",
            arg=step,
            timeout=2_000,
        )
    expect(notebook.page.locator(".memviz-axis-time .noUi-handle")).to_have_attribute("aria-valuetext", "11 of 12")


def test_slots_are_drawn_at_the_cursors_time(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(NTM_CELL)
    label = notebook.evaluate("next(iter(explorer.cache.memories()))")
    show(notebook, f"{label} memory")
    notebook.execute("explorer.choice.map = 'cursor'; explorer.selection.time = 3")
    notebook.page.wait_for_function("() => document.querySelector('canvas.memviz-image').dataset.kind === 'frame'")
    content = np.array(notebook.evaluate(f"explorer.cache.get({label!r}, 'memory').tolist()"), np.float32)
    notebook.wait_painted(int(notebook.evaluate("explorer.selection.record")), 3)
    # The same colours at every moment.
    np.testing.assert_array_equal(notebook.pixels(), pixels_of(content[0, 3], *automatic(content)))


def test_a_model_without_memory_says_so(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(NOTHING_CELL, picture=False)
    expect(notebook.page.locator(".memviz-explorer")).to_contain_text("No memory was found")
    assert notebook.page.locator(".memviz-explorer canvas.memviz-image").count() == 0


def test_a_memory_that_nobody_knows_is_proposed(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(UNKNOWN_CELL, picture=False)
    explorer = notebook.page.locator(".memviz-explorer")
    expect(explorer).to_contain_text("cell.voltage: vector (2, 16)")
    expect(explorer).to_contain_text("mv.register_memory(mv.memory_candidates(model, x)[0].adapter())")
    notebook.execute("mv.register_memory(mv.memory_candidates(model, x)[0].adapter())")
    assert notebook.evaluate("list(mv.MemoryExplorer(model, x).cache.memories())") == ["cell"]


@pytest.mark.parametrize(
    ("model", "titles"),
    [
        ("torch.nn.Linear(4, 4), torch.ones(1, 4)", ["activations"]),
        ("torch.nn.GRU(4, 4), torch.ones(3, 4)", ["activations", "memory"]),
        ("torch.nn.TransformerEncoderLayer(4, 2), torch.ones(3, 4)", ["activations", "attention"]),
    ],
)
def test_explore_has_no_empty_tab(open_notebook: Callable[..., Notebook], model: str, titles: list[str]) -> None:
    notebook = open_notebook(f"box = mv.explore({model})\nexplorer = box.explorers['activations']\nbox")
    tabs = notebook.page.locator(".memviz-explorer-tabs > .lm-TabBar .lm-TabBar-tabLabel")
    expect(tabs).to_have_text(titles)
