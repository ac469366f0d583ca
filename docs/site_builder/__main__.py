"""Builds the site: ``python -m site_builder [LESSON ...]`` from docs/, a LESSON being the begin of a notebook's name.

In: docs/, notebooks/, README.md, memviz_widgets. Out: dist/site; exit status 1 when a page has a fault.
"""

from __future__ import annotations

import sys

from .build import NOTEBOOKS, OUT, SiteError, build


def main(names: list[str]) -> int:
    """Build the site with all lessons, or with those whose name begins with one of ``names``."""
    lessons = [path for path in NOTEBOOKS if not names or path.stem.startswith(tuple(names))]
    try:
        site = build(lessons, OUT)
    except SiteError as error:
        print(f"docs: the site has faults:\n{error}", file=sys.stderr)
        return 1
    print(f"docs: {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
