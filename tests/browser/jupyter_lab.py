"""A real JupyterLab in a real Chromium for the tests: server, page, and a notebook whose explorer can be driven.

In: cells of code. Out: an open notebook, its kernel, and what its explorer shows (pixels, text, attributes).
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from ..browser_path import chromium_path

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SERVER_WAIT_S = 60
CELL_WAIT_MS = 120_000
HEARD_S = 10
"""Most wait until the kernel has heard of a move."""
# What the hosts themselves say: a page left in the middle of a request, and Notebook 7.6 at every start.
NOT_OURS = ("debug_request message", "reading 'schema'")
READY = "canvas.memviz-image[data-state=ready]"


@contextlib.contextmanager
def lab_server(root: Path, app: str = "lab") -> Iterator[str]:
    """A Jupyter server on 127.0.0.1 over the folder ``root``, with settings of its own; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    private = root / ".jupyter"
    folders = {"JUPYTER_CONFIG_DIR": "c", "JUPYTERLAB_SETTINGS_DIR": "s", "JUPYTERLAB_WORKSPACES_DIR": "w"}
    env = {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(private / end) for name, end in folders.items()}}
    _silence_news(private / "s")
    expose = "LabApp" if app == "lab" else "JupyterNotebookApp"
    options = [
        "--no-browser",
        "--allow-root",
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={root}",
        f"--{expose}.expose_app_in_browser=True",
    ]
    log = (root / "server.log").open("w")
    server = subprocess.Popen([sys.executable, "-m", "jupyter", app, *options], env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for_server(server, address, root / "server.log")
        yield address
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def _silence_news(settings: Path) -> None:
    """Answer JupyterLab's question about its news, which lies over the notebook until it is answered."""
    folder = settings / "@jupyterlab/apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')


def _wait_for_server(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + SERVER_WAIT_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError(f"the Jupyter server ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api", timeout=1).read()
            return
        time.sleep(0.1)
    raise RuntimeError(f"no Jupyter server within {SERVER_WAIT_S} s: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium; a missing browser is an error, never a skip."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Notebook:
    """One open notebook in one page.

    Attributes:
        page: the Playwright page. problems: console errors and page errors since it was opened.
    """

    def __init__(self, page: Page, address: str, root: Path, app: str = "lab") -> None:
        self.page, self.address, self.root, self.app = page, address, root, app
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("console", lambda message: self._note(message.text) if message.type == "error" else None)

    def _note(self, problem: str) -> None:
        if not any(known in problem for known in NOT_OURS):
            self.problems.append(problem)

    def open(self, name: str, cells: list[str], reset: bool = True) -> None:
        """Write a notebook of code cells, open it and wait for its kernel."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.root / name)
        self.show(name, reset)

    def show(self, name: str, reset: bool = True) -> None:
        """Open a notebook that is already there and wait for its kernel."""
        folder = "lab/tree" if self.app == "lab" else "notebooks"
        self.page.goto(f"{self.address}/{folder}/{name}{'?reset' if reset else ''}", wait_until="domcontentloaded")
        self.page.wait_for_function(
            """() => { const p = window.jupyterapp?.shell?.currentWidget;
            return p?.sessionContext?.isReady && p.sessionContext.session?.kernel?.status === 'idle'; }""",
            timeout=CELL_WAIT_MS,
        )

    def run_all(self) -> None:
        """Start all cells; returns at once."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def wait_ready(self, timeout_ms: int = CELL_WAIT_MS) -> None:
        """Wait until the heatmap has painted a frame."""
        self.page.wait_for_selector(READY, state="attached", timeout=timeout_ms)

    def reopen_without_kernel(self) -> None:
        """Save the notebook with the state of its widgets, end the kernel, and load the page anew."""
        self.page.evaluate(
            """async () => { const app = window.jupyterapp;
            const command = '@jupyter-widgets/jupyterlab-manager:saveWidgetState';  // a switch, common to all notebooks
            if (!app.commands.isToggled(command)) await app.commands.execute(command);
            await app.commands.execute('docmanager:save');
            await app.shell.currentWidget.sessionContext.shutdown(); }"""
        )
        name = self.page.url.split("/tree/")[1].split("?")[0]
        self.page.goto(f"{self.address}/lab/tree/{name}", wait_until="domcontentloaded")

    def execute(self, code: str, wait: bool = True) -> str:
        """Run code in the notebook's kernel, beside its cells; returns what it printed."""
        script = """async ([code, wait]) => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          const future = kernel.requestExecute({code, store_history: false});
          let text = '';
          future.onIOPub = m => { if (m.header.msg_type === 'stream') text += m.content.text;
            if (m.header.msg_type === 'error') text += m.content.traceback.join('\\n'); };
          if (wait) { await future.done; }
          return text; }"""
        return str(self.page.evaluate(script, [code, wait]))

    def evaluate(self, expression: str) -> Any:
        """Run code in the kernel and read back the JSON of one expression."""
        printed = self.execute(f"import json as _json\nprint(_json.dumps({expression}))")
        try:
            return json.loads(printed)
        except ValueError as error:
            raise RuntimeError(f"kernel said: {printed}") from error

    def heard(self, expression: str, value: Any) -> Any:
        """Read one expression in the kernel until it is ``value``: the kernel hears of a move after the paint."""
        until = time.monotonic() + HEARD_S
        while (now := self.evaluate(expression)) != value and time.monotonic() < until:
            self.page.wait_for_timeout(100)
        return now

    def image(self) -> dict[str, str]:
        """The data-* attributes of the heatmap's canvas: record, frame, state, painted."""
        return dict(self.page.eval_on_selector("canvas.memviz-image", "c => ({...c.dataset})"))

    def pixels(self, number: int = 0) -> npt.NDArray[np.uint8]:
        """RGBA of the heatmap's canvas, (rows, cols, 4) uint8; ``number``: which of several."""
        address = str(self.page.locator("canvas.memviz-image").nth(number).evaluate("c => c.toDataURL('image/png')"))
        picture = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
        return np.array(picture.convert("RGBA"), np.uint8)

    def focus_slider(self, axis: str) -> None:
        """Focus the handle of an axis's slider, so that arrow keys move it."""
        self.page.locator(f".memviz-axis-{axis} .noUi-handle").focus()

    def shut_down(self) -> None:
        """End the notebook's kernel and close its page."""
        with contextlib.suppress(Exception):
            self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.context.close()

    def wait_painted(self, record: int, frame: int, timeout_ms: int = 15_000) -> None:
        """Wait until the heatmap shows this frame of this record."""
        self.page.wait_for_function(
            """([r, f]) => { const d = document.querySelector('canvas.memviz-image')?.dataset;
            return d?.state === 'ready' && d.record === String(r) && d.frame === String(f); }""",
            arg=[record, frame],
            timeout=timeout_ms,
        )
