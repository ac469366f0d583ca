"""What the budget does not hold, steps, and attention: looked at in a real notebook, the canvas equals the tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..real_models import minilm, onet
from .jupyter_lab import Notebook
from .reference import attention_pixels
from .test_real_models import assert_shows, go_to_channel, go_to_layer, labels, plain_outputs

ONET_CELL = """from tests.real_models import onet
model, x = onet()
explorer = mv.ActivationExplorer(model, x[:4], budget="256 KiB")
explorer"""
MINILM_CELL = """from tests.real_models import minilm
model, inputs = minilm()
with torch.no_grad():
    explorer = mv.ActivationExplorer(model, inputs)
explorer"""
LOOP_CELL = """torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh())
with mv.record(model) as cache:
    for step in range(3):
        model(torch.full((4, 8), float(step)))
explorer = mv.ActivationExplorer(cache)
explorer"""


def summary(notebook: Notebook) -> str:
    return str(notebook.page.locator(".memviz-summary").inner_text())


def test_a_layer_over_the_budget_is_drawn_when_looked_at(open_notebook: Callable[..., Notebook]) -> None:
    model, x = onet()
    layer = plain_outputs(model, x[:4])["conv2"]
    notebook = open_notebook(ONET_CELL)
    assert "recorded" in summary(notebook) and summary(notebook).endswith("kept, rest on demand")
    position = labels(notebook).index("conv2")
    assert notebook.evaluate("explorer.cache.find('conv2').kept") is False
    record = go_to_layer(notebook, position)
    go_to_channel(notebook, 7)
    notebook.wait_painted(record, 7)
    assert_shows(notebook, layer, 7)
    assert notebook.evaluate("explorer.cache.held_bytes <= explorer.cache.budget_bytes") is True


def test_a_layer_that_is_not_reproducible_shows_no_picture(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(ONET_CELL)
    position = labels(notebook).index("conv3")
    notebook.execute("_ = torch.nn.init.ones_(model.conv3.weight)")
    go_to_layer(notebook, position)
    sentence = "is not reproducible: captured values were dropped"
    notebook.page.wait_for_function(
        "text => document.querySelector('.memviz-record').innerText.includes(text)", arg=sentence
    )
    notebook.page.wait_for_selector("canvas.memviz-image[data-state=message]", state="attached", timeout=10_000)


def test_attention_of_a_model_as_it_was_loaded(open_notebook: Callable[..., Notebook]) -> None:
    model, inputs = minilm()
    bert: Any = model
    bert.set_attn_implementation("eager")
    with torch.no_grad():
        eager = model(**inputs, output_attentions=True).attentions[2]  # (B, N, Q, K)
    notebook = open_notebook(MINILM_CELL)
    path = "encoder.layer.2.attention.self"
    position = labels(notebook).index(f"{path} attention")
    weights = np.array(notebook.evaluate(f"explorer.cache.attention({path!r}, head=5, batch=0).tolist()"))
    np.testing.assert_allclose(weights, eager[0, 5].numpy(), atol=1e-5)
    # Both at once: the kernel hears of a key later, and a layer without heads has no head 5.
    notebook.execute(f"explorer.selection.layer = {position}; explorer.selection.head = 5")
    record = int(notebook.evaluate(f"explorer.selection.store.catalog['layers'][{position}]['records'][0][0]"))
    notebook.wait_painted(record, 5)
    expected = attention_pixels(weights.astype(np.float32))
    np.testing.assert_array_equal(notebook.pixels(), expected)


def test_steps_of_a_recorded_loop_have_a_slider(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(LOOP_CELL)
    notebook.focus_slider("step")
    notebook.page.keyboard.press("End")
    last = int(notebook.evaluate("explorer.selection.store.catalog['layers'][0]['records'][2][0]"))
    notebook.wait_painted(last, 0)
    assert notebook.heard("explorer.selection.step", 2) == 2
