"""From the tree to the site: pages are put together in one folder, in the order of the menu, and mkdocs builds them.

In: the tree, the lessons to run, a folder. Out: the folder's ``site``, or an error that lists the faults of pages.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mkdocs.commands.build import build as mkdocs_build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from .lessons import lesson
from .links import ROOT, Places, rewritten
from .reference import write_reference

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OUT = ROOT / "dist"
ASSETS = Path(__file__).parent / "assets"
FIRST_GUIDES = ("measures", "adapters", "quiz", "frozen", "pictures", "time_lapse")
"""Guides in the order of the menu; those that are not named follow by their names."""
ABOUT = ("architecture", "extending", "format", "limits")


class SiteError(RuntimeError):
    """The site has faults, a line each: a link that leads nowhere, a name that the reference does not find."""


def build(lessons: Sequence[Path], out: Path) -> Path:
    """The site with these lessons: ``out/site``. Raises SiteError when a page has a fault."""
    source, site = out / "site-source", out / "site"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(site, ignore_errors=True)
    nav = assemble(lessons, source, out / "lessons-cache")
    render(source, site, nav)
    return site


def render(source: Path, site: Path, nav: list[Any]) -> None:
    """The pages in ``source`` as HTML. Raises SiteError: whatever mkdocs warns of is a fault."""
    faults = _Faults(logging.WARNING)
    log = logging.getLogger("mkdocs")
    log.addHandler(faults)
    settings = str(ROOT / "docs/mkdocs.yml")
    config = load_config(settings, docs_dir=str(source), site_dir=str(site), nav=nav, strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    try:
        mkdocs_build(config)
    except Abort as error:
        raise SiteError("\n".join([*faults.lines, str(error)])) from None
    finally:
        config.plugins.on_shutdown()
        log.removeHandler(faults)


class _Faults(logging.Handler):
    """What mkdocs warns of, in ``lines``."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def assemble(lessons: Sequence[Path], source: Path, cache: Path) -> list[dict[str, Any]]:
    """Every page of the site as Markdown in ``source``. Returns the menu."""
    places = _places(lessons)
    for file, page in places.pages.items():
        if file.suffix == ".md":
            _write(source / page, rewritten(file.read_text(encoding="utf-8"), file, places))
    for path in lessons:
        made = lesson(path, cache)
        page = source / places.pages[path]
        _write(page, rewritten((made / "lesson.md").read_text(encoding="utf-8"), path, places))
        shutil.copytree(made / "views", page.with_suffix(""))
    for file, target in places.files.items():
        (source / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, source / target)
    shutil.copytree(ASSETS, source / "assets")
    return _menu(places, lessons, write_reference(source / "reference"))


def _places(lessons: Sequence[Path]) -> Places:
    """Where each page of the tree is on the site."""
    docs, notebooks = ROOT / "docs", ROOT / "notebooks"
    pages = {ROOT / "README.md": Path("index.md"), notebooks / "README.md": Path("lessons/index.md")}
    pages |= {path: Path("lessons") / f"{path.stem}.md" for path in lessons}
    pages |= {path: path.relative_to(docs) for path in sorted(docs.rglob("*.md"))}
    pages |= {ROOT / name: Path(f"{Path(name).stem.lower()}.md") for name in ("CONTRIBUTING.md", "CHANGELOG.md")}
    return Places(pages)


def _menu(places: Places, lessons: Sequence[Path], reference: list[str]) -> list[dict[str, Any]]:
    guides = [
        page.stem
        for page in places.pages.values()
        if page.parent == Path() and page.stem not in ("index", "contributing", "changelog", *FIRST_GUIDES, *ABOUT)
    ]
    decisions = [str(page) for page in places.pages.values() if page.parent == Path("decisions")]
    return [
        {"Start": "index.md"},
        {"Lessons": ["lessons/index.md", *(str(places.pages[path]) for path in lessons)]},
        {"Guides": [f"{name}.md" for name in (*FIRST_GUIDES, *guides)]},
        {"Reference": reference},
        {"Project": [*(f"{name}.md" for name in ABOUT), "contributing.md", "changelog.md", {"Decisions": decisions}]},
    ]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
