"""ActivationExplorer: sliders, heatmap, contact sheet and numbers for what every layer computed.

In: a model and its input, or a cache. Out: one widget; everything it shows follows the shared Selection in the browser.
"""

from __future__ import annotations

import bqplot
from ipywidgets import Box, Dropdown, FloatText, HBox, VBox, Widget, jslink, register
from traitlets import Unicode

from ..cache import ActivationDataset
from ..export.picture_parts import Board
from ..frames.colormaps import DIVERGING, SEQUENTIAL
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .cache_summary import CacheSummary
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .contact_sheet import ContactSheet
from .explorer import MARGIN, Explorer, axes_in_use, classed, figure
from .picture_boards import explorer_board
from .record_line import RecordLine
from .tensor_image import TensorImage
from .top_examples import TopExamples

FIXED_AXES = ("layer", "channel", "time")
"""Axes whose sliders are always there, disabled where a layer lacks them."""
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
class ActivationExplorer(Explorer):
    """What every layer of a model computed for one input: ``display(ActivationExplorer(model, x))``.

    Args:
        source: an ``nn.Module``, or an ActivationCache that is already there (explorers of one cache are linked). Of an
            ActivationDataset the samples that excite the selected channel most are shown as well.
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

    _subject = "activations"

    def _compose(self, selection: Selection) -> list[Widget]:
        self.colors = ColorMapping(selection=selection)
        axes = self._axis_rows(selection, (*FIXED_AXES, *axes_in_use(selection)))
        body = classed(HBox([self._main(selection), self._side(selection)]), "memviz-body")
        record = RecordLine(selection=selection, image=self._image)
        return [CacheSummary(selection=selection), axes, body, record]

    def _board(self, held_only: bool) -> Board:
        reader = self._reader(held_only)
        return explorer_board(self.selection, self.choice, self.colors, reader, sheet=self._sheet)

    def _main(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(reverse=True)}
        x_axis = bqplot.Axis(scale=scales["x"], grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", grid_lines="none")
        self._image = image = TensorImage(
            selection=selection, colors=self.colors, scales=scales, x_axis=x_axis, y_axis=y_axis
        )
        picture = classed(figure(MARGIN, marks=[image], axes=[x_axis, y_axis]), "memviz-picture")
        return classed(
            VBox([picture, ColorBar(colors=self.colors), self._color_controls(), self._line_over_time(selection)]),
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
        return classed(Box([mode, HBox([low, high]), colormap]), "memviz-colors")

    def _side(self, selection: Selection) -> Widget:
        self._sheet = sheet = ContactSheet(selection=selection, colors=self.colors)
        order = Dropdown(options=ORDER_CHOICES, value=sheet.order, description="order")
        self._choose(order, sheet, "order", [value for _, value in ORDER_CHOICES])
        parts = [order, sheet]
        if isinstance(self.cache, ActivationDataset):
            parts.append(TopExamples(self.cache, selection=selection, colors=self.colors))
        return classed(VBox(parts), "memviz-side")
