"""ActivationExplorer: sliders, heatmap, contact sheet and numbers for what every layer computed.

In: a model and its input, or a cache. Out: one widget; everything it shows follows the shared Selection in the browser.
"""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Box, Dropdown, FloatText, HBox, VBox, Widget, jslink, register, widget_serialization
from torch import nn
from traitlets import Bunch, Instance, Unicode, validate

from ..cache import ActivationCache
from ..errors import ClosedError, SelectionError, SourceError, UnknownOptionError
from ..frames.colormaps import DIVERGING, SEQUENTIAL
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced, unknown_option_text
from .axis_slider import AxisSlider
from .cache_summary import CacheSummary
from .channel_series import ChannelSeries
from .choice_link import ChoiceLink
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .contact_sheet import ContactSheet
from .frame_store import FrameStore
from .layer_picker import LayerPicker
from .lifecycle import close_all, widgets_below
from .record_line import RecordLine
from .sharing import join, leave
from .tensor_image import TensorImage

# Always there, disabled where a layer lacks them; the others appear when the cache has a record that needs them.
FIXED_AXES = ("layer", "channel", "time")
OPTIONAL_AXES = ("sample", "step", "call", "head", "query", "key", "slot", "depth", "axis", "axis2")
CAPTURE_OPTIONS = {"tokens", "image", "layers", "dims", "budget", "call", "spill"}
RANGE_CHOICES = [
    ("automatic (\N{PLUS-MINUS SIGN} if signed)", "auto"),
    ("this frame", "frame"),
    ("this layer", "layer"),
    ("all layers", "all"),
    ("symmetric about 0", "symmetric"),
    ("typed numbers", "fixed"),
]
ORDER_CHOICES = [
    ("index", "index"),
    ("mean magnitude", "magnitude"),
    ("variance", "variance"),
    ("share of zeros", "zeros"),
]


@register
class ActivationExplorer(Synced, VBox):
    """What every layer of a model computed for one input: ``display(ActivationExplorer(model, x))``.

    Args:
        source: an ``nn.Module``, or an ActivationCache that is already there (explorers of one cache are linked).
        x: the model's input, with a model only: a tensor, a tuple (positional arguments) or a mapping (keywords).
        link: share layer, channel, timestep ... with the other views of the cache; False gives an own cursor.
        tokens, image, layers, dims, budget, call, spill: as in ``ActivationCache.capture``, with a model only.

    Attributes:
        selection: the cursor (Selection). Read, set and observe ``selection.layer``, ``.channel``, ``.time`` ...
        cache: the ActivationCache that is shown.
        colors: the colour range and map (ColorMapping).

    Raises:
        SourceError: when source is neither a module nor a cache, or a cache that is still recording, or x is given with
            a cache.
        ClosedError: when source is a cache that was closed.
        UnknownOptionError: for a keyword that does not exist, with the nearest one.
        ForwardError: when the model's forward raises; ``error.cache`` holds what was recorded before.
    """

    _model_name = Unicode("ActivationExplorerModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ActivationExplorerView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor of this view: layer, channel, time ... read, set, observe."
    ).tag(**widget_serialization)

    _cache: ActivationCache | None = None

    def __init__(
        self, source: nn.Module | ActivationCache, x: Any = None, *, link: bool = True, **options: Any
    ) -> None:
        cache = _cache_of(source, x, options)
        selection = join(cache, link)
        self._cache = cache
        self.colors = ColorMapping(selection=selection)
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
            raise SelectionError(
                "the selection of an explorer cannot be replaced; set its indices, as in selection.layer = 0. "
                "Explorers of one cache share their selection: ActivationExplorer(explorer.cache)."
            )
        return selection

    def __repr__(self) -> str:
        if self._cache is None:
            return "ActivationExplorer(closed)"
        return f"ActivationExplorer({self.selection.extent('layer')} layers, at {self.selection.path!r})"

    def _compose(self, selection: Selection) -> list[Widget]:
        """The rows of the explorer, top to bottom; their CSS classes are what js/src/style.ts lays out."""
        body = _classed(HBox([self._main(selection), self._side(selection)]), "memviz-body")
        return [CacheSummary(selection=selection), self._axes(selection), body, RecordLine(selection=selection)]

    def _axes(self, selection: Selection) -> Widget:
        picker = LayerPicker(selection=selection)
        rows = []
        for axis in (*FIXED_AXES, *_axes_in_use(selection)):
            extra = (picker,) if axis == "layer" else ()
            slider = AxisSlider(selection, axis, *extra, readout=axis != "layer")
            self._parts += slider.parts
            rows.append(slider.row)
        return _classed(VBox(rows), "memviz-axes")

    def _main(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(reverse=True)}
        x_axis = bqplot.Axis(scale=scales["x"], grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", grid_lines="none")
        image = TensorImage(selection=selection, colors=self.colors, scales=scales, x_axis=x_axis, y_axis=y_axis)
        figure = _figure(marks=[image], axes=[x_axis, y_axis])
        picture = _classed(figure, "memviz-picture")
        return _classed(
            VBox([picture, ColorBar(colors=self.colors), self._color_controls(), self._series(selection)]),
            "memviz-main",
        )

    def _color_controls(self) -> Widget:
        mode = Dropdown(options=RANGE_CHOICES, value=self.colors.mode, description="range")
        low = FloatText(value=self.colors.vmin, description="from")
        high = FloatText(value=self.colors.vmax, description="to")
        maps = ["auto", *SEQUENTIAL, *DIVERGING]
        colormap = Dropdown(options=maps, value=self.colors.colormap, description="colours")
        for control, trait in ((low, "vmin"), (high, "vmax")):
            self._parts.append(jslink((self.colors, trait), (control, "value")))
        self._choose(mode, self.colors, "mode", [value for _, value in RANGE_CHOICES])
        self._choose(colormap, self.colors, "colormap", maps)
        return _classed(Box([mode, HBox([low, high]), colormap]), "memviz-colors")

    def _series(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale()}
        lines = bqplot.Lines(x=[0.0], y=[0.0], scales=scales, stroke_width=1.5)
        cursor = bqplot.Lines(x=[0.0], y=[0.0], scales=scales, stroke_width=1.0, line_style="dashed")
        x_axis = bqplot.Axis(scale=scales["x"], label="time", label_offset="32px", grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", label="channel", label_offset="46px")
        self._parts.append(ChannelSeries(selection=selection, lines=lines, cursor=cursor, x_axis=x_axis, y_axis=y_axis))
        return _classed(_figure(marks=[lines, cursor], axes=[x_axis, y_axis]), "memviz-series")

    def _side(self, selection: Selection) -> Widget:
        sheet = ContactSheet(selection=selection, colors=self.colors)
        order = Dropdown(options=ORDER_CHOICES, value=sheet.order, description="order")
        self._choose(order, sheet, "order", [value for _, value in ORDER_CHOICES])
        return _classed(VBox([order, sheet]), "memviz-side")

    def _choose(self, control: Dropdown, target: Widget, trait: str, values: list[str]) -> None:
        self._parts.append(ChoiceLink(control=control, target=target, trait=trait, values=values))


def _cache_of(source: Any, x: Any, options: dict[str, Any]) -> ActivationCache:
    """The cache to show: the one given, or a new capture of the model."""
    unknown = next((name for name in options if name not in CAPTURE_OPTIONS), None)
    if unknown is not None:
        raise UnknownOptionError(unknown_option_text("ActivationExplorer", unknown, CAPTURE_OPTIONS | {"link"}))
    if isinstance(source, nn.Module):
        return ActivationCache.capture(source, x, **options)
    if not isinstance(source, ActivationCache):
        what = f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"
        raise SourceError(
            f"source is {what}; expected an nn.Module with its input, as in "
            "ActivationExplorer(model, x), or an ActivationCache."
        )
    if x is not None or options:
        extra = "x" if x is not None else next(iter(options))
        raise SourceError(
            f"{extra} was given with a cache that is already recorded; expected ActivationExplorer(cache)."
        )
    if source.closed:
        raise ClosedError("the cache given as source was closed and its values are gone; capture again.")
    if source.recording:
        raise SourceError("the cache given as source is still recording; call cache.stop() first.")
    return source


def _axes_in_use(selection: Selection) -> list[str]:
    """The optional axes along which some record of the cache has more than one position."""
    catalog = selection.store.catalog
    records, layers = catalog["records"], catalog["layers"]
    used = {axis["trait"] for entry in records if entry["frame"] for axis in entry["frame"]["axes"] if axis["size"] > 1}
    used |= {"sample"} if any(entry["extents"].get("sample", 0) > 1 for entry in records) else set()
    used |= {"step"} if any(len(layer["records"]) > 1 for layer in layers) else set()
    used |= {"call"} if any(len(calls) > 1 for layer in layers for calls in layer["records"]) else set()
    return [axis for axis in OPTIONAL_AXES if axis in used]


def _figure(**parts: Any) -> bqplot.Figure:
    margin = {"top": 12, "bottom": 46, "left": 58, "right": 14}
    return bqplot.Figure(fig_margin=margin, padding_x=0, padding_y=0, animation_duration=0, **parts)


def _classed(widget: Any, name: str) -> Any:
    widget.add_class(name)
    return widget
