"""TensorImage: the heatmap, a bqplot mark that draws the selected frame through a 256-entry colour table."""

from __future__ import annotations

from typing import Any

import bqplot
import numpy as np
from bqplot.marks import shape
from bqplot.traits import array_serialization, array_squeeze
from ipywidgets import register, widget_serialization
from traitlets import Bool, Dict, Instance, Unicode
from traittypes import Array

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .color_mapping import ColorMapping
from .map_choice import MapChoice


@register
class TensorImage(Synced, bqplot.Mark):
    """One frame of the selected record as an image; lives in a ``bqplot.Figure`` with two ``bqplot.LinearScale``.

    Rows go down when the y scale has ``reverse=True`` (the convention of images), up otherwise. Cell (r, c) covers
    r - 0.5 .. r + 0.5 and c - 0.5 .. c + 0.5 in units of the tensor's indices, also when the frame is pooled. Where the
    cache has tokens for a side of an attention, they stand on its axis, and the figure's margin grows to hold them.
    """

    _model_name = Unicode("TensorImageModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("TensorImage").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: which record and which frame is drawn.").tag(
        **widget_serialization
    )
    colors: Any = Instance(ColorMapping, help="Colour range and map.").tag(**widget_serialization)
    choice: Any = Instance(
        MapChoice, allow_none=True, help="Which map of an attention or a memory is drawn; None: the selected record."
    ).tag(**widget_serialization)
    x_axis: Any = Instance(
        bqplot.Axis, allow_none=True, help="Axis whose label and ticks (indices or tokens) follow the columns."
    ).tag(**widget_serialization)
    y_axis: Any = Instance(
        bqplot.Axis, allow_none=True, help="Axis whose label and ticks (indices or tokens) follow the rows."
    ).tag(**widget_serialization)
    readout: Any = Bool(True, help="Show indices and value of the cell under the pointer or the keyboard cursor.")
    x: Any = (
        Array(np.array([-0.5, 0.5]), help="First and last edge of the columns, in tensor indices; set in the browser.")
        .tag(scaled=True, rtype="Number", atype="bqplot.Axis", **array_serialization)
        .valid(array_squeeze, shape(2))
    )
    y: Any = (
        Array(np.array([-0.5, 0.5]), help="First and last edge of the rows, in tensor indices; set in the browser.")
        .tag(scaled=True, rtype="Number", atype="bqplot.Axis", **array_serialization)
        .valid(array_squeeze, shape(2))
    )
    scales_metadata: Any = Dict(
        {"x": {"orientation": "horizontal", "dimension": "x"}, "y": {"orientation": "vertical", "dimension": "y"}},
        help="Orientation of the mark's scales, for bqplot.",
    )
