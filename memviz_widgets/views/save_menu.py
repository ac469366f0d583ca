"""SaveMenu: a button that writes the view to a file beside the notebook: a page that lives on, or a picture.

In: a click in the browser. Out: a new file, and its name and size, or the error, in the view.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ipywidgets import DOMWidget, Widget, register, widget_serialization
from traitlets import Bool, Enum, Instance, Int, List, Unicode

from ..cache.budget import format_bytes
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

SAVE = "save"
"""The message by which the browser asks for a file."""
FORMS = ("html", "png")
MOST_STEM = 80
"""Characters of a file's name without its end."""


@register
class SaveMenu(Synced, DOMWidget):
    """A button with a menu of the files that the view can be saved as; needs a running kernel.

    The file goes into the kernel's working folder, which is the notebook's. What is there stays: a number is added to
    the name.
    """

    _model_name = Unicode("SaveMenuModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("SaveMenuView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor of the view that is saved.").tag(**widget_serialization)
    forms: Any = List(Enum(FORMS), help='Which files can be made: "html" (a page), "png" (a picture).')
    said: Any = Unicode(help="What came of the last wish: name and size of the file, or the error; one sentence.")
    failed: Any = Bool(False, help="Whether that is an error.")
    answers: Any = Int(0, help="How many wishes were answered.")

    _owner: Any = None

    def serve(self, owner: Any) -> None:
        """Save this view when asked: it has ``save_png``, ``save_stem`` and, where pages can be made, ``save_html``."""
        self._owner = owner
        self.forms = [form for form in FORMS if hasattr(owner, f"save_{form}")]
        self.on_msg(self._asked)

    def close(self) -> None:
        """Forget the view."""
        self.on_msg(self._asked, remove=True)
        self._owner = None
        super().close()

    def _asked(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """A click in the menu. Whatever goes wrong is said beside the button."""
        form = str(content.get("form"))
        if content.get("type") != SAVE or form not in self.forms or self._owner is None:
            return
        try:
            path = free_path(Path.cwd(), self._owner.save_stem(form), form)
            saved = Path(getattr(self._owner, f"save_{form}")(path))
            said, failed = f"saved {saved.name} ({format_bytes(saved.stat().st_size)})", False
        except Exception as error:  # a callback has no caller
            said, failed = f"{type(error).__name__}: {error}", True
        with self.hold_sync():
            self.said, self.failed = said, failed
            self.answers += 1


def free_path(folder: Path, stem: str, end: str) -> Path:
    """A path in a folder that nothing has: ``stem.end``, else ``stem-2.end``, ``stem-3.end`` ...

    ``stem`` may be any text: what is no letter, digit, dot, dash or underscore becomes a dash.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:MOST_STEM].rstrip("-.") or "view"
    number, path = 1, folder / f"{plain}.{end}"
    while path.exists() or path.is_symlink():
        number += 1
        path = folder / f"{plain}-{number}.{end}"
    return path
