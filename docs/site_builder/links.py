"""Links between files of the tree become links between pages of the site.

In: Markdown, the file that it comes from, where pages are. Out: Markdown; other files are noted to be copied.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
_FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Places:
    """``pages``: file of the tree -> page of the site. ``files``: file of the tree -> its copy on the site."""

    pages: dict[Path, Path]
    files: dict[Path, Path] = field(default_factory=dict)


def rewritten(text: str, file: Path, places: Places) -> str:
    """The text of a page with its links as they are on the site.

    A notebook that this site is built without is plain text. A link that leads nowhere stays as it is: mkdocs finds it.
    """
    parts = _FENCED.split(text)
    parts[::2] = [_LINK.sub(lambda link: _link(link, file, places), part) for part in parts[::2]]
    return "".join(parts)


def _link(link: re.Match[str], file: Path, places: Places) -> str:
    target = Path(os.path.normpath(file.parent / link["path"]))
    if target.suffix == ".ipynb" and target.exists() and target not in places.pages:
        return "]"
    if target in places.pages:
        place = places.pages[target]
    elif target.is_file():
        docs = ROOT / "docs"
        place = places.files.setdefault(target, target.relative_to(docs if target.is_relative_to(docs) else ROOT))
    else:
        return link[0]
    there = os.path.relpath(place, places.pages[file].parent).replace(os.sep, "/")
    return f"]({there}{link['anchor'] or ''})"
