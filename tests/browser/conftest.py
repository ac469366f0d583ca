"""One JupyterLab and one Chromium for all browser tests; a fresh page, with its own kernel, for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from .jupyter_lab import Notebook, chromium, lab_server

REPO = Path(__file__).parents[2]
# The first cell of each notebook: the test's own models become importable in the kernel. Seeded like tests/conftest.py.
SETUP = f"""import sys; sys.path.insert(0, {str(REPO)!r})
import torch; torch.set_num_threads(1); torch.manual_seed(0)
import memviz_widgets as mv"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser test that fails on a busy machine, where a page may be late, is run once more; the report counts it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.flaky(reruns=1))


expect.set_options(timeout=15_000)  # instead of 5: a busy machine is no fault


@pytest.fixture(scope="session")
def lab_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab_address(lab_root: Path) -> Iterator[str]:
    with lab_server(lab_root) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_notebook(
    browser: Browser, lab_address: str, lab_root: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """``open_notebook(*cells)`` opens a notebook, runs it, and waits for the first picture."""
    opened: list[Notebook] = []

    def start(*cells: str, width: int = 1400, height: int = 1100, picture: bool = True) -> Notebook:
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        notebook = Notebook(page, lab_address, lab_root)
        opened.append(notebook)
        name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
        notebook.open(f"{name}.ipynb", [SETUP, *cells])
        notebook.run_all()
        if picture:
            notebook.wait_ready()
        return notebook

    yield start
    for notebook in opened:
        notebook.shut_down()
    problems = [problem for notebook in opened for problem in notebook.problems]
    assert not problems, f"the browser reported errors: {problems}"
