"""AttentionExplorer in a real notebook: the matrix equals the model's own weights, and the parts work together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Dialog, expect

from ..real_models import minilm
from .jupyter_lab import Notebook
from .reference import attention_pixels

MINILM_CELL = """from tests.real_models import minilm, minilm_tokens
model, inputs = minilm()
with torch.no_grad():
    explorer = mv.AttentionExplorer(model, inputs, tokens=minilm_tokens())
explorer"""
HOSTILE = ["<img src=x onerror=alert(1)>", "\u05e9\u05dc\u05d5\u05dd", "\U0001f9ea", "", "x" * 10_000]
HOSTILE_CELL = f"""tokens = {HOSTILE!r}
weights = torch.rand(1, 2, 5, 5).softmax(-1)
explorer = mv.AttentionExplorer(mv.ActivationCache.from_attentions([weights], tokens=tokens))
explorer"""
VIT_CELL = """from tests.real_models import vit
model, picture = vit()
with torch.no_grad():
    explorer = mv.AttentionExplorer(model, {"pixel_values": picture}, image=picture[0])
explorer"""
GENERATION_CELL = """from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
config = GPT2Config(vocab_size=50, n_positions=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=49)
model = GPT2LMHeadModel(config).eval()
ids = torch.randint(1, 48, (1, 5))
with mv.record(model, tokens=[f"w{position}" for position in range(13)]) as cache:
    model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
explorer = mv.AttentionExplorer(cache)
explorer"""
HOPS_CELL = """from torch import nn
class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(50, 16) for _ in range(4))
    def forward(self, story, question):
        state = self.tables[0](question).sum(1)
        for hop in range(3):
            memory, values = (self.tables[hop + k](story).sum(2) for k in (0, 1))
            shares = (memory @ state[:, :, None]).squeeze(-1).softmax(-1)
            state = state + (shares.unsqueeze(-1) * values).sum(1)
        return state
torch.manual_seed(0)
story, question = torch.randint(0, 50, (1, 6, 4)), torch.randint(0, 50, (1, 3))
sentences = [f"sentence {position}" for position in range(6)]
explorer = mv.AttentionExplorer(Memory(), (story, question), tokens=sentences)
explorer"""
NOTHING_CELL = """explorer = mv.AttentionExplorer(torch.nn.Sequential(torch.nn.Linear(4, 4)), torch.ones(1, 4))
explorer"""


def eager_weights() -> list[torch.Tensor]:
    """MiniLM's own attention weights per layer, (B, N, Q, K)."""
    model, inputs = minilm()
    bert: Any = model
    bert.set_attn_implementation("eager")
    with torch.no_grad():
        return list(model(**inputs, output_attentions=True).attentions)


@pytest.fixture
def minilm_notebook(open_notebook: Callable[..., Notebook]) -> Notebook:
    return open_notebook(MINILM_CELL)


def test_the_matrix_is_the_models_own_attention(minilm_notebook: Notebook) -> None:
    notebook = minilm_notebook
    layers = notebook.evaluate(
        "[i for i, l in enumerate(explorer.selection.store.catalog['layers']) if l['kind'] == 'attention']"
    )
    for layer, eager in zip(layers, eager_weights(), strict=True):
        path, record = notebook.evaluate(
            f"[explorer.selection.store.catalog['layers'][{layer}][key] for key in ('path', 'records')]"
        )
        ours = np.array(notebook.evaluate(f"explorer.cache.attention({path!r}).tolist()"), np.float32)
        np.testing.assert_allclose(ours, eager.numpy(), atol=1e-5)
        notebook.execute(f"s = explorer.selection; s.layer = {layer}; s.sample = {layer % 2}; s.head = 0")
        notebook.focus_slider("head")
        for head in range(12):
            notebook.wait_painted(record[0][0], layer % 2 * 12 + head)
            np.testing.assert_array_equal(notebook.pixels(), attention_pixels(ours[layer % 2, head]))
            notebook.page.keyboard.press("ArrowRight")


def test_every_head_is_reached_while_the_kernel_sleeps(minilm_notebook: Notebook) -> None:
    notebook = minilm_notebook
    record = notebook.evaluate("explorer.selection.record")
    weights = np.array(notebook.evaluate("explorer.cache.attention(explorer.selection.path[:-10], batch=0).tolist()"))
    notebook.page.wait_for_function(
        "() => document.querySelector('canvas.memviz-image').dataset.loaded.endsWith('all')"
    )
    notebook.execute("import time; time.sleep(20)", wait=False)
    notebook.focus_slider("head")
    for head in range(1, 12):
        notebook.page.keyboard.press("ArrowRight")
        notebook.wait_painted(record, head, timeout_ms=2_000)
        np.testing.assert_array_equal(notebook.pixels(), attention_pixels(weights[head].astype(np.float32)))


def test_a_head_of_the_overview_and_a_token_of_the_text_are_selected_by_a_click(minilm_notebook: Notebook) -> None:
    notebook = minilm_notebook
    page = notebook.page
    row = page.locator(".memviz-heads-row").nth(3)
    row.scroll_into_view_if_needed()  # rows that are out of sight are empty
    row.locator(".memviz-head").nth(7).click()
    page.locator(".memviz-tokens .memviz-token").nth(4).click()
    expected = ["encoder.layer.3.attention.self attention", 7, 4, 4]
    selected = "[getattr(explorer.selection, n) for n in ('path', 'head', 'query', 'time')]"
    assert notebook.heard(selected, expected) == expected
    expect(page.locator(".memviz-tokens-caption").first).to_contain_text("query 4")


@pytest.mark.parametrize(("kind", "text"), [("mean", "mean of 12 heads"), ("difference", "head 0 minus head 2")])
def test_other_maps_are_named_and_drawn(minilm_notebook: Notebook, kind: str, text: str) -> None:
    notebook = minilm_notebook
    notebook.execute(f"explorer.choice.other_head = 2; explorer.choice.kind = {kind!r}")
    expect(notebook.page.locator(".memviz-bar")).to_contain_text(text)
    weights = np.array(notebook.evaluate("explorer.cache.attention(explorer.selection.path[:-10], batch=0).tolist()"))
    notebook.page.wait_for_function("() => document.querySelector('canvas.memviz-image').dataset.state === 'ready'")
    if kind == "mean":
        expected = attention_pixels(weights.mean(0))
        off = np.abs(notebook.pixels().astype(int) - expected.astype(int)).max()
        assert off <= 8, off  # one code: the mean is rounded once more before it is coded
    other = notebook.page.locator(".memviz-other-head")
    expect(other).to_be_visible() if kind == "difference" else expect(other).to_be_hidden()


def test_hostile_tokens_are_text(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(HOSTILE_CELL)
    page = notebook.page
    alerts: list[str] = []

    def note(dialog: Dialog) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    expect(page.locator(".memviz-tokens").first).to_contain_text("<img src=x onerror=alert(1)>")
    page.locator(".memviz-explorer").hover()
    page.get_by_role("tab", name="lines", exact=True).click()
    expect(page.locator(".memviz-lines")).to_contain_text("<img src=x")
    assert page.locator(".memviz-explorer img").count() == 0 and not alerts
    width = page.evaluate("() => document.querySelector('.memviz-explorer').scrollWidth")
    assert width <= page.evaluate("() => document.querySelector('.memviz-explorer').clientWidth") + 1


def test_a_vision_transformer_is_shown_over_its_picture(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(VIT_CELL)
    page = notebook.page
    page.get_by_role("tab", name="picture", exact=True).click()
    expect(page.locator(".memviz-overlay-image")).to_be_visible()
    expect(page.locator(".memviz-overlay")).to_contain_text("4 x 4 patches")
    picture = page.locator(".memviz-overlay-stage")
    box = picture.bounding_box()
    assert box is not None
    picture.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.1})  # the last patch of the first row
    assert notebook.heard("explorer.selection.query", 4) == 4  # behind the class token


def test_the_step_slider_goes_through_a_generation(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(GENERATION_CELL)
    page = notebook.page
    notebook.focus_slider("step")
    for step in range(1, 8):
        page.keyboard.press("ArrowRight")
        index = f"explorer.selection.store.catalog['layers'][explorer.selection.layer]['records'][{step}][0]"
        notebook.wait_painted(notebook.evaluate(index), 0)
        assert notebook.pixels().shape[:2] == (1, 5 + step)  # the row grows with each token
        expect(page.locator(".memviz-tokens-caption").first).to_contain_text(f"w{4 + step}")
    path = "explorer.selection.path[:-10]"
    weights = np.array(notebook.evaluate(f"explorer.cache.attention({path}, head=0, batch=0, step=7).tolist()"))
    np.testing.assert_array_equal(notebook.pixels(), attention_pixels(weights.astype(np.float32)))


def test_hops_of_a_memory_network_are_layers_of_the_explorer(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(HOPS_CELL)
    options = notebook.page.locator(".memviz-attention-layer option").all_inner_texts()
    assert len(options) == 3
    expect(notebook.page.locator(".memviz-tokens").first).to_contain_text("sentence 5")
    for hop in range(3):
        notebook.page.locator(".memviz-attention-layer select").select_option(index=hop)
        record = notebook.evaluate(f"[r.index for r in explorer.cache.records if r.kind == 'attention'][{hop}]")
        notebook.wait_painted(record, 0)
        item = notebook.evaluate(f"explorer.cache.records[{record}].item")
        weights = np.array(notebook.evaluate(f"explorer.cache.attention('', item={item!r}, head=0, batch=0).tolist()"))
        np.testing.assert_array_equal(notebook.pixels(), attention_pixels(weights.astype(np.float32)))


def test_a_model_without_attention_says_so(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(NOTHING_CELL, picture=False)
    expect(notebook.page.locator(".memviz-explorer")).to_contain_text("No attention was found", timeout=30_000)
    assert notebook.page.locator("canvas.memviz-image").count() == 0
