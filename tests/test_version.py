"""One version number: memviz_widgets/_version.py is the master, the front end repeats it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from memviz_widgets._version import __version__

JS = Path(__file__).resolve().parent.parent / "js"
PRE_RELEASES = {"a": "alpha", "b": "beta", "rc": "rc"}


def npm_version(version: str) -> str:
    """The same version as npm writes it: "0.1.0a1" -> "0.1.0-alpha.1"."""
    match = re.fullmatch(r"(\d+\.\d+\.\d+)(?:(a|b|rc)(\d+))?", version)
    assert match is not None, f"version {version!r}; expected X.Y.Z, or X.Y.Z with a1, b1 or rc1"
    release, stage, number = match.groups()
    return f"{release}-{PRE_RELEASES[stage]}.{number}" if stage else str(release)


@pytest.mark.parametrize(
    ("python", "npm"), [("0.1.0", "0.1.0"), ("0.1.0a1", "0.1.0-alpha.1"), ("1.20.3rc2", "1.20.3-rc.2")]
)
def test_npm_spelling(python: str, npm: str) -> None:
    assert npm_version(python) == npm


def test_package_json_has_the_version() -> None:
    assert json.loads((JS / "package.json").read_text())["version"] == npm_version(__version__)


def test_package_lock_has_the_version() -> None:
    lock = json.loads((JS / "package-lock.json").read_text())
    assert {lock["version"], lock["packages"][""]["version"]} == {npm_version(__version__)}


def test_version_ts_has_the_version() -> None:
    match = re.search(r"MODULE_VERSION = '([^']*)'", (JS / "src/version.ts").read_text())
    assert match is not None
    assert match[1] == npm_version(__version__)


def test_the_citation_has_the_version() -> None:
    root = JS.parent
    written = re.findall(r"^version: (\S+)$", (root / "CITATION.cff").read_text(), re.MULTILINE)
    assert written == [__version__]
    assert re.findall(r"version = {(\S+)}", (root / "README.md").read_text()) == [__version__]
