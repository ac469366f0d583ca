"""AttentionExplorer: who attends to whom in every head of a model, as it was loaded.

In: a model and its input, or a cache. Out: one widget; everything it shows follows the shared Selection in the browser.
"""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import (
    Dropdown,
    FloatSlider,
    HBox,
    IntSlider,
    Tab,
    VBox,
    Widget,
    jslink,
    register,
    widget_serialization,
)
from traitlets import Instance, Unicode

from ..frames.entries import PictureEntry, RecordEntry
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .attention_layer_link import AttentionLayerLink
from .cache_summary import CacheSummary
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .explorer import MARGIN, Explorer, classed, figure
from .head_grid import HeadGrid
from .image_overlay import ImageOverlay
from .picture_choice import PictureChoice
from .record_line import RecordLine
from .sharing import is_alone
from .tensor_image import TensorImage
from .token_lines import TokenLines
from .token_view import TokenView

FIXED_AXES = ("head", "query", "key")
"""Axes whose sliders are always there."""
MAP_CHOICES = [
    ("weights of the head", "weights"),
    ("each row in shares of its largest", "row"),
    ("weights, logarithmic", "log"),
    ("mean of all heads", "mean"),
    ("largest of all heads", "max"),
    ("head minus another head", "difference"),
    ("attention rollout up to this layer", "rollout"),
    ("attention flow from the query", "flow"),
]
RANGE_CHOICES = [("0 to 1, or what the map needs", "auto"), ("this map", "frame"), ("as set in Python", "fixed")]
ORDER_CHOICES = [
    ("index", "index"),
    ("entropy", "entropy"),
    ("distance", "distance"),
    ("mass on the first token", "sink"),
    ("induction", "induction"),
]
DIRECTION_CHOICES = [("where the query attends to", "from"), ("what attends to the key", "to")]


@register
class AttentionExplorer(Explorer):
    """Attention of every layer and head, from the model as it was loaded: ``display(AttentionExplorer(model, x))``.

    The matrix of one head with the tokens on both axes, all heads of all layers at a glance, the text with what a token
    attends to, lines between tokens, and for models of pictures the weights over the picture. Nothing is reloaded:
    weights of fused kernels are computed from query and key when they are looked at.

    Args:
        source: an ``nn.Module``, or an ActivationCache that is already there (explorers of one cache are linked).
        x: the model's input, with a model only: a tensor, a tuple (positional arguments) or a mapping (keywords).
        link: share layer, head, query ... with the other views of the cache; False gives an own cursor.
        tokens: texts of the positions: a list, a list per sample, a mapping of name to list for encoder and decoder, or
            (tokenizer, ids); None shows positions.
        image: the picture that went in, for overlays: tensor or array (C, H, W) or (H, W, C), or a PIL image.
        layers, dims, budget, call, spill: as in ``ActivationCache.capture``, with a model only.

    Attributes:
        selection: the cursor (Selection). Read, set and observe ``selection.layer``, ``.head``, ``.query`` ...
        cache: the ActivationCache that is shown.
        colors: the colour range and map (ColorMapping).
        choice: which map is drawn (PictureChoice): ``choice.kind``, ``choice.other_head``.

    Raises:
        SourceError: when source is neither a module nor a cache, or a cache that is still recording, or x is given with
            a cache.
        ClosedError: when source is a cache that was closed.
        InputError: when tokens or image are of no use, with what they should be.
        UnknownOptionError: for a keyword that does not exist, with the nearest one.
        ForwardError: when the model's forward raises; ``error.cache`` holds what was recorded before.
    """

    _model_name = Unicode("AttentionExplorerModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("AttentionExplorerView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    _subject = "attention"
    choice: Any = Instance(PictureChoice, help="Which map of the selected attention is drawn.").tag(
        **widget_serialization
    )

    def _compose(self, selection: Selection) -> list[Widget]:
        self.choice = PictureChoice(selection=selection)
        summary = CacheSummary(selection=selection)
        layers = _attention_layers(selection)
        if not layers:
            return [summary, HeadGrid(selection=selection)]  # which says that there is none
        self.colors = ColorMapping(selection=selection, choice=self.choice)
        if is_alone(self.cache, selection):
            selection.layer = layers[0]
        body = classed(HBox([self._main(selection), self._side(selection)]), "memviz-body")
        record = RecordLine(selection=selection, choice=self.choice, image=self._image)
        return [summary, self._axes(selection, layers), body, self._texts(selection), record]

    def _axes(self, selection: Selection, layers: list[int]) -> Widget:
        """The dropdown of attention layers above the sliders."""
        labels = [selection.store.catalog["layers"][layer]["label"] for layer in layers]
        control = Dropdown(options=[(label, place) for place, label in enumerate(labels)], description="layer")
        self._parts.append(AttentionLayerLink(selection=selection, control=control))
        rows = self._axis_rows(selection, (*FIXED_AXES, *_other_axes(selection, layers)))
        return VBox([classed(HBox([control]), "memviz-attention-layer"), rows])

    def _main(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(reverse=True)}
        x_axis = bqplot.Axis(scale=scales["x"], grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", grid_lines="none")
        self._image = image = TensorImage(
            selection=selection, choice=self.choice, colors=self.colors, scales=scales, x_axis=x_axis, y_axis=y_axis
        )
        picture = classed(figure(MARGIN, marks=[image], axes=[x_axis, y_axis]), "memviz-picture")
        picture.add_class("memviz-attention-picture")
        return classed(VBox([self._map_controls(selection), picture, ColorBar(colors=self.colors)]), "memviz-main")

    def _map_controls(self, selection: Selection) -> Widget:
        kind = Dropdown(options=MAP_CHOICES, value=self.choice.kind, description="map")
        self._choose(kind, self.choice, "kind", [value for _, value in MAP_CHOICES])
        heads = max((entry["attention"]["heads"] for entry in _attention_records(selection)), default=1)
        other = IntSlider(value=self.choice.other_head, max=max(heads - 1, 1), description="other head")
        self._parts.append(jslink((self.choice, "other_head"), (other, "value")))
        span = Dropdown(options=RANGE_CHOICES, value=self.colors.mode, description="range")
        self._choose(span, self.colors, "mode", [value for _, value in RANGE_CHOICES])
        return classed(
            HBox([kind, classed(HBox([other]), "memviz-other-head"), span, *self._pooling_control(selection)]),
            "memviz-colors",
        )

    def _pictures(self, record: RecordEntry) -> list[PictureEntry | None]:
        return [record["frame"]] if record["attention"] else []

    def _side(self, selection: Selection) -> Widget:
        grid = HeadGrid(selection=selection)
        order = Dropdown(options=ORDER_CHOICES, value=grid.order, description="order")
        self._choose(order, grid, "order", [value for _, value in ORDER_CHOICES])
        return classed(VBox([order, grid]), "memviz-side")

    def _texts(self, selection: Selection) -> Widget:
        """The views that show weights as text, as lines and over the picture."""
        views = {"text": self._text(selection), "lines": self._lines(selection)}
        if self.cache.image is not None:
            views["picture"] = self._overlay(selection)
        tab = Tab(children=tuple(views.values()), titles=tuple(views))
        tab.selected_index = list(views).index("picture") if "picture" in views else 0
        return classed(tab, "memviz-texts")

    def _text(self, selection: Selection) -> Widget:
        view = TokenView(selection=selection, choice=self.choice)
        direction = Dropdown(options=DIRECTION_CHOICES, value=view.direction, description="show")
        self._choose(direction, view, "direction", [value for _, value in DIRECTION_CHOICES])
        return VBox([direction, view])

    def _lines(self, selection: Selection) -> Widget:
        view = TokenLines(selection=selection, choice=self.choice)
        threshold = FloatSlider(value=view.threshold, min=0.0, max=1.0, step=0.01, description="from weight")
        self._parts.append(jslink((view, "threshold"), (threshold, "value")))
        return VBox([threshold, view])

    def _overlay(self, selection: Selection) -> Widget:
        view = ImageOverlay(selection=selection, choice=self.choice, image=self.cache.image)
        opacity = FloatSlider(value=view.opacity, min=0.0, max=1.0, step=0.01, description="opacity")
        self._parts.append(jslink((view, "opacity"), (opacity, "value")))
        return VBox([opacity, view])


def _attention_layers(selection: Selection) -> list[int]:
    """Positions of the layers that are attention."""
    return [place for place, layer in enumerate(selection.store.catalog["layers"]) if layer["kind"] == "attention"]


def _other_axes(selection: Selection, layers: list[int]) -> list[str]:
    """The other axes along which some attention has more than one position."""
    catalog = selection.store.catalog
    steps = [catalog["layers"][layer]["records"] for layer in layers]
    calls = [calls for layer in steps for calls in layer]
    samples = [catalog["records"][record]["extents"].get("sample", 0) for each in calls for record in each]
    sizes = {"sample": samples, "step": list(map(len, steps)), "call": list(map(len, calls))}
    return [axis for axis, found in sizes.items() if max(found, default=0) > 1]


def _attention_records(selection: Selection) -> list[dict[str, Any]]:
    return [entry for entry in selection.store.catalog["records"] if entry["attention"]]
