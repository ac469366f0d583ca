"""The reference: a page for each part of the public interface, with every public name.

In: ``__all__`` of the package and of its public modules. Out: Markdown in which mkdocstrings puts the docstrings.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import memviz_widgets as mv
from memviz_widgets import analysis, zoo

PAGES = {
    "Recording": ("ActivationCache", "record", "timelapse", "record_dataset", "open_dataset", "ActivationDataset"),
    "Views": (
        "explore", "ActivationExplorer", "AttentionExplorer", "MemoryExplorer", "HealthReport", "Comparison", "compare",
        "RecallLab", "Quiz", "Selection", "TensorImage", "save_html",
    ),
    "Memories": ("register_memory", "unregister_memory", "memory_candidates", "MemoryAdapter", "MemoryTensor"),
}  # fmt: skip
"""Of the names of the package; its modules have pages of their own."""
MODULES = {
    "What-if edits": mv.edit,
    "Measures of attention": analysis.attention,
    "Measures of memory": analysis.memory,
    "Recall": analysis.recall,
    "Health": analysis.health,
    "Distances": analysis.distance,
    "Channels and histograms": analysis,
    "Zoo": zoo,
    "Errors": mv.errors,
}
_SHOWN_AS = {mv.edit: "memviz_widgets.edit"}


def public_names() -> dict[str, list[str]]:
    """Title of a page -> full names on it. Every name of ``memviz_widgets.__all__`` is on one."""
    pages = {title: [f"{mv.__name__}.{name}" for name in names] for title, names in PAGES.items()}
    for title, module in MODULES.items():
        pages[title] = [f"{_SHOWN_AS.get(module, module.__name__)}.{name}" for name in _names(module)]
    return pages


def write_reference(folder: Path) -> list[str]:
    """Write the pages. Returns them as the menu names them."""
    folder.mkdir(parents=True)
    written = []
    for title, names in public_names().items():
        page = folder / f"{title.lower().replace(' ', '_').replace('-', '_')}.md"
        blocks = "\n\n".join(_block(name) for name in names)
        page.write_text(f"# {title}\n\n{_opening(title)}{blocks}\n", encoding="utf-8")
        written.append(f"reference/{page.name}")
    return written


def _block(name: str) -> str:
    """What mkdocstrings reads: a name, where it is found, how it is headed.

    A function in a module of its own name hides that module at run time, but not from who reads the source.
    """
    path, last = name.rsplit(".", 1)
    thing = getattr(sys.modules.get(path) or getattr(mv, path.rsplit(".", 1)[1]), last)
    found_in = getattr(thing, "__module__", "")
    if found_in.rsplit(".", 1)[-1] != last:
        return f"::: {name}"
    return f'<span id="{name}"></span>\n\n::: {found_in}.{last}\n    options:\n      heading: {name}\n'


def _opening(title: str) -> str:
    """The first paragraph of a module's docstring, and how the module is called."""
    module = MODULES.get(title)
    if module is None:
        return ""
    said = " ".join((inspect.getdoc(module) or "").split("\n\n", maxsplit=1)[0].split())
    return f"`{_SHOWN_AS.get(module, module.__name__).replace(mv.__name__, 'mv', 1)}`: {said}\n\n"


def _names(module: ModuleType) -> Iterator[str]:
    """The public names of a module that are its own to show, constants last: no module, nothing that it imports."""
    listed = getattr(module, "__all__", None)
    for name in sorted(listed or vars(module), key=str.isupper):
        thing = getattr(module, name)
        if listed is None and (name.startswith("_") or getattr(thing, "__module__", "") != module.__name__):
            continue
        if not inspect.ismodule(thing):
            yield name
