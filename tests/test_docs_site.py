"""The site builds strictly, its links lead somewhere, it asks nobody for anything, and it has every public name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from griffe import temporary_visited_module
from ipywidgets import FloatProgress, HBox, IntSlider
from site_builder.build import NOTEBOOKS, SiteError, render
from site_builder.docstrings import plain, trait_help
from site_builder.in_kernel import is_progress
from site_builder.lessons import fenced
from site_builder.links import ROOT, Places, rewritten
from site_builder.reference import public_names

import memviz_widgets as mv

from .docs_site import site

LOADED_BY = {"src", "srcset", "data", "poster", "background"}
"""Attributes whose address a browser asks for at once."""


class Addresses(HTMLParser):
    """Of a page: ``links`` that may be followed, what it ``loads``, the ``ids`` that links may lead to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"id", "name"} and value:
                self.ids.add(value)
            elif name in LOADED_BY and value:
                self.loads.append(value)
            elif name == "href" and value:
                (self.loads if tag == "link" else self.links).append(value)


@pytest.fixture(scope="module")
def pages() -> dict[Path, Addresses]:
    """Frozen pages are left out: they have tests of their own."""
    return {page: Addresses(page) for page in site().rglob("*.html") if "small" not in page.parent.parts}


def is_outside(address: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*:|//", address) is not None


@pytest.mark.slow
def test_every_link_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Addresses]) -> None:
    wrong = []
    for page, addresses in pages.items():
        for address in filter(lambda each: not is_outside(each), [*addresses.links, *addresses.loads]):
            path, _, anchor = address.split("?")[0].partition("#")
            base = site() if page.name == "404.html" else page.parent
            target = (base / unquote(path).lstrip("/")).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                wrong.append(f"{page.relative_to(site())}: {address}")
    assert len(pages) > 30 and wrong == []


@pytest.mark.slow
def test_nothing_is_asked_of_another_server(pages: dict[Path, Addresses]) -> None:
    loads = [address for each in pages.values() for address in each.loads]
    styles = "".join(path.read_text(encoding="utf-8") for path in site().rglob("*.css"))
    loads += re.findall(r"(?:url\(|@import\s)\s*['\"]?([^'\")]+)", styles)
    assert loads and [each for each in loads if is_outside(each) and not each.startswith("data:")] == []


@pytest.mark.slow
def test_the_reference_has_every_public_name(pages: dict[Path, Addresses]) -> None:
    there = set().union(*(each.ids for page, each in pages.items() if page.parent.name == "reference"))
    assert {name for names in public_names().values() for name in names} <= there
    modules = {"analysis", "edit", "errors"}
    assert {f"memviz_widgets.{name}" for name in mv.__all__ if name not in {*modules, "__version__"}} <= there
    views = re.sub(r"<[^>]+>", "", (site() / "reference/views.html").read_text(encoding="utf-8"))
    assert "memviz_widgets.explore" in views and "explore(source" in views.replace("\n", "").replace(" ", "")


@pytest.mark.slow
def test_a_lesson_has_its_code_its_output_and_its_views() -> None:
    page = (site() / "lessons/small.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", page)
    assert "A small lesson" in text and "mv.ActivationExplorer(model" in text and "a fence: ```" in text
    assert re.findall(r'<iframe class="lesson-view" src="([^"]+)" loading="lazy"', page) == ["small/cell03.html"]
    assert [path.name for path in (site() / "lessons/small").iterdir()] == ["cell03.html"]


def test_a_link_that_leads_nowhere_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/index.md").write_text("# Start\n\n[on](gone.md), [there](#nowhere)\n")
    with pytest.raises(SiteError, match=r"(?s)#nowhere.*'gone.md'|'gone.md'.*#nowhere"):
        render(tmp_path / "in", tmp_path / "out", [{"Start": "index.md"}])


def test_links_of_the_tree_become_links_of_the_site() -> None:
    readme, limits, (book, other, *_) = ROOT / "README.md", ROOT / "docs/limits.md", NOTEBOOKS
    places = Places({readme: Path("index.md"), limits: Path("limits.md"), book: Path("lessons/a.md")})
    text = f"[a](docs/limits.md#x) [b](LICENSE) [c](notebooks/{book.name}) [d](notebooks/{other.name}) [e](no.md)"
    fence = "\n```python\n[a](docs/limits.md)\n```\n"
    there = "[a](limits.md#x) [b](LICENSE) [c](lessons/a.md) [d] [e](no.md)"
    assert rewritten(text + fence, readme, places) == there + fence
    assert places.files == {ROOT / "LICENSE": Path("LICENSE")}
    assert rewritten("[up](../README.md)", book, places) == "[up](../index.md)"


def test_every_lesson_begins_with_its_title() -> None:
    assert [path.stem for path in NOTEBOOKS if '"# ' not in path.read_text(encoding="utf-8").split('"source"')[1]] == []


def test_roles_and_tables_in_docstrings() -> None:
    assert plain("See :func:`~mv.a`, :data:`B`.") == "See `mv.a`, `B`."
    table = "==  ===\na   one\n==  ==="
    assert plain(f"So:\n\n{table}\n\nEnd.") == f"So:\n\n```text\n{table}\n```\n\nEnd."


def test_the_help_of_a_trait_is_its_docstring() -> None:
    code = 'a = Int(0, help="How " "many.").tag(sync=True)\nb = Int(0, help="More.")\nc = Int(0)\nd = 1\n'
    with temporary_visited_module(code) as module:
        assert [trait_help(module[name].value) for name in "abcd"] == ["How many.", "More.", "", ""]


def test_a_bar_of_progress_is_no_view() -> None:
    assert is_progress(HBox([FloatProgress()])) and not is_progress(IntSlider())
    ours = type("Ours", (HBox,), {"__module__": "memviz_widgets.views.ours"})
    assert not is_progress(HBox([FloatProgress(), ours()]))


def test_a_fence_is_longer_than_those_in_the_text() -> None:
    assert fenced("a", "text") == "```text\na\n```"
    assert fenced("```` b", "text") == "`````text\n```` b\n`````"
