"""Explorer: what all explorers have in common: a cache, the shared cursor, rows of controls, and closing.

In: a model and its input, or a cache. Out: one widget whose parts follow the shared Selection in the browser.
"""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Dropdown, VBox, Widget, widget_serialization
from torch import nn
from traitlets import Bunch, Instance, validate

from ..cache import ActivationCache
from ..errors import ClosedError, SelectionError, SourceError, UnknownOptionError
from ..selection import Selection
from ..synced import Synced, unknown_option_text
from .axis_slider import AxisSlider
from .channel_series import ChannelSeries
from .choice_link import ChoiceLink
from .frame_store import FrameStore
from .frozen import Freezable
from .layer_picker import LayerPicker
from .lifecycle import close_all, widgets_below
from .sharing import join, leave

CAPTURE_OPTIONS = {"tokens", "image", "layers", "dims", "budget", "call", "spill"}
MARGIN = {"top": 12, "bottom": 46, "left": 58, "right": 14}
"""Of a figure with both axes, in pixels."""
OPTIONAL_AXES = ("sample", "step", "call", "head", "query", "key", "slot", "depth", "axis", "axis2")
"""Axes whose sliders appear when the cache has a record that needs them."""


class Explorer(Freezable, Synced, VBox):
    """A box of linked views of one cache. A subclass says what is in it: see ``_compose``."""

    selection: Any = Instance(
        Selection, help="The cursor of this view: layer, channel, time ... read, set, observe."
    ).tag(**widget_serialization)

    _cache: ActivationCache | None = None

    def __init__(
        self, source: nn.Module | ActivationCache, x: Any = None, *, link: bool = True, **options: Any
    ) -> None:
        cache = cache_of(type(self).__name__, source, x, options)
        selection = join(cache, link)
        self._cache = cache
        self._parts: list[Widget] = []
        super().__init__(selection=selection, children=self._compose(selection))
        self.add_class("memviz-explorer")

    @property
    def cache(self) -> ActivationCache:
        """The cache that is shown.

        Raises:
            ClosedError: after ``close()``.
        """
        if self._cache is None:
            raise ClosedError("this explorer is closed and has let its cache go; make another one to look again.")
        return self._cache

    def close(self) -> None:
        """Close every widget of the explorer in kernel and browser; the store goes with the last view of the cache.

        The cache itself stays usable for whoever holds it. Calling ``close`` again does nothing.
        """
        if self._cache is None:
            return
        cache, selection = self._cache, self.selection
        own = widgets_below(self, keep=(Selection, FrameStore))
        self._cache = None
        close_all([widget for widget in own if widget is not self] + self._parts)
        self._parts.clear()
        super().close()
        leave(cache, selection)

    @validate("selection")
    def _keep_selection(self, proposal: Bunch) -> Selection:
        """The first selection; a second one would move this view's sliders no more than it moves now."""
        selection: Selection = proposal["value"]
        if self.selection not in (None, selection):
            name = type(self).__name__
            raise SelectionError(
                "the selection of an explorer cannot be replaced; set its indices, as in selection.layer = 0. "
                f"Explorers of one cache share their selection: {name}(explorer.cache)."
            )
        return selection

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._cache is None:
            return f"{name}(closed)"
        return f"{name}({self.selection.extent('layer')} layers, at {self.selection.path!r})"

    def _compose(self, selection: Selection) -> list[Widget]:
        """The rows of the explorer, top to bottom; their CSS classes are what js/src/style.ts lays out."""
        raise NotImplementedError

    def _axis_rows(self, selection: Selection, axes: tuple[str, ...]) -> Widget:
        """A row of slider and play button per axis; the layer's with its name and a search box."""
        rows = []
        for axis in axes:
            extra = (LayerPicker(selection=selection),) if axis == "layer" else ()
            slider = AxisSlider(selection, axis, *extra, readout=axis != "layer")
            self._parts += slider.parts
            rows.append(slider.row)
        return classed(VBox(rows), "memviz-axes")

    def _line_over_time(self, selection: Selection) -> Widget:
        """The selected channel, or slot, over time."""
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale()}
        lines = bqplot.Lines(x=[0.0], y=[0.0], scales=scales, stroke_width=1.5)
        cursor = bqplot.Lines(x=[0.0], y=[0.0], scales=scales, stroke_width=1.0, line_style="dashed")
        x_axis = bqplot.Axis(scale=scales["x"], label="time", label_offset="32px", grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", label="channel", label_offset="46px")
        self._parts.append(ChannelSeries(selection=selection, lines=lines, cursor=cursor, x_axis=x_axis, y_axis=y_axis))
        return classed(figure(MARGIN, marks=[lines, cursor], axes=[x_axis, y_axis]), "memviz-series")

    def _choose(self, control: Dropdown, target: Widget, trait: str, values: list[Any]) -> None:
        """Tie a dropdown to a trait that takes one of these values."""
        self._parts.append(ChoiceLink(control=control, target=target, trait=trait, values=values))


def cache_of(explorer: str, source: Any, x: Any, options: dict[str, Any]) -> ActivationCache:
    """The cache to show: the one given, or a new capture of the model."""
    unknown = next((name for name in options if name not in CAPTURE_OPTIONS), None)
    if unknown is not None:
        raise UnknownOptionError(unknown_option_text(explorer, unknown, CAPTURE_OPTIONS | {"link"}))
    if isinstance(source, nn.Module):
        return ActivationCache.capture(source, x, **options)
    if not isinstance(source, ActivationCache):
        what = f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"
        raise SourceError(
            f"source is {what}; expected an nn.Module with its input, as in "
            f"{explorer}(model, x), or an ActivationCache."
        )
    if x is not None or options:
        extra = "x" if x is not None else next(iter(options))
        raise SourceError(f"{extra} was given with a cache that is already recorded; expected {explorer}(cache).")
    if source.closed:
        raise ClosedError("the cache given as source was closed and its values are gone; capture again.")
    if source.recording:
        raise SourceError("the cache given as source is still recording; call cache.stop() first.")
    return source


def axes_in_use(selection: Selection) -> list[str]:
    """The optional axes along which some record of the cache has more than one position."""
    catalog = selection.store.catalog
    records, layers = catalog["records"], catalog["layers"]
    used = {axis["trait"] for entry in records if entry["frame"] for axis in entry["frame"]["axes"] if axis["size"] > 1}
    used |= {"sample"} if any(entry["extents"].get("sample", 0) > 1 for entry in records) else set()
    used |= {"step"} if any(len(layer["records"]) > 1 for layer in layers) else set()
    used |= {"call"} if any(len(calls) > 1 for layer in layers for calls in layer["records"]) else set()
    return [axis for axis in OPTIONAL_AXES if axis in used]


def figure(margin: dict[str, int], **parts: Any) -> bqplot.Figure:
    """A bqplot figure without padding and animation."""
    return bqplot.Figure(fig_margin=margin, padding_x=0, padding_y=0, animation_duration=0, **parts)


def classed(widget: Any, name: str) -> Any:
    """The widget, with a CSS class."""
    widget.add_class(name)
    return widget
