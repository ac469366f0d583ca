"""Where the browser of the tests is.

In: the environment variable MEMVIZ_CHROMIUM, else what ``make test`` found (.venv/chromium-path), else PATH.
Out: the path of an executable. A test without a browser fails, it never skips.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VARIABLE = "MEMVIZ_CHROMIUM"
PATH_FILE = Path(__file__).resolve().parent.parent / ".venv/chromium-path"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium_path() -> str:
    """Path of a Chromium or Chrome.

    Raises:
        RuntimeError: when there is none; it says how to get one.
    """
    given = os.environ.get(VARIABLE) or (PATH_FILE.read_text().strip() if PATH_FILE.is_file() else "")
    found = shutil.which(given) if given else next(filter(None, map(shutil.which, COMMANDS)), None)
    if found is None:
        what = f"{given!r} is no executable" if given else "no browser is installed"
        raise RuntimeError(f"{what}; expected Chromium or Chrome. Run make test, or set {VARIABLE} to the path of one.")
    return found
