"""What the browser is sent before the first picture of a ResNet-50-shaped model; its time is in tests/benchmarks."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from ..benchmarks.first_picture import PREPARE, SHOW, TARGET_BYTES
from .conftest import SETUP
from .jupyter_lab import Notebook


def test_bytes_before_the_first_picture(browser: Browser, lab_address: str, lab_root: Path) -> None:
    page = browser.new_context(viewport={"width": 1400, "height": 1100}).new_page()
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    notebook = Notebook(page, lab_address, lab_root)
    notebook.open("resnet50.ipynb", [SHOW])
    notebook.execute(f"{SETUP}\n{PREPARE}")
    sizes.clear()
    notebook.run_all()
    notebook.wait_ready()
    sent = sum(sizes)
    layers = notebook.evaluate("explorer.selection.extent('layer')")
    notebook.shut_down()
    assert layers > 250
    assert 100_000 < sent <= TARGET_BYTES
