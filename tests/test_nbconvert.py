"""An executed notebook as a page: it shows the picture where no widget can run, and the picture is the map."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from .png_map import places_of, reference

REPO = Path(__file__).resolve().parent.parent
CELLS = (
    f"import sys; sys.path.insert(0, {str(REPO)!r})",
    "import torch, memviz_widgets as mv\nx = torch.arange(12.0).reshape(1, 1, 3, 4)",
    "explorer = mv.ActivationExplorer(torch.nn.Identity(), x)\nexplorer",
)
PNG = re.compile(r'<img[^>]*src="data:image/png;base64,([^"]+)"')


@pytest.mark.slow
def test_an_executed_lesson_becomes_a_page_with_the_picture() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=90, kernel_name="python3", store_widget_state=False).execute()
    output = notebook.cells[-1].outputs[0]
    shown = output.data
    assert output.metadata["image/png"]["alt"] == "(model) (Identity)"
    assert "application/vnd.jupyter.widget-view+json" in shown  # the widget is still what a notebook shows
    page, _ = HTMLExporter().from_notebook_node(notebook)
    found = [base64.b64decode("".join(each.split())) for each in PNG.findall(page)]
    assert len(found) == 1
    values = np.arange(12.0).reshape(3, 4)
    assert len(places_of(found[0], reference(values, (0.0, 11.0), "viridis"), 120, 120)) == 1
