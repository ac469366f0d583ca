"""ColorMapping: how values become colours, decided in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import Widget, register, widget_serialization
from traitlets import Bunch, Enum, Float, Instance, Unicode, observe

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

RANGE_MODES = ("auto", "frame", "layer", "all", "symmetric", "fixed")


@register
class ColorMapping(Synced, Widget):
    """Colour range and colour map of one explorer, shared by its heatmap, contact sheet and colour bar."""

    _model_name = Unicode("ColorMappingModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(
        Selection, help="The cursor that says which frame, layer and cache the range refers to."
    ).tag(**widget_serialization)
    mode: Any = Enum(
        RANGE_MODES,
        "auto",
        help="Range of the colours: auto (symmetric about 0 for a layer with values of both signs, else its range), "
        "frame, layer, all (layers), symmetric (about 0, of the layer), fixed (vmin .. vmax).",
    )
    vmin: Any = Float(0.0, help="Value of the first colour when mode is 'fixed', in units of the tensor.")
    vmax: Any = Float(1.0, help="Value of the last colour when mode is 'fixed', in units of the tensor.")
    colormap: Any = Unicode(
        "auto", help="Name of the colour map; auto takes 'vik' where the range has both signs, else 'viridis'."
    )

    def __init__(self, **kwargs: Any) -> None:
        self._from_browser = True  # what a new mapping starts with was not typed by anybody
        super().__init__(**kwargs)
        self._from_browser = False

    @observe("vmin", "vmax")
    def _typed(self, change: Bunch) -> None:
        if not self._from_browser:
            self.mode = "fixed"
