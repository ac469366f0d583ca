"""The page is valid HTML, its texts are text, and its policy lets nothing in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import pytest

from memviz_widgets.export.inlined import Inlined
from memviz_widgets.export.page import PageContent, render

HOSTILE = "</title></script><img src=x onerror=alert(1)>"
VOID = {"meta"}


class Reader(HTMLParser):
    """Open elements, problems, texts and the data blocks of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


@pytest.fixture
def page() -> str:
    content = PageContent(
        HOSTILE,
        {"w0": {"state": {"value": HOSTILE}}},
        ["w0"],
        [Inlined.of("bytes", "s0.screen", b"abc")],
        [f"{HOSTILE}: too large"],
        f"1 of 2 {HOSTILE}",
    )
    return render(content)


def test_every_element_is_closed_and_the_head_is_complete(page: str) -> None:
    reader = read(page)
    assert page.startswith("<!DOCTYPE html>\n") and reader.open == [] and reader.problems == []
    assert reader.tags[0] == ("html", {"lang": "en"})
    assert reader.tags[2] == ("meta", {"charset": "utf-8"})
    assert [tag for tag, _ in reader.tags].count("title") == 1
    assert {"main", "header", "h1", "footer", "noscript"} <= {tag for tag, _ in reader.tags}


def test_texts_are_text(page: str) -> None:
    reader = read(page)
    assert "img" not in {tag for tag, _ in reader.tags}
    assert ("title", HOSTILE) in reader.texts and ("h1", HOSTILE) in reader.texts
    assert ("li", f"{HOSTILE}: too large") in reader.texts
    assert ("summary", f"Not included: 1 of 2 {HOSTILE}") in reader.texts


def test_the_policy_lets_in_only_what_the_page_carries(page: str) -> None:
    reader = read(page)
    place, policy = next((i, attrs) for i, (_, attrs) in enumerate(reader.tags) if "http-equiv" in attrs)
    assert place < next(i for i, (tag, _) in enumerate(reader.tags) if tag == "script")
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy["content"]).split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("script-src").split() == [f"'sha256-{digest}'" for digest in script_digests(page)]
    assert rules == {
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "font-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def script_digests(page: str) -> list[str]:
    """Of the loader, which runs as it stands, and of every script that it unpacks, in the order of the page."""
    loaders = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(loaders) == 1
    packed = re.findall(r'data-kind="script" data-name="[^"]*">(.*?)</script>', page)
    scripts = [zlib.decompress(base64.b64decode(each), -zlib.MAX_WBITS) for each in packed]
    return [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in (loaders[0].encode(), *scripts)]


def test_the_page_names_no_place_outside(page: str) -> None:
    for tag, attributes in read(page).tags:
        assert not {"src", "href", "action", "srcset"} & set(attributes), tag


def test_state_and_bytes_are_in_it(page: str) -> None:
    packed = re.findall(r'data-kind="(state|bytes)" data-name="([^"]*)">(.*?)</script>', page)
    found = {kind: (name, zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS)) for kind, name, text in packed}
    assert json.loads(found["state"][1]) == {"models": {"w0": {"state": {"value": HOSTILE}}}, "views": ["w0"]}
    assert found["bytes"] == ("s0.screen", b"abc")


def test_nothing_left_out_is_not_spoken_of() -> None:
    page = render(PageContent("t", {}, []))
    assert "Not included" not in page and render(PageContent("t", {}, [])) == page
