"""The built-in colour maps, perceptually uniform and safe for colour-blind readers.

In: a name. Out: 256 colours, first for the smallest value. The table itself is ``colormaps.json`` beside this module,
which the front end is built from too.

Sources and licences: viridis, cividis, magma and gray from matplotlib (viridis and magma by Smith, van der Walt and
Firing, CC0; cividis by Nunez, Anderton and Renslow, CC0; gray is a formula); batlow, vik and berlin from Crameri,
"Scientific colour maps" (Zenodo, doi:10.5281/zenodo.1243862, MIT); RdBu by Brewer, colorbrewer2.org (Apache-2.0; "This
product includes color specifications and designs developed by Cynthia Brewer"), reversed: low is blue, high is red.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from ..errors import UnknownColormapError, nearest_hint

SEQUENTIAL = ("viridis", "cividis", "magma", "batlow", "gray")
DIVERGING = ("vik", "RdBu", "berlin")
COLORMAP_NAMES = SEQUENTIAL + DIVERGING
COLORS = 256


def colormap(name: str) -> tuple[str, ...]:
    """The 256 colours of a map as ``"#rrggbb"``, first for the smallest value.

    Raises:
        UnknownColormapError: no such map; names the nearest.
    """
    tables = _tables()
    if name not in tables:
        hint = nearest_hint(name, COLORMAP_NAMES)
        raise UnknownColormapError(f"no colour map {name!r}{hint}. Choose one of {', '.join(COLORMAP_NAMES)}.")
    return tables[name]


@cache
def _tables() -> dict[str, tuple[str, ...]]:
    text = resources.files(__package__).joinpath("colormaps.json").read_text(encoding="utf-8")
    return {name: tuple(colors) for name, colors in json.loads(text).items()}
