"""The lessons run from a clean kernel, show a picture early, and carry no stored output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CELL_WAIT_S = 90
"""What a whole lesson may take on two cores; here each of its cells may, for a busy machine."""
VIEW = "application/vnd.jupyter.widget-view+json"


def load(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_there_is_a_quickstart() -> None:
    assert (FOLDER / "00_quickstart.ipynb") in NOTEBOOKS


def test_the_reading_list_has_every_lesson_in_order() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.ipynb\) \| \d+ \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    names = [name for name, target in listed if name == target]
    assert names == sorted(set(names)) and {path.stem for path in NOTEBOOKS} == set(names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path: Path) -> None:
    assert [cell for cell in load(path).cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_a_clean_kernel_and_shows_a_picture_within_five_cells(path: Path) -> None:
    book = load(path)
    NotebookClient(book, timeout=CELL_WAIT_S, resources={"metadata": {"path": str(FOLDER)}}).execute()
    first = [any(VIEW in out.get("data", {}) for out in cell.get("outputs", ())) for cell in book.cells].index(True)
    assert first < 5
    assert 6 <= len(book.cells) <= 10 or path.stem != "00_quickstart"
