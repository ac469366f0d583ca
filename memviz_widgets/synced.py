"""What every widget class of ours has in common: traits that sync by construction, keywords that are checked.

In: the class body of a widget. Out: the same class, its documented traits tagged for the wire.
"""

from __future__ import annotations

from typing import Any

from traitlets import HasTraits, TraitType

from ._version import __version__
from .errors import UnknownOptionError, nearest_hint

MODULE_NAME = "memviz-widgets"
MODULE_VERSION = f"^{__version__}"


class Synced(HasTraits):
    """Mixin for widget classes: each public trait of the class body syncs, each must carry ``help=``.

    A trait whose name starts with an underscore keeps whatever tags it was given.

    Raises:
        TypeError: at class creation, when a public trait has no help text.
        UnknownOptionError: at construction, for a keyword that is no trait; it names the nearest one.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, trait in vars(cls).items():
            if not isinstance(trait, TraitType) or name.startswith("_"):
                continue
            if not trait.help:
                raise TypeError(f"{cls.__name__}.{name} has no help text; say meaning, shape, unit and range")
            trait.tag(sync=True)

    _from_browser = False  # True while state that the browser sent is taken in

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        known = set(type(self).class_trait_names())
        for name in kwargs:
            if name not in known:
                raise UnknownOptionError(unknown_option_text(type(self).__name__, name, known))
        super().__init__(*args, **kwargs)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take state from the browser: validators and observers may ask ``_from_browser`` who is writing."""
        self._from_browser = True
        try:
            super().set_state(sync_data)  # type: ignore[misc]  # of ipywidgets.Widget, which follows this mixin
        finally:
            self._from_browser = False

    def __repr__(self) -> str:
        """One short line: the class and its plain settings. (ipywidgets would print every widget below.)"""
        own = [name for name, trait in vars(type(self)).items() if isinstance(trait, TraitType) and name[0] != "_"]
        plain = {name: value for name in own if isinstance(value := getattr(self, name), str | int | float)}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in plain.items())})"


def unknown_option_text(owner: str, given: str, known: set[str]) -> str:
    """One sentence for a misspelt keyword: what was given, the nearest known one, what there is."""
    public = sorted(name for name in known if not name.startswith("_"))
    return f"{owner} has no option {given!r}{nearest_hint(given, public, cutoff=0.6)}. Options: {', '.join(public)}."
