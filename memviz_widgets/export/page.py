"""The page: one HTML file with everything in it that it shows and runs.

In: title, widget state, named bytes, what was left out. Out: valid HTML whose content-security-policy lets nothing in
from outside. The same input gives the same text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .._version import __version__
from .inlined import LEVEL, Inlined
from .scripts import MODULES, bundle, module

STYLE = "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
"""Of the policy, beside its scripts. Widgets set styles of single elements, which have no hash."""

OPENING = "Opening the page. It runs in this browser alone and asks nobody for anything."


@dataclass(frozen=True, slots=True)
class PageContent:
    """What a page shows.

    ``models``: widget state by model id, as js/src/frozen_state.ts reads it. ``views``: model ids, top to bottom.
    ``blobs``: the bytes that the state refers to. ``left_out``: what is not in the page, a line each; ``of``: what
    they are of, for the line above them.
    """

    title: str
    models: dict[str, Any] = field(repr=False)
    views: Sequence[str]
    blobs: Sequence[Inlined] = ()
    left_out: Sequence[str] = ()
    of: str = ""


def render(content: PageContent) -> str:
    """The page as text. Raises FrontEndError when a script that it needs is not installed."""
    title = html.escape(content.title)
    state = {"models": content.models, "views": list(content.views)}
    packed = Inlined.of(
        "state", "", json.dumps(state, sort_keys=True, separators=(",", ":"), allow_nan=False).encode(), LEVEL
    )
    scripts, loader = _scripts()
    hosts = ['<div class="memviz-frozen-view"></div>' for _ in content.views]
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_policy(), quote=True)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="generator" content="memviz_widgets {__version__}">',
        f"<title>{title}</title>",
        "</head>",
        "<body>",
        '<header class="memviz-frozen-head">',
        f"<h1>{title}</h1>",
        '<button type="button" id="memviz-theme" hidden>Dark</button>',
        "</header>",
        f'<p id="memviz-status" role="status">{OPENING}</p>',
        "<noscript><p>This page needs JavaScript, which it carries itself.</p></noscript>",
        *_left_out(content),
        "<main>",
        *hosts,
        "</main>",
        f'<footer class="memviz-frozen-foot">Made by memviz_widgets {__version__}. Values are shown to within 1/504 of '
        "the range of their picture.</footer>",
        *(block.element for block in scripts),
        packed.element,
        *(block.element for block in content.blobs),
        f"<script>{loader}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _left_out(content: PageContent) -> list[str]:
    if not content.left_out:
        return []
    items = [f"<li>{html.escape(line)}</li>" for line in content.left_out]
    summary = f"Not included: {content.of or len(content.left_out)}"
    return [
        '<details class="memviz-frozen-left-out">',
        f"<summary>{html.escape(summary)}</summary>",
        "<ul>",
        *items,
        "</ul>",
        "</details>",
    ]


@lru_cache(maxsize=1)
def _texts() -> tuple[tuple[str, ...], str]:
    """Scripts in the order in which they run, and the loader, which runs them."""
    announced = [f"memvizFrozen.announce({json.dumps(name)});{module(name)}" for name in MODULES]
    loader = bundle("loader.js")
    # The one script that stands in the page as it is: it must not end its own element.
    return (bundle("frozen.js"), *announced), loader.replace("</", "<\\/").replace("<!--", "<\\!--").strip()


@lru_cache(maxsize=1)
def _scripts() -> tuple[tuple[Inlined, ...], str]:
    scripts, loader = _texts()
    style = Inlined.of("style", "frozen.css", bundle("frozen.css").encode(), LEVEL)
    names = ("frozen.js", *MODULES)
    packed = (Inlined.of("script", name, text.encode(), LEVEL) for name, text in zip(names, scripts, strict=True))
    return (style, *packed), loader


@lru_cache(maxsize=1)
def _policy() -> str:
    """Nothing from anywhere, and of scripts only those that the page carries."""
    scripts, loader = _texts()
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in (loader, *scripts))
    return f"default-src 'none'; script-src {hashes}; {STYLE}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
