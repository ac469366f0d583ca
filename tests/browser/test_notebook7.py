"""Notebook 7, whose own shortcuts take the arrow keys from a slider unless we keep them."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from .conftest import SETUP
from .jupyter_lab import Notebook, lab_server
from .test_controls import CONV_CELL


def test_explorer_works_and_arrows_scrub(browser: Browser, tmp_path: Path) -> None:
    with lab_server(tmp_path, app="notebook") as address:
        page = browser.new_context(viewport={"width": 1200, "height": 1000}).new_page()
        notebook = Notebook(page, address, tmp_path, app="notebook")
        notebook.open("seven.ipynb", [SETUP, CONV_CELL])
        notebook.run_all()
        notebook.wait_ready()
        notebook.focus_slider("channel")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        notebook.wait_painted(0, 2)
        notebook.shut_down()
        assert not notebook.problems
