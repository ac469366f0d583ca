"""Explorer: what all explorers have in common: a cache, the shared cursor, rows of controls, and closing.

In: a model and its input, or a cache. Out: one widget whose parts follow the shared Selection in the browser.
"""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Dropdown, HBox, VBox, Widget, widget_serialization
from torch import nn
from traitlets import Bunch, Instance, validate

from ..cache import ActivationCache
from ..errors import ClosedError, SelectionError, SourceError, UnknownOptionError
from ..export.picture_parts import Board
from ..frames.entries import PictureEntry, RecordEntry
from ..selection import Selection
from ..synced import Synced, unknown_option_text
from .axis_slider import AxisSlider
from .channel_series import ChannelSeries
from .choice_link import ChoiceLink
from .frame_store import FrameStore
from .frozen import Freezable
from .lifecycle import close_all, widgets_below
from .picture_boards import explorer_board
from .picture_reading import PictureReader
from .pictured import Pictured
from .save_menu import SaveMenu
from .sharing import join, leave
from .tensor_image import TensorImage

POOLING_CHOICES = [("largest magnitude", "largest"), ("mean", "mean")]
CAPTURE_OPTIONS = {"tokens", "image", "layers", "dims", "budget", "call", "spill"}
MARGIN = {"top": 12, "bottom": 46, "left": 58, "right": 14}
"""Of a figure with both axes, in pixels."""
OPTIONAL_AXES = ("sample", "step", "call", "head", "query", "key", "slot", "depth", "axis", "axis2")
"""Axes whose sliders appear when the cache has a record that needs them."""


class Explorer(Freezable, Pictured, Synced, VBox):
    """A box of linked views of one cache. A subclass says what is in it: see ``_compose``."""

    selection: Any = Instance(
        Selection, help="The cursor of this view: layer, channel, time ... read, set, observe."
    ).tag(**widget_serialization)

    _subject = "view"  # what it shows, in the name of a file
    colors: Any = None
    choice: Any = None
    _image: TensorImage | None = None  # the heatmap
    _cache: ActivationCache | None = None

    def __init__(
        self, source: nn.Module | ActivationCache, x: Any = None, *, link: bool = True, **options: Any
    ) -> None:
        cache = cache_of(type(self).__name__, source, x, options)
        selection = join(cache, link)
        self._cache = cache
        self._parts: list[Widget] = []
        first, *rest = self._compose(selection)
        menu = SaveMenu(selection=selection)
        menu.serve(self)
        super().__init__(selection=selection, children=[classed(HBox([first, menu]), "memviz-top"), *rest])
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

    def _board(self, held_only: bool) -> Board:
        return explorer_board(self.selection, self.choice, self.colors, self._reader(held_only), zoomed=self._zoomed)

    @property
    def _zoomed(self) -> bool:
        """Whether the heatmap on the screen shows a part of its picture."""
        scales = self._image.scales.values() if self._image is not None else ()
        return any(scale.min is not None or scale.max is not None for scale in scales)

    def _reader(self, held_only: bool) -> PictureReader:
        """What reads the pages of the cache for a picture."""
        return PictureReader(self.cache, self.selection.store, held_only)

    def save_stem(self, form: str) -> str:
        """Name for a file of this view without its end: what the model is, what is shown, of a picture also where."""
        layers = self.selection.store.catalog["layers"]
        model = next((layer["module_type"] for layer in layers if layer["path"] == ""), "")
        place = "" if form == "html" else self.selection.path.replace("(model)", "")
        return "-".join(filter(None, (model, self._subject, place)))

    def _say_problem(self, text: str) -> None:
        self.selection.store.problem = text

    def _compose(self, selection: Selection) -> list[Widget]:
        """The rows of the explorer, top to bottom; their CSS classes are what js/src/style.ts lays out."""
        raise NotImplementedError

    def _axis_rows(self, selection: Selection, axes: tuple[str, ...]) -> Widget:
        """A row of slider and play button per axis; the layer's with its name and a search box."""
        rows = []
        for axis in axes:
            slider = AxisSlider(selection, axis)
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

    def _pooling_control(self, selection: Selection) -> list[Widget]:
        """What a cell shows of several elements; nothing where no picture of this explorer has more than cells."""
        store = selection.store
        pictures = [picture for entry in store.catalog["records"] for picture in self._pictures(entry) if picture]
        if not any(picture["pool_rows"] * picture["pool_cols"] > 1 for picture in pictures):
            return []
        control = Dropdown(options=POOLING_CHOICES, value=store.pooled_by, description="pooled by")
        self._choose(control, store, "pooled_by", [value for _, value in POOLING_CHOICES])
        return [control]

    def _pictures(self, record: RecordEntry) -> list[PictureEntry | None]:
        """The pictures of a record that this explorer draws."""
        return [record["frame"]]

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
