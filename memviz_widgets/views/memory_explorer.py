"""MemoryExplorer: what a network holds over time, what each step keeps and writes, and who wrote what is there.

In: a model and its input, or a cache. Out: one widget; everything it shows follows the shared Selection in the browser.
"""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Checkbox, Dropdown, HBox, Label, Tab, VBox, Widget, jslink, register, widget_serialization
from torch import nn
from traitlets import Instance, Unicode

from ..cache import ActivationCache
from ..capture import memory_candidates, proposal_text
from ..errors import MemvizError
from ..export.picture_parts import Board
from ..frames.entries import PictureEntry, RecordEntry
from ..frames.memory_card_recall import Curves, recall_rows
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .cache_entries import CacheEntries
from .cache_summary import CacheSummary
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .explorer import MARGIN, OPTIONAL_AXES, Explorer, classed, figure
from .gate_saturation import GateSaturation
from .memory_card import MemoryCard
from .memory_choice import MemoryChoice
from .memory_link import MemoryLink
from .memory_panels import MemoryPanels
from .picture_boards import explorer_board
from .record_line import RecordLine
from .retention_lines import RetentionLines
from .sharing import is_alone
from .tensor_image import TensorImage
from .unit_text import UnitText

MAP_CHOICES = [
    ("the part over time", "time"),
    ("the part at the cursor's time", "cursor"),
    ("who wrote what is held", "wrote"),
    ("who wrote what is read", "reads"),
]
ORDER_CHOICES = [("index", "index"), ("timescale", "timescale"), ("similarity", "similarity")]
RANGE_CHOICES = [
    ("automatic", "auto"),
    ("this map", "frame"),
    ("this part, every step", "layer"),
    ("as set in Python", "fixed"),
]
ENTRY_CHOICES = [("attention received", "attention received"), ("key norm", "key norm"), ("value norm", "value norm")]


@register
class MemoryExplorer(Explorer):
    """What a network holds and for how long: ``display(MemoryExplorer(model, x))``.

    States and gates of nn.LSTM, nn.GRU, nn.RNN and their cells, slots of NTM and DNC, hops of memory networks, KV
    caches and state-space states: every unit over time, the content at a moment, and which step wrote what is there.
    Nothing about the model is changed; what it does not return is recovered from its inputs, outputs and weights, and
    the largest error of that is shown.

    Args:
        source: an ``nn.Module``, or an ActivationCache that is already there (explorers of one cache are linked): of
            one forward, or of your own loop (``mv.record(model)``).
        x: the model's input, with a model only: a tensor, a tuple (positional arguments) or a mapping (keywords).
        link: share layer, time, channel ... with the other views of the cache; False gives an own cursor.
        tokens: texts of the timesteps: a list, a list per sample, or (tokenizer, ids); None shows positions.
        recall: a RecallCurve of the model, a list of them or a mapping of names to them: shown with the measures.
        image, layers, dims, budget, call, spill: as in ``ActivationCache.capture``, with a model only.

    Attributes:
        card: the measures of the memory that is shown (MemoryCard); None where there is nothing to measure.
        selection: the cursor (Selection). Read, set and observe ``selection.layer``, ``.time``, ``.channel`` ...
        cache: the ActivationCache that is shown; ``cache.memories()`` has the records of every memory.
        colors: the colour range and map (ColorMapping).
        choice: which picture is drawn (MemoryChoice): ``choice.map``, ``choice.order``, ``choice.whole``.

    Raises:
        SourceError: when source is neither a module nor a cache, or a cache that is still recording, or x is given with
            a cache, or recall is no curve.
        ClosedError: when source is a cache that was closed.
        UnknownOptionError: for a keyword that does not exist, with the nearest one.
        ForwardError: when the model's forward raises; ``error.cache`` holds what was recorded before.
    """

    _model_name = Unicode("MemoryExplorerModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("MemoryExplorerView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    _subject = "memory"
    choice: Any = Instance(MemoryChoice, help="Which picture of the selected memory is drawn.").tag(
        **widget_serialization
    )

    card: MemoryCard | None = None

    def __init__(
        self,
        source: nn.Module | ActivationCache,
        x: Any = None,
        *,
        link: bool = True,
        recall: Curves | None = None,
        **options: Any,
    ) -> None:
        self._recall = recall_rows(recall)
        super().__init__(source, x, link=link, **options)
        if isinstance(source, nn.Module) and not self.selection.store.catalog["memories"]:
            self._propose(source, x, options.get("call"))

    def _compose(self, selection: Selection) -> list[Widget]:
        self.choice = MemoryChoice(selection=selection)
        summary = CacheSummary(selection=selection)
        memories = selection.store.catalog["memories"]
        if memories or self._recall:
            self.card = MemoryCard(self.cache, selection=selection, recall=self._recall)
        if not memories:
            measured = [] if self.card is None else [self.card]
            return [
                summary,
                *measured,
                RecordLine(selection=selection, choice=self.choice),
            ]  # which says that there is none
        self.colors = ColorMapping(selection=selection, choice=self.choice)
        if is_alone(self.cache, selection):
            selection.layer = _first_layer(memories)
        body = classed(HBox([self._main(selection), self._side(selection)]), "memviz-body")
        record = RecordLine(selection=selection, choice=self.choice, image=self._image)
        return [summary, self._axes(selection), body, self._readings(selection), record]

    def _board(self, held_only: bool) -> Board:
        reader = self._reader(held_only)
        return explorer_board(self.selection, self.choice, self.colors, reader, zoomed=self._zoomed, parts=True)

    def _propose(self, model: nn.Module, x: Any, call: Any) -> None:
        """Nothing was found by name: say which tensors look like memories, as a proposal."""
        try:
            text = proposal_text(memory_candidates(model, x, call=call))
        except MemvizError as error:
            text = f"The search for tensors that look like memories failed: {error}"
        store = self.selection.store
        store.notice = "\n".join(filter(None, (store.notice, text)))

    def _axes(self, selection: Selection) -> Widget:
        """The dropdowns of memories and parts above the sliders."""
        catalog = selection.store.catalog
        memories, layers = catalog["memories"], catalog["layers"]
        memory = Dropdown(
            options=[(entry["label"], place) for place, entry in enumerate(memories)], description="memory"
        )
        most = max(len(entry["layers"]) for entry in memories)
        parts = [layers[place]["kind"] for place in memories[0]["layers"]]
        labels = [*parts, *(f"part {place}" for place in range(len(parts), most))]
        part = Dropdown(options=[(label, place) for place, label in enumerate(labels)], description="part")
        self._parts.append(MemoryLink(selection=selection, memory=memory, part=part))
        rows = self._axis_rows(selection, ("time", *_other_axes(selection)))
        return VBox([classed(HBox([memory, part]), "memviz-memory-choice"), rows])

    def _main(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(reverse=True)}
        x_axis = bqplot.Axis(scale=scales["x"], grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", grid_lines="none")
        self._image = image = TensorImage(
            selection=selection, choice=self.choice, colors=self.colors, scales=scales, x_axis=x_axis, y_axis=y_axis
        )
        picture = classed(figure(MARGIN, marks=[image], axes=[x_axis, y_axis]), "memviz-picture")
        picture.add_class("memviz-memory-picture")
        line = classed(self._line_over_time(selection), "memviz-unit-series")
        parts = [self._controls(selection), picture, ColorBar(colors=self.colors), line]
        return classed(VBox(parts), "memviz-main")

    def _controls(self, selection: Selection) -> Widget:
        kind = Dropdown(options=MAP_CHOICES, value=self.choice.map, description="show")
        self._choose(kind, self.choice, "map", [value for _, value in MAP_CHOICES])
        order = Dropdown(options=ORDER_CHOICES, value=self.choice.order, description="order")
        self._choose(order, self.choice, "order", [value for _, value in ORDER_CHOICES])
        whole = Checkbox(value=self.choice.whole, description="of the whole memory", indent=False)
        self._parts.append(jslink((self.choice, "whole"), (whole, "value")))
        span = Dropdown(options=RANGE_CHOICES, value=self.colors.mode, description="range")
        self._choose(span, self.colors, "mode", [value for _, value in RANGE_CHOICES])
        rows = [kind, classed(HBox([order]), "memviz-unit-order"), classed(HBox([whole]), "memviz-whole-memory"), span]
        return classed(HBox([*rows, *self._pooling_control(selection)]), "memviz-colors")

    def _pictures(self, record: RecordEntry) -> list[PictureEntry | None]:
        memory = record["memory"]
        return [record["frame"], memory["time"], memory["wrote"], memory["reads"]] if memory else []

    def _side(self, selection: Selection) -> Widget:
        panels = MemoryPanels(selection=selection, choice=self.choice, order=self.choice.order)
        self._parts.append(jslink((self.choice, "order"), (panels, "order")))
        return classed(VBox([panels]), "memviz-side")

    def _readings(self, selection: Selection) -> Widget:
        """What is read off the selected unit, gate or cache; only what some memory of this recording has."""
        records = [entry for entry in selection.store.catalog["records"] if entry["memory"]]
        views: dict[str, Widget] = {} if self.card is None else {"measures": self.card}
        if any(entry["memory"]["tokens"]["sequence"] >= 0 for entry in records):
            views["text by unit"] = UnitText(selection=selection)
        if any(entry["memory"]["lags"] for entry in records):
            views["retention"] = self._retention(selection)
        if any(entry["memory"]["saturation"] for entry in records):
            views["gate saturation"] = self._saturation(selection)
        if any(entry["memory"]["entries"] for entry in records):
            views["cache entries"] = self._entries(selection)
        if "text by unit" not in views:
            views["text by unit"] = UnitText(selection=selection)  # which says how to give the tokens
        return classed(Tab(children=tuple(views.values()), titles=tuple(views)), "memviz-texts")

    def _retention(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(min=0.0, max=1.0)}
        x_axis = bqplot.Axis(scale=scales["x"], label="lag (steps)", label_offset="32px", grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", label="what survives", label_offset="40px")
        lines = bqplot.Lines(x=[0.0], y=[0.0], scales=scales, stroke_width=1.5)
        horizon = bqplot.Lines(x=[0.0], y=[0.0], scales=scales, stroke_width=1.0, line_style="dashed")
        caption = classed(Label(), "memviz-caption")
        feeder = RetentionLines(
            selection=selection, lines=lines, horizon=horizon, x_axis=x_axis, y_axis=y_axis, caption=caption
        )
        self._parts.append(feeder)
        curves = figure(MARGIN, marks=[lines, horizon], axes=[x_axis, y_axis])
        return VBox([classed(curves, "memviz-series"), caption])

    def _saturation(self, selection: Selection) -> Widget:
        scales = {"x": bqplot.LinearScale(min=0.0, max=1.0), "y": bqplot.LinearScale(min=0.0, max=1.0)}
        x_axis = bqplot.Axis(scale=scales["x"], label="share of steps < 0.1", label_offset="32px", grid_lines="none")
        y_axis = bqplot.Axis(scale=scales["y"], side="left", label="share of steps > 0.9", label_offset="40px")
        dots = bqplot.Scatter(x=[0.0], y=[0.0], scales=scales, default_size=24, default_opacities=[0.6])
        self._parts.append(GateSaturation(selection=selection, dots=dots, x_axis=x_axis, y_axis=y_axis))
        return classed(figure(MARGIN, marks=[dots], axes=[x_axis, y_axis]), "memviz-saturation")

    def _entries(self, selection: Selection) -> Widget:
        attended = any(memory["attention"] >= 0 for memory in selection.store.catalog["memories"])
        view = CacheEntries(selection=selection, measure="attention received" if attended else "key norm")
        measure = Dropdown(options=ENTRY_CHOICES, value=view.measure, description="show")
        self._choose(measure, view, "measure", [value for _, value in ENTRY_CHOICES])
        return VBox([measure, view])


def _first_layer(memories: list[dict[str, Any]]) -> int:
    """The content of the first memory of slots, which has a controller beside it; else of the first memory."""
    first = next((memory for memory in memories if memory["form"] == "slots"), memories[0])
    return int(first["content"]) if first["content"] >= 0 else int(first["layers"][0])


def _other_axes(selection: Selection) -> list[str]:
    """The other axes along which some part of a memory has more than one position."""
    catalog = selection.store.catalog
    layers = [catalog["layers"][place] for memory in catalog["memories"] for place in memory["layers"]]
    records = [catalog["records"][index] for layer in layers for calls in layer["records"] for index in calls]
    used = {axis for entry in records for axis, size in entry["extents"].items() if size > 1}
    used |= {"step"} if any(len(layer["records"]) > 1 for layer in layers) else set()
    used |= {"call"} if any(len(calls) > 1 for layer in layers for calls in layer["records"]) else set()
    return [axis for axis in ("channel", *OPTIONAL_AXES) if axis in used]
