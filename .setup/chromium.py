"""Set-up of the browser for tests: an installed Chromium or Chrome, else Debian's, else Playwright's.

In: this machine. Out: .venv/chromium-path, one line: the executable, which tests/browser_path.py reads.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from steps import PYTHON, VENV, SetUpError, output_of, run, say

PATH_FILE = VENV / "chromium-path"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
PLAYWRIGHTS_OWN = (
    "from playwright.sync_api import sync_playwright\nwith sync_playwright() as p: print(p.chromium.executable_path)"
)


def ensure_chromium() -> str:
    """Find or install a browser that starts; returns its path and writes it to PATH_FILE.

    Raises:
        SetUpError: when there is none and none can be installed, or MEMVIZ_CHROMIUM names none.
    """
    given = os.environ.get("MEMVIZ_CHROMIUM")
    if given and not output_of(given, "--version"):
        raise SetUpError(f"MEMVIZ_CHROMIUM is {given!r}, which does not start; set it to a Chromium, or unset it")
    found = given or installed() or from_debian() or from_playwright()
    if found is None:
        raise SetUpError(
            "no Chromium: none is installed, none could be installed. Install Chromium or Chrome yourself"
            " (Playwright's own may lack system libraries: sudo .venv/bin/python -m playwright install-deps chromium),"
            " or set MEMVIZ_CHROMIUM to the path of one."
        )
    PATH_FILE.write_text(f"{found}\n")
    return found


def installed() -> str | None:
    """The first browser that is there and says its version."""
    return next((path for path in candidates() if output_of(path, "--version")), None)


def candidates() -> Iterator[str]:
    """Places to look, best first. Ubuntu's chromium-browser may be a stub that only tells to install a snap."""
    yield from filter(None, map(shutil.which, COMMANDS))
    yield from MAC_APPLICATIONS
    if own := output_of(PYTHON, "-c", PLAYWRIGHTS_OWN):
        yield own


def from_debian() -> str | None:
    """Install Debian's package, which only root can; None where that does not lead to a browser."""
    if os.geteuid() or not shutil.which("apt-get"):
        return None
    say("no Chromium here: installing Debian's")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("apt-get", "update", "-qq", extra=quiet)
        run("apt-get", "install", "-y", "-qq", "chromium", extra=quiet)
    except SetUpError as error:
        say(f"Debian's Chromium did not install: {error}")
    return installed()


def from_playwright() -> str | None:
    """Let Playwright download its own; None where that does not lead to a browser."""
    say("no Chromium here: asking Playwright for its own")
    try:
        run(PYTHON, "-m", "playwright", "install", "chromium")
    except SetUpError as error:
        say(f"Playwright's Chromium did not install: {error}")
    return installed()
