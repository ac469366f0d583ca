"""Imports run one way: every module imports only its own stage and the stages before it.

In: the source of memviz_widgets, parsed, never imported. Out: no module that looks ahead, no widget below the views.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "memviz_widgets"
NAME = PACKAGE.name
# Left to right, as the data flows; the names of one group stand side by side.
STAGES = (
    ("_version", "errors", "synced", "records"),
    ("capture",),
    ("cache",),
    ("analysis",),
    ("zoo",),
    ("frames",),
    ("export",),
    ("selection",),
    ("views",),
    ("__init__",),
)
WIDGET_LIBRARIES = {"ipywidgets", "bqplot", "traittypes", "IPython"}
WIDGET_STAGES = {"selection", "views"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def stage_of(module: tuple[str, ...]) -> str:
    """First name below the package: ("views", "color_bar") -> "views"; the package itself is "__init__"."""
    return module[0] if module else "__init__"


def position(stage: str) -> int:
    found = [place for place, group in enumerate(STAGES) if stage in group]
    assert found, f"{stage!r} is in no stage; give it a place in STAGES, in the order in which data flows"
    return found[0]


def parts_of(path: Path) -> tuple[str, ...]:
    """Names from the package down: views/color_bar.py -> ("views", "color_bar"); an __init__ is its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(source: str, path: Path) -> Iterator[tuple[str, ...]]:
    """Every module that a source imports, absolute, as names; also inside functions and under TYPE_CHECKING."""
    folder = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            # `from . import selection` names the module only after "import".
            yield from ((*module, alias.name) for alias in node.names)


def looks_ahead(source: str, path: Path) -> list[str]:
    """Stages that a source imports although they come after its own."""
    own = position(stage_of(parts_of(path)))
    stages = {stage_of(names[1:]) for names in imported(source, path) if names[0] == NAME}
    return sorted(stage for stage in stages if position(stage) > own)


def widget_imports(source: str, path: Path) -> list[str]:
    """Widget libraries that a source imports."""
    return sorted({names[0] for names in imported(source, path)} & WIDGET_LIBRARIES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_left_to_right(path: Path) -> None:
    ahead = looks_ahead(path.read_text(encoding="utf-8"), path)
    assert not ahead, f"{path.name} imports {ahead}, which come after {stage_of(parts_of(path))!r}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_selection_and_views_import_widgets(path: Path) -> None:
    if stage_of(parts_of(path)) not in WIDGET_STAGES:
        assert widget_imports(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("place", "source", "ahead"),
    [
        ("capture/hooks.py", "from ..cache import ActivationCache", ["cache"]),
        ("capture/hooks.py", "from .. import cache, records", ["cache"]),
        ("capture/hooks.py", "def later():\n    import memviz_widgets.views.color_bar", ["views"]),
        ("frames/plan.py", "from memviz_widgets import ActivationExplorer as selection", None),
        ("frames/plan.py", "from ..records import TensorRecord\nfrom .pool import pool\nimport torch", []),
        ("errors.py", "from .selection import Selection", ["selection"]),
        ("views/__init__.py", "from .color_bar import ColorBar\nfrom ..cache import ActivationCache", []),
    ],
)
def test_a_look_ahead_is_found(place: str, source: str, ahead: list[str] | None) -> None:
    if ahead is None:  # a public name of the package is no stage: only the package itself may gather those
        with pytest.raises(AssertionError, match="'ActivationExplorer' is in no stage"):
            looks_ahead(source, PACKAGE / place)
    else:
        assert looks_ahead(source, PACKAGE / place) == ahead


def test_a_widget_import_is_found() -> None:
    source = "import torch\ndef show():\n    from bqplot.marks import Lines\n    import ipywidgets as w"
    assert widget_imports(source, PACKAGE / "frames/plan.py") == ["bqplot", "ipywidgets"]
