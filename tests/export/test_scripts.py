"""The scripts of a page are those that are installed; what is missing is named."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from memviz_widgets.errors import FrontEndError
from memviz_widgets.export import scripts


@pytest.mark.parametrize("name", scripts.MODULES)
def test_modules_are_amd_bundles(name: str) -> None:
    assert "define(" in scripts.module(name)[:200]


def test_bqplot_is_the_installed_one() -> None:
    files = metadata.distribution("bqplot").files or []
    place = next(file for file in files if file.as_posix().endswith("nbextensions/bqplot/index.js"))
    assert scripts.module("bqplot") == Path(str(place.locate())).read_text(encoding="utf-8")


def test_a_bundle_that_was_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scripts, "PACKAGE", tmp_path)
    with pytest.raises(FrontEndError, match=r"the script frozen\.js is not installed; run make build\. Looked for: "):
        scripts.bundle("frozen.js")


def test_a_module_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", none)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(FrontEndError, match=r"bqplot/index\.js is not installed; install bqplot from its wheel again"):
        scripts.module("bqplot")
    place = tmp_path / "share/jupyter/nbextensions/bqplot/index.js"
    place.parent.mkdir(parents=True)
    place.write_text("define([], {})")
    assert scripts.module("bqplot") == "define([], {})"
