"""A site of docs/ for tests: every page, the whole reference, one small lesson.

In: nothing. Out: the folder of the site, built once in a test run.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import nbformat
from site_builder.build import build

CELLS = (
    "import torch\nimport memviz_widgets as mv\n\n_ = torch.manual_seed(0)\nprint('a fence: ```')",
    "import ipywidgets\n\nipywidgets.HBox([ipywidgets.FloatProgress()])",
    "model = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU())\n"
    "mv.ActivationExplorer(model, torch.randn(1, 1, 14, 14))",
)


@lru_cache(maxsize=1)
def site() -> Path:
    """Raises SiteError when a page has a fault."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    cells = [nbformat.v4.new_markdown_cell("# A small lesson"), *map(nbformat.v4.new_code_cell, CELLS)]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python"}})
    nbformat.write(book, folder / "small.ipynb")
    return build([folder / "small.ipynb"], folder)
