"""Views come and go: closing frees both sides, a reloaded page and a page without a kernel show the pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .jupyter_lab import Notebook

CELL = """torch.manual_seed(0)
model, x = torch.nn.Conv2d(1, 6, 3), torch.randn(1, 1, 12, 12)
explorer = mv.ActivationExplorer(model, x)
explorer"""
COUNT = """import gc, ipywidgets, comm, warnings
from IPython.display import display
def counted():
    gc.collect()
    from ipywidgets.widgets.widget import _instances
    with warnings.catch_warnings(action="ignore"):
        tensors = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
    return [len(_instances), len(comm.get_comm_manager().comms), len(model._forward_hooks), tensors]
out = ipywidgets.Output()
display(out)"""
TURN = """from IPython.display import clear_output
with out:
    clear_output(wait=False)
    shown = mv.ActivationExplorer(model, x)
    display(shown)"""
BROWSER_MODELS = """async () => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const info = await kernel.requestCommInfo({target_name: 'jupyter.widget'});
  return Object.keys(info.content.comms).length; }"""


def test_ten_displays_and_closes_leave_nothing(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELL, COUNT)
    page = notebook.page

    def turn() -> None:
        notebook.execute(TURN)
        page.wait_for_function("() => document.querySelectorAll('canvas.memviz-image').length === 2")
        notebook.execute("shown.close(); del shown")
        page.wait_for_function("() => document.querySelectorAll('canvas.memviz-image').length === 1")

    turn()
    before, elements = notebook.evaluate("counted()"), document_size(notebook)
    for _ in range(10):
        turn()
    assert notebook.heard("counted()", before) == before
    assert page.evaluate(BROWSER_MODELS) == before[1]
    assert document_size(notebook) == elements


def document_size(notebook: Notebook) -> list[int]:
    """Elements that a view could leave in the page: tooltips, canvases, style sheets, svgs."""
    return list(
        notebook.page.evaluate(
            """() => ['.memviz-tooltip', 'canvas', 'style', 'svg.svg-figure', '.bqplot_mark_tooltip, .mark_tooltip']
            .map(s => document.querySelectorAll(s).length)"""
        )
    )


def test_rerun_of_the_page_shows_where_it_was(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELL)
    notebook.focus_slider("channel")
    for _ in range(4):
        notebook.page.keyboard.press("ArrowRight")
    notebook.wait_painted(0, 4)
    before = notebook.pixels()
    notebook.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    notebook.page.wait_for_timeout(1000)
    notebook.show(notebook.page.url.split("/tree/")[1].split("?")[0], reset=False)
    notebook.wait_ready()
    notebook.wait_painted(0, 4)
    np.testing.assert_array_equal(notebook.pixels(), before)


def test_saved_widget_state_shows_the_picture_without_a_kernel(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELL)
    page = notebook.page
    notebook.focus_slider("channel")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    notebook.wait_painted(0, 2)
    before = notebook.pixels()
    notebook.reopen_without_kernel()
    notebook.wait_ready()
    np.testing.assert_array_equal(notebook.pixels(), before)
    notebook.focus_slider("channel")
    page.keyboard.press("ArrowRight")
    notebook.wait_painted(0, 3)
