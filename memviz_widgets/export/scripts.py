"""The scripts of a page without a kernel: our own bundles, and those of bqplot and bqscales as they are installed.

In: what is installed. Out: their texts, so that the page and the Python that made it agree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ..errors import FrontEndError

PACKAGE = Path(__file__).resolve().parent.parent
MODULES = {"bqscales": "bqscales", "bqplot": "bqplot", "memviz-widgets": "memviz_widgets"}
"""Front-end module -> the Python package that brings it, in the order in which they are needed."""


def bundle(name: str) -> str:
    """One of our own files for pages: "frozen.js", "frozen.css", "loader.js".

    Raises:
        FrontEndError: when it was not built.
    """
    return _text_of([PACKAGE / "static" / name], name, "run make build")


def module(name: str) -> str:
    """The AMD bundle of a front-end module.

    Raises:
        FrontEndError: when it is not where its wheel puts it.
    """
    package = MODULES[name]
    return _text_of(_places(name, package), f"{name}/index.js", f"install {package} from its wheel again")


def _places(name: str, package: str) -> Iterator[Path]:
    """Where the bundle of a module may be: in our own tree, where the wheel put it, where wheels usually do."""
    if package == PACKAGE.name:
        yield PACKAGE / "nbextension" / "index.js"
    end = f"nbextensions/{name}/index.js"
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())) for file in files if file.as_posix().endswith(end))
    yield Path(sys.prefix, "share/jupyter", end)


def _text_of(places: list[Path] | Iterator[Path], what: str, advice: str) -> str:
    looked = []
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
        looked.append(str(place))
    raise FrontEndError(f"the script {what} is not installed; {advice}. Looked for: {', '.join(looked)}.")
