"""A lesson as a page: the notebook is run, and each view that it shows is in the page, working without a kernel.

In: a notebook. Out: a folder with ``lesson.md`` and ``views``, kept until notebook, package or this folder change.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from .links import ROOT

CELL_WAIT_S = 300
"""What a cell may take; its views are written in as much again."""
VIEW = "application/vnd.jupyter.widget-view+json"
_PROGRESS = re.compile(r"^.*\d+%\|.*\|.*$", re.MULTILINE)


def lesson(notebook: Path, cache: Path) -> Path:
    """The folder of a lesson's page, run now or kept from before. Raises CellExecutionError when a cell does."""
    digest = hashlib.sha256(notebook.read_bytes() + _sources().encode()).hexdigest()[:16]
    folder = cache / f"{notebook.stem}-{digest}"
    if not (folder / "lesson.md").exists():
        # A folder without the page is of a run that was cut short.
        for old in cache.glob(f"{notebook.stem}-*"):
            shutil.rmtree(old)
        (folder / "views").mkdir(parents=True)
        text = _Run(notebook, folder / "views").markdown()
        (folder / "lesson.md").write_text(text, encoding="utf-8")
    return folder


@lru_cache(maxsize=1)
def _sources() -> str:
    """A digest of what lessons are made by: the package, its scripts, this folder."""
    digest = hashlib.sha256()
    package = ROOT / "memviz_widgets"
    for path in sorted([*package.rglob("*.py"), *(package / "static").glob("*"), *Path(__file__).parent.glob("*.py")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


class _Run:
    """One run of a notebook; its parts as Markdown, its views in ``views``."""

    def __init__(self, notebook: Path, views: Path) -> None:
        self._views = views
        self._book = nbformat.read(notebook, as_version=4)
        self._name = notebook.stem
        self._client = NotebookClient(
            self._book, timeout=CELL_WAIT_S, resources={"metadata": {"path": str(notebook.parent)}}
        )

    def markdown(self) -> str:
        with self._client.setup_kernel(env=_environment()):
            parts = [part for number in range(len(self._book.cells)) for part in self._cell(number)]
        # The table of contents would take the room of the pictures.
        head = f"---\ntitle: {json.dumps(self._title())}\nhide: [toc]\n---"
        return "\n\n".join([head, *parts]) + "\n"

    def _cell(self, number: int) -> Iterator[str]:
        cell = self._book.cells[number]
        if cell.cell_type == "markdown":
            yield cell.source
        elif cell.cell_type == "code":
            yield fenced(cell.source, "python")
            self._client.execute_cell(cell, number)
            for which, output in enumerate(list(cell.outputs)):
                yield from self._output(output, f"cell{number:02}{f'-{which}' if which else ''}", number)

    def _output(self, output: Any, name: str, number: int) -> Iterator[str]:
        data = output.get("data", {})
        if VIEW in data:
            yield from self._view(data[VIEW]["model_id"], name, number)
        elif "image/png" in data:
            (self._views / f"{name}.png").write_bytes(b64decode(data["image/png"]))
            yield f"![What the cell shows]({self._name}/{name}.png)"
        else:
            text = _PROGRESS.sub("", output.get("text", data.get("text/plain", ""))).strip("\r\n")
            if text:
                yield f'<div class="lesson-output" markdown>\n\n{fenced(text, "text")}\n\n</div>'

    def _view(self, model_id: str, name: str, number: int) -> Iterator[str]:
        title = f"{self._title()}: cell {number}"
        written = self._ask(f"save({model_id!r}, {str((self._views / name).resolve())!r}, {title!r})", number)
        if written.endswith(".png"):
            yield f"![{html.escape(title)}]({self._name}/{written})\n\n*A picture: this view needs a kernel.*"
        elif written:
            source = f"{self._name}/{written}"
            yield (
                f'<iframe class="lesson-view" src="{source}" loading="lazy" title="{html.escape(title)}"></iframe>\n\n'
                f"[This view alone]({source})"
            )

    def _ask(self, code: str, number: int) -> str:
        """What the kernel says to a line of in_kernel.py; the notebook is as it was."""
        cell = self._book.cells[number]
        asked = nbformat.v4.new_code_cell(f"import site_builder.in_kernel as _site\nprint(repr(_site.{code}))")
        self._client.execute_cell(asked, number, store_history=False)
        self._book.cells[number] = cell
        said = "".join(output.text for output in asked.outputs if output.get("name") == "stdout")
        return str(json.loads(said.strip().replace("'", '"')))

    def _title(self) -> str:
        first = next((line for cell in self._book.cells for line in cell.source.splitlines() if line[:2] == "# "), "")
        return first.removeprefix("# ") or self._name


def fenced(text: str, language: str) -> str:
    """A block of code, whatever fences the text has in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _environment() -> dict[str, str]:
    """Of the kernel: it finds the package and this folder, and has one thread, as lessons are tested."""
    found = (str(ROOT), str(ROOT / "docs"), os.environ.get("PYTHONPATH"))
    path = os.pathsep.join([*filter(None, found)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
