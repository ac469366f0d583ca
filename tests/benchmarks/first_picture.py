"""From running the cell to the first picture of a ResNet-50-shaped model, and the bytes the browser was sent.

Run: ``python -m tests.benchmarks.first_picture``. The plain forward is measured in the same kernel, so that the time
can be read as a ratio on a busy machine. Leaves with status 1 when a target is missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import WebSocket

from ..browser.conftest import SETUP
from ..browser.jupyter_lab import READY, Notebook, chromium, lab_server

ROUNDS = 5
TARGET_S, TARGET_BYTES = 2.0, 12 * 2**20
PREPARE = """from tests.real_models import resnet50
model, x = resnet50()
_ = model(x)"""
SHOW = "explorer = mv.ActivationExplorer(model, x)\nexplorer"
PLAIN = """import time as _t
_times = []
for _ in range(5):
    _s = _t.perf_counter(); _ = model(x); _times.append(_t.perf_counter() - _s)
print(sorted(_times)[2])"""


def main() -> int:
    received = [0]

    def count(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: received.__setitem__(0, received[0] + len(frame)))

    seconds, sizes, plain = [], [], []
    with tempfile.TemporaryDirectory() as folder, lab_server(Path(folder)) as address, chromium() as browser:
        for turn in range(ROUNDS):
            page = browser.new_context(viewport={"width": 1400, "height": 1400}).new_page()
            page.on("websocket", count)
            notebook = Notebook(page, address, Path(folder))
            notebook.open(f"first{turn}.ipynb", [SHOW])
            notebook.execute(f"{SETUP}\n{PREPARE}")
            plain.append(float(notebook.execute(PLAIN)))
            received[0] = 0
            start = time.perf_counter()
            notebook.run_all()
            page.wait_for_selector(READY, state="attached", timeout=60_000)
            seconds.append(time.perf_counter() - start)
            sizes.append(received[0])
            notebook.shut_down()
    took, size, forward = statistics.median(seconds), max(sizes), statistics.median(plain)
    each = ", ".join(f"{value:.2f}" for value in seconds)
    print(f"first picture: median {took:.2f} s ({each}); plain forward {forward:.3f} s; {size / 2**20:.2f} MiB sent")
    return 0 if took <= TARGET_S and size <= TARGET_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
