"""ColorMapping: how values become colours, decided in the browser."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from ipywidgets import Widget, register, widget_serialization
from traitlets import Bunch, Enum, Float, HasTraits, Instance, Unicode, validate

from ..errors import ColorRangeError, UnknownColormapError
from ..frames.colormaps import colormap
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .map_choice import MapChoice

RANGE_MODES = ("auto", "frame", "layer", "all", "symmetric", "fixed")


class RangeEnd(Float):  # type: ignore[type-arg]
    """A Float that also takes a number of numpy and a tensor of one element, and no NaN or Inf."""

    def validate(self, obj: HasTraits, value: Any) -> float:
        """The number as a Python float; a ColorRangeError for anything that is no finite number."""
        try:
            number = float(value) if isinstance(value, SupportsFloat) else math.nan
        except (TypeError, ValueError, RuntimeError, OverflowError):  # a tensor of many elements, say
            number = math.nan
        if math.isfinite(number):
            return number
        raise ColorRangeError(f"{self.name} is {value!r}; expected a finite number, as in colors.{self.name} = 0.5.")


@register
class ColorMapping(Synced, Widget):
    """Colour range and colour map of one explorer, shared by its heatmap, contact sheet and colour bar.

    Raises:
        ColorRangeError: when vmin or vmax is set to what is no finite number.
        UnknownColormapError: when colormap is set to a name that does not exist; it names the nearest.
    """

    _model_name = Unicode("ColorMappingModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor that says which frame, layer and cache the range refers to."
    ).tag(**widget_serialization)
    choice: Any = Instance(
        MapChoice, allow_none=True, help="Which map of an attention or a memory is coloured; None: the selected record."
    ).tag(**widget_serialization)
    mode: Any = Enum(
        RANGE_MODES,
        "auto",
        help="Range of the colours: auto (symmetric about 0 for a layer with values of both signs, else its range), "
        "frame, layer (over all its steps and calls), all (layers), symmetric (about 0, of the layer), "
        "fixed (vmin .. vmax).",
    )
    vmin: Any = RangeEnd(0.0, help="Value of the first colour when mode is 'fixed', in units of the tensor.")
    vmax: Any = RangeEnd(1.0, help="Value of the last colour when mode is 'fixed', in units of the tensor.")
    colormap: Any = Unicode(
        "auto", help="Name of the colour map; auto takes 'vik' where the range has both signs, else 'viridis'."
    )

    def __init__(self, **kwargs: Any) -> None:
        self._from_browser = True  # what a new mapping starts with was not typed by anybody
        super().__init__(**kwargs)
        self._from_browser = False

    @validate("colormap")
    def _known(self, proposal: Bunch) -> str:
        name = str(proposal["value"])
        try:
            if name != "auto":
                colormap(name)
        except UnknownColormapError as error:
            raise UnknownColormapError(f"{error} Or 'auto'.") from None
        return name

    @validate("vmin", "vmax")
    def _typed(self, proposal: Bunch) -> float:
        # Before the number is sent: in any other mode the browser puts the range in force in its place.
        if not self._from_browser:
            self.mode = "fixed"
        return float(proposal["value"])
