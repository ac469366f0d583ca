"""explore: one capture, and every explorer that has something to show for it.

In: a model and its input, or a cache. Out: the explorers in tabs or side by side, linked by the Selection.
"""

from __future__ import annotations

from typing import Any

from ipywidgets import Box, Tab, Widget
from torch import nn

from ..cache import ActivationCache
from .activation_explorer import ActivationExplorer
from .attention_explorer import AttentionExplorer
from .explorer import Explorer, cache_of, classed
from .frozen import Freezable
from .memory_explorer import MemoryExplorer


class _Explorers(Freezable):
    """What the two boxes share: the explorers, their cache, and closing."""

    explorers: dict[str, Explorer]
    children: Any
    layout: Any

    @property
    def cache(self) -> ActivationCache:
        """The recording that all of them show."""
        return next(iter(self.explorers.values())).cache

    @property
    def selection(self) -> Any:
        """The cursor that all of them share."""
        return next(iter(self.explorers.values())).selection

    def close(self) -> None:
        """Close the explorers and the box; the cache stays usable for whoever holds it. Again does nothing."""
        for explorer in self.explorers.values():
            explorer.close()
        self.layout.close()
        super().close()  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"explore({', '.join(self.explorers)})"


class ExplorerTabs(_Explorers, Tab):
    """The explorers of one recording, one tab each."""

    def __init__(self, explorers: dict[str, Explorer]) -> None:
        self.explorers = explorers
        super().__init__(children=tuple(explorers.values()), titles=tuple(explorers), selected_index=0)


class ExplorerRow(_Explorers, Box):
    """The explorers of one recording side by side, under each other where there is no room."""

    def __init__(self, explorers: dict[str, Explorer]) -> None:
        self.explorers = explorers
        super().__init__(children=tuple(explorers.values()))


def explore(
    source: nn.Module | ActivationCache, x: Any = None, *, side_by_side: bool = False, **options: Any
) -> ExplorerTabs | ExplorerRow:
    """Run a model once and show all that there is to see: ``mv.explore(model, x)``.

    Activations always; attention and memory where the model has them. All share one cursor: a layer, a timestep or a
    token chosen in one view is chosen in all.

    Args:
        source: an ``nn.Module``, or an ActivationCache that is already there.
        x: the model's input, with a model only: a tensor, a tuple (positional arguments) or a mapping (keywords).
        side_by_side: The explorers beside each other instead of in tabs.
        options: tokens, image, layers, dims, budget, call, spill, as in ``ActivationCache.capture``.

    Returns:
        A widget: display it. ``.explorers`` has the explorers by name, ``.cache`` and ``.selection`` are theirs.

    Raises:
        As ActivationExplorer.
    """
    cache = cache_of("explore", source, x, options)
    explorers: dict[str, Explorer] = {"activations": ActivationExplorer(cache)}
    catalog = explorers["activations"].selection.store.catalog
    if any(layer["kind"] == "attention" for layer in catalog["layers"]):
        explorers["attention"] = AttentionExplorer(cache)
    if catalog["memories"]:
        explorers["memory"] = MemoryExplorer(cache)
    box: Widget = ExplorerRow(explorers) if side_by_side else ExplorerTabs(explorers)
    return classed(box, "memviz-explorers" if side_by_side else "memviz-explorer-tabs")  # type: ignore[no-any-return]
