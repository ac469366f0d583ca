"""MapChoice: what the choices of a map have in common, the map of an attention and the map of a memory.

In: nothing. Out: a class that views can ask for where either will do.
"""

from __future__ import annotations

from ipywidgets import Widget

from ..synced import Synced


class MapChoice(Synced, Widget):
    """Which map heatmap, colours and facts show in place of the selected frame: a PictureChoice or a MemoryChoice."""
