"""Comparison: two recordings side by side, their difference, and the layer in which they part.

In: two caches. Out: one widget whose three pictures follow one set of sliders in the browser.
"""

from __future__ import annotations

from typing import Any

import bqplot
from ipywidgets import Box, Dropdown, FloatText, HBox, Label, VBox, Widget, jslink, register, widget_serialization
from traitlets import Bunch, Instance, Unicode, validate

from ..analysis.distance import Distance
from ..cache.aligned import AlignedCache, DifferenceCache, Unaligned, align, aligned_caches
from ..cache.recorded_cache import RecordedCache
from ..errors import ClosedError, SelectionError, SourceError
from ..export.picture_parts import Board
from ..frames.colormaps import DIVERGING, SEQUENTIAL
from ..frames.entries import UnalignedEntry
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .axis_slider import AxisSlider
from .choice_link import ChoiceLink
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .comparison_colors import ComparisonColors
from .comparison_curve import MEASURES, ComparisonCurve
from .comparison_distances import COST_AT_ONCE, ComparisonDistances
from .comparison_link import ComparisonLink
from .comparison_readout import ComparisonReadout
from .explorer import MARGIN, axes_in_use, classed, figure
from .frame_store import FrameStore
from .frozen import Freezable
from .lifecycle import close_all, widgets_below
from .picture_boards import comparison_board
from .picture_reading import PictureReader
from .pictured import Pictured
from .record_line import RecordLine
from .save_menu import SaveMenu
from .tensor_image import TensorImage

MEASURE_CHOICES = [
    ("relative L2: |A \N{MINUS SIGN} B| / |A|", "relative_l2"),
    ("1 \N{MINUS SIGN} cosine", "cosine"),
    ("1 \N{MINUS SIGN} linear CKA", "cka"),
]
RANGE_CHOICES = [
    ("automatic (\N{PLUS-MINUS SIGN} if signed)", "auto"),
    ("this frame", "frame"),
    ("this layer", "layer"),
    ("all layers", "all"),
    ("symmetric about 0", "symmetric"),
    ("typed numbers", "fixed"),
]


@register
class Comparison(Freezable, Pictured, Synced, VBox):
    """Two recordings A and B, and A - B: ``display(mv.compare(a, b))``. See :func:`compare`.

    Attributes:
        selection: the cursor (Selection) of all three pictures, in the aligned records of A.
        a, b: caches of the aligned records. difference: A - B as a cache, computed where it is looked at.
        unaligned: the records that are not compared, each with its reason.
        colors: the range of A and B (ComparisonColors). difference_colors: that of A - B (ColorMapping).
        curve: the distances by layer (ComparisonCurve): ``curve.measure``, ``curve.bound``.
    """

    _model_name = Unicode("ComparisonModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ComparisonView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor of all three pictures: layer, channel, time ... read, set, observe."
    ).tag(**widget_serialization)

    a: AlignedCache
    b: AlignedCache
    difference: DifferenceCache
    unaligned: tuple[Unaligned, ...]

    _open = False

    def __init__(self, a: RecordedCache, b: RecordedCache, *, names: tuple[str, str] = ("A", "B")) -> None:
        for name, source in (("a", a), ("b", b)):
            _check_source(name, source)
        alignment = align(a, b)
        self.unaligned = alignment.unaligned
        self.a, self.b, self.difference = aligned_caches(a, b, alignment)
        self._measured = ComparisonDistances(self.a, self.b)
        self._measured.measure(most=COST_AT_ONCE)
        self._names = [*map(str, names), f"{names[0]} \N{MINUS SIGN} {names[1]}"]
        self._parts: list[Widget] = []
        self._cursors = [Selection(store=FrameStore(cache)) for cache in (self.a, self.b, self.difference)]
        self._open = True
        super().__init__(selection=self._cursors[0], children=self._compose())
        self.add_class("memviz-explorer").add_class("memviz-comparison")
        self.curve.on_msg(self._measure_more)

    @property
    def parts_at(self) -> str:
        """Label of the first record in execution order whose relative L2 is above ``curve.bound``; "" = there is none.

        Of the records that were measured so far, see :meth:`measure`.
        """
        record = self._measured.first_above(self.curve.bound)
        return record.label if record else ""

    def distance(self, path: str, kind: str = "output", call: int | None = None, **place: Any) -> Distance:
        """How far A and B are apart in one record, named as in ``cache.get``; measured now if it was not yet.

        Raises:
            ClosedError: after ``close()``.
            UnknownRecordError: when no aligned record is called so.
            NotKeptError: when its values cannot be had.
        """
        self._check_open()
        record = self.a.find(path, kind, call, **place)
        return self._measured.of(record)

    def measure(self, *, on_demand: bool = False) -> None:
        """Measure all records that are held, with ``on_demand`` also the others, which may run the model again.

        Raises:
            ClosedError: after ``close()``.
        """
        self._check_open()
        self._measured.measure(on_demand=on_demand)
        self._show_measured()

    def _settle(self) -> None:
        """Measure what is held and was not measured yet, which the browser asks for a few records at a time."""
        self.measure()

    def close(self) -> None:
        """Close every widget in kernel and browser. The two caches stay as they are. Again does nothing."""
        if not self._open:
            return
        self._open = False
        self.curve.on_msg(self._measure_more, remove=True)
        own = [widget for widget in widgets_below(self, keep=()) if widget is not self]
        close_all([*own, *self._parts, *self._cursors, *(cursor.store for cursor in self._cursors)])
        self._parts.clear()
        super().close()
        for cache in (self.difference, self.b, self.a):
            cache.close()

    def __repr__(self) -> str:
        if not self._open:
            return "Comparison(closed)"
        return f"Comparison({len(self.a.records)} records aligned, {len(self.unaligned)} not)"

    @validate("selection")
    def _keep_selection(self, proposal: Bunch) -> Selection:
        """The first selection; the pictures would not follow another."""
        selection: Selection = proposal["value"]
        if self.selection not in (None, selection):
            raise SelectionError(
                "the selection of a comparison cannot be replaced; set its indices, as in selection.layer = 0."
            )
        return selection

    def _compose(self) -> list[Widget]:
        """The rows, top to bottom; their CSS classes are what js/src/comparison_style.ts lays out."""
        first, second, third = self._cursors
        self._parts.append(ComparisonLink(selections=self._cursors))
        self.colors = ComparisonColors(selection=first, other=second)
        beside = ComparisonColors(selection=second, other=first, lead=self.colors)
        self.difference_colors = ColorMapping(selection=third, mode="symmetric", colormap="vik")
        self._mappings = mappings = (self.colors, beside, self.difference_colors)
        images, columns = [], []
        for name, cursor, colors in zip(self._names, self._cursors, mappings, strict=True):
            image, column = _picture(name, cursor, colors)
            images.append(image)
            columns.append(column)
        pictures = classed(HBox(columns), "memviz-comparison-pictures")
        readout = ComparisonReadout(selection=first, images=images, names=self._names)
        lines = [RecordLine(selection=cursor, image=image) for cursor, image in zip(self._cursors, images, strict=True)]
        facts = classed(
            HBox(
                [
                    VBox([classed(Label(name), "memviz-comparison-name"), line])
                    for name, line in zip(self._names, lines, strict=True)
                ]
            ),
            "memviz-comparison-facts",
        )
        return [self._curve(first), self._axes(first), pictures, readout, self._color_controls(), facts]

    def _axes(self, selection: Selection) -> Widget:
        """A row of slider and play button per axis along which some record has positions."""
        rows = []
        for axis in ("layer", *_axes_shown(selection)):
            slider = AxisSlider(selection, axis)
            self._parts += slider.parts
            rows.append(slider.row)
        return classed(VBox(rows), "memviz-axes")

    def _curve(self, selection: Selection) -> Widget:
        self.curve = ComparisonCurve(selection=selection, names=self._names[:2], unaligned=_grouped(self.unaligned))
        self._show_measured()
        measure = Dropdown(options=MEASURE_CHOICES, value=self.curve.measure, description="distance")
        bound = FloatText(value=self.curve.bound, description="apart above")
        self._choose(measure, self.curve, "measure", list(MEASURES))
        self._parts.append(jslink((self.curve, "bound"), (bound, "value")))
        menu = SaveMenu(selection=selection)
        menu.serve(self)
        return VBox([classed(Box([measure, bound, menu]), "memviz-colors"), self.curve])

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

    def _choose(self, control: Dropdown, target: Widget, trait: str, values: list[Any]) -> None:
        self._parts.append(ChoiceLink(control=control, target=target, trait=trait, values=values))

    def _measure_more(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """The browser shows the curve and asks for the next points; what cannot be measured says so in its note."""
        if content.get("type") != "measure":
            return
        self._measured.measure(on_demand=bool(content.get("on_demand")), most=COST_AT_ONCE)
        self._show_measured()

    def _show_measured(self) -> None:
        with self.curve.hold_sync():
            self.curve.distances = self._measured.entries()
            self.curve.pending, self.curve.unheld = self._measured.pending, self._measured.unheld

    def _board(self, held_only: bool) -> Board:
        self._check_open()
        caches = (self.a, self.b, self.difference)
        readers = [
            PictureReader(cache, cursor.store, held_only) for cache, cursor in zip(caches, self._cursors, strict=True)
        ]
        return comparison_board(self._names, self._cursors, self._mappings, readers, self.parts_at)

    def save_stem(self, form: str) -> str:
        """Name for a file of this view without its end."""
        place = "" if form == "html" else self.selection.path
        return "-".join(filter(None, ("comparison", place)))

    def _say_problem(self, text: str) -> None:
        self.selection.store.problem = text

    def _check_open(self) -> None:
        if not self._open:
            raise ClosedError("this comparison is closed; compare the two caches again to look at them.")


def compare(a: RecordedCache, b: RecordedCache, *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Two recordings side by side: two inputs, two models, before and after an edit.

    Records of the same path, kind, item, call, step and shape are compared; the others are listed with the reason.
    A and B share one range of colours, A - B has one of its own, symmetric about 0. The curve says in which layer the
    two part; a click on a layer goes there.

    Args:
        a: The reference: distances are in shares of its length.
        b: What is compared with it; may be the same cache.
        names: What the two are called.

    Returns:
        A widget: display it. Close it with ``.close()``; the caches stay as they are.

    Raises:
        SourceError: when one of them is no cache, or is still recording.
        ClosedError: when one of them was closed.
        AlignmentError: when they have no record in common.
    """
    return Comparison(a, b, names=names)


def _check_source(name: str, source: Any) -> None:
    if not isinstance(source, RecordedCache):
        what = f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"
        raise SourceError(
            f"{name} is {what}; expected an ActivationCache, as in compare(ActivationCache.capture(model, x), "
            "ActivationCache.capture(model, other))."
        )
    if source.closed:
        raise ClosedError(f"the cache given as {name} was closed and its values are gone; capture again.")
    if source.recording:
        raise SourceError(f"the cache given as {name} is still recording; call cache.stop() first.")


def _picture(name: str, selection: Selection, colors: ColorMapping) -> tuple[TensorImage, Widget]:
    """The image, and the column with its name, its figure and its colours."""
    scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(reverse=True)}
    x_axis = bqplot.Axis(scale=scales["x"], grid_lines="none")
    y_axis = bqplot.Axis(scale=scales["y"], side="left", grid_lines="none")
    image = TensorImage(selection=selection, colors=colors, scales=scales, x_axis=x_axis, y_axis=y_axis)
    picture = classed(figure(MARGIN, marks=[image], axes=[x_axis, y_axis]), "memviz-picture")
    title = classed(Label(name), "memviz-comparison-name")
    return image, classed(VBox([title, picture, ColorBar(colors=colors)]), "memviz-main")


def _axes_shown(selection: Selection) -> list[str]:
    """Channel and time where some record has several positions, and the other axes in use."""
    records = selection.store.catalog["records"]
    fixed = [axis for axis in ("channel", "time") if any(entry["extents"].get(axis, 0) > 1 for entry in records)]
    return [*fixed, *axes_in_use(selection)]


def _grouped(unaligned: tuple[Unaligned, ...]) -> list[UnalignedEntry]:
    """What is not compared, calls and steps of a place together."""
    counts: dict[tuple[str, str], int] = {}
    for each in unaligned:
        reason = "no call or step of it in the other" if each.reason.startswith("no call") else each.reason
        counts[each.label, reason] = counts.get((each.label, reason), 0) + 1
    return [{"label": label, "count": count, "reason": reason} for (label, reason), count in counts.items()]
