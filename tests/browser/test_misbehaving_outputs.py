"""Outputs that no picture was made for: each shows something true, or a sentence under the view."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .jupyter_lab import Notebook

# What the module returns, and what must be read under the view (part of the facts or of the message).
OUTPUTS = {
    "empty": ("torch.ones(0, 3)", "empty: shape (0, 3)"),
    "zero_dim": ("torch.tensor(2.5)", "2.5"),
    "complex": ("torch.ones(2, 3, dtype=torch.cfloat) * (3 + 4j)", "|z|"),
    "bool": ("torch.eye(3, dtype=torch.bool)[None, None]", "bool"),
    "int": ("torch.arange(12).reshape(1, 1, 3, 4)", "int64"),
    "bf16": ("torch.ones(1, 2, 4, 4).bfloat16() * 3", "bfloat16"),
    "fp16": ("torch.ones(1, 2, 4, 4).half()", "float16"),
    "nan": ("torch.full((1, 2, 4, 4), float('nan'))", "all 32 values are NaN"),
    "constant": ("torch.full((1, 2, 4, 4), 0.5)", "every value is 0.5"),
    "many_channels": ("torch.linspace(-1, 1, 100_000)[None]", "largest |x|"),
    "huge": ("torch.ones(1, 1, 20_000, 20_000, dtype=torch.float32)", "over the budget"),
}


def module_cell(expression: str) -> str:
    return f"""class Odd(torch.nn.Module):
    def forward(self, x):
        return {expression}
explorer = mv.ActivationExplorer(Odd(), torch.ones(1))
explorer"""


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_shows_something_true(open_notebook: Callable[..., Notebook], name: str) -> None:
    expression, sentence = OUTPUTS[name]
    notebook = open_notebook(module_cell(expression), picture=False)
    line = notebook.page.locator(".memviz-record")
    line.wait_for(state="visible", timeout=60_000)
    notebook.page.wait_for_function(
        "text => document.querySelector('.memviz-record').innerText.includes(text)", arg=sentence, timeout=10_000
    )
    state = "message" if name == "empty" else "ready"
    notebook.page.wait_for_selector(f"canvas.memviz-image[data-state={state}]", state="attached", timeout=60_000)
    assert notebook.evaluate("1 + 1") == 2, "the kernel is usable"


def test_huge_output_within_a_larger_budget_is_pooled(open_notebook: Callable[..., Notebook]) -> None:
    cell = module_cell("torch.zeros(1, 1, 20_000, 20_000, dtype=torch.float16).index_fill_(3, torch.tensor([7]), 5.0)")
    notebook = open_notebook(cell)
    assert max(notebook.pixels().shape) <= 1000, "20 x 20 cells are one, and a pixel may show several of these"
    assert len({tuple(pixel) for pixel in notebook.pixels()[0].tolist()}) > 1, "the outlier stays visible"
    assert (
        "1 of 20 \N{MULTIPLICATION SIGN} 20 cells shown: largest |x|"
        in notebook.page.locator(".memviz-record").inner_text()
    )


def test_failed_forward_names_the_module_and_keeps_the_notebook(open_notebook: Callable[..., Notebook]) -> None:
    broken = "model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(9, 2))"
    notebook = open_notebook(f"{broken}\nmv.ActivationExplorer(model, torch.ones(1, 4))", picture=False)
    error = notebook.page.locator(
        ".jp-OutputArea-output[data-mime-type*=error], .jp-RenderedText[data-mime-type*=stderr]"
    )
    error.last.wait_for(timeout=60_000)
    assert "ForwardError" in error.last.inner_text() and "'1'" in error.last.inner_text()
    notebook.page.wait_for_timeout(1000)  # after an error the kernel drops what is queued behind it
    assert notebook.evaluate("[len(m._forward_hooks) for m in model.modules()]") == [0, 0, 0]
    shown = notebook.execute(
        """try: mv.ActivationExplorer(model, torch.ones(1, 4))
except mv.errors.ForwardError as error: print(error.cache.names())"""
    )
    assert shown.strip() == "('0',)"


def test_error_of_a_callback_appears_under_the_view(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook("explorer = mv.ActivationExplorer(torch.nn.ReLU(), torch.randn(1, 2, 4, 4))\nexplorer")
    notebook.execute("explorer.selection.store._handle_custom_msg({'type': 'pages', 'id': 0, 'wants': [{}]}, [])")
    notebook.page.wait_for_function("document.querySelector('.memviz-record').innerText.includes('KeyError')")


def test_nan_and_infinities_have_colours_of_their_own_and_counts(open_notebook: Callable[..., Notebook]) -> None:
    values = "torch.tensor([[0.0, 1.0, float('nan')], [float('inf'), float('-inf'), -1.0]])[None, None]"
    notebook = open_notebook(module_cell(values))
    picture = notebook.pixels()
    assert picture[0, 2].tolist() == [255, 0, 255, 255]
    assert picture[1, 0].tolist() == [57, 255, 20, 255]
    assert picture[1, 1].tolist() == [0, 255, 255, 255]
    legend = notebook.page.locator(".memviz-bar").inner_text()
    for entry in ("1 NaN", "1 +Inf", "1 \N{MINUS SIGN}Inf"):
        assert entry in legend
