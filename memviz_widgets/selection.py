"""Selection: the one cursor that all views of a cache share.

In: the catalog of a FrameStore, indices from Python or the browser. Out: indices that exist in the selected record.
"""

from __future__ import annotations

import operator
from typing import Any

from ipywidgets import Widget, register, widget_serialization
from traitlets import Bunch, Float, HasTraits, Instance, Int, List, Unicode, observe, validate

from .errors import SelectionError, nearest_hint
from .synced import MODULE_NAME, MODULE_VERSION, Synced

# Axes along which a record can be entered; layer, step and call choose the record itself, in this order.
RECORD_AXES = ("sample", "channel", "time", "head", "query", "key", "slot", "depth", "axis", "axis2")
AXES = ("layer", "step", "call", *RECORD_AXES)


class AxisIndex(Int):  # type: ignore[type-arg]
    """An Int that also takes an index of numpy and a tensor of one integer, such as ``x.argmax()``."""

    info_text = "a whole number"

    def validate(self, obj: HasTraits, value: Any) -> int:
        """The index as a Python int; a SelectionError for anything else."""
        if isinstance(value, float) and value.is_integer():
            return int(value)
        try:
            return int(operator.index(value))
        except (TypeError, ValueError, RuntimeError) as error:  # a tensor of many elements, say
            raise SelectionError(
                f"{self.name} is {value!r}; expected {self.info_text}, as in selection.{self.name} = 0."
            ) from error


class LayerIndex(AxisIndex):
    """An index that also takes a layer's name and stores its position in execution order."""

    info_text = "a layer's position in execution order, or its name"

    def validate(self, obj: HasTraits, value: Any) -> int:
        """The position of a layer given by name or position; a SelectionError for anything else."""
        if isinstance(value, str) and isinstance(obj, Selection):
            value = obj.find_layer(value)
        return super().validate(obj, value)


class StepIndex(AxisIndex):
    """An index that also takes the label of a step, such as "epoch 3"."""

    info_text = "a step's number, or its label"

    def validate(self, obj: HasTraits, value: Any) -> int:
        """The number of a step given by label or number; a SelectionError for anything else."""
        if isinstance(value, str) and isinstance(obj, Selection):
            value = obj.find_step(value)
        return super().validate(obj, value)


@register
class Selection(Synced, Widget):
    """What is looked at: layer, step, call, and one index per dim. Views read it and write it, never each other.

    Each index is an Int trait: set it, observe it, link it. ``layer`` also takes a name
    (``selection.layer = "layer1.0.conv1"``). When layer, step or call changes, the other indices move into the
    selected record: an index past its end becomes the last one, an axis that the record lacks becomes 0. In a step in
    which the layer did not run they keep to the nearest step in which it did.

    Raises:
        SelectionError: for an index outside the selected record, or a name that no layer has. Values that come
            from the browser are moved into the record instead: they may have been sent for the record before.
    """

    _model_name = Unicode("SelectionModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    store: Any = Instance(Widget, help="The FrameStore whose catalog the indices refer to.").tag(**widget_serialization)
    layer: Any = LayerIndex(0, help="Layer: position in execution order, 0 .. number of layers - 1, or its name.")
    step: Any = StepIndex(
        0, help="Step: which call of the whole model, of a training or generation loop say, 0 = first; or its label."
    )
    call: Any = AxisIndex(0, help="Which call of the layer's module within the step, 0 = first.")
    sample: Any = AxisIndex(0, help="Position along batch, 0 = first.")
    channel: Any = AxisIndex(0, help="Position along channel, 0 = first.")
    time: Any = AxisIndex(0, help="Position along time: the timestep, 0 = first.")
    head: Any = AxisIndex(0, help="Position along head, 0 = first.")
    query: Any = AxisIndex(0, help="Position along query, 0 = first.")
    key: Any = AxisIndex(0, help="Position along key, 0 = first.")
    slot: Any = AxisIndex(0, help="Position along slot, 0 = first.")
    depth: Any = AxisIndex(0, help="Position along depth (of a 3-d convolution), 0 = first.")
    axis: Any = AxisIndex(0, help="Position along the first dim that has no name of its own, 0 = first.")
    axis2: Any = AxisIndex(0, help="Position along the second dim that has no name of its own, 0 = first.")
    lit: Any = List(
        Float(min=0.0, max=1.0),
        help="Which steps wrote what was clicked in a memory: a share 0..1 per timestep; [] = nothing is lit.",
    )

    @property
    def path(self) -> str:
        """Name of the selected layer; "" when nothing was recorded."""
        layers = self._layers()
        return str(layers[self.layer]["label"]) if layers else ""

    @property
    def record(self) -> int:
        """Index of the selected record in ``cache.records``; -1 when the layer did not run in the selected step."""
        layers = self._layers()
        calls = layers[self.layer]["records"][self.step] if layers else []
        return int(calls[min(self.call, len(calls) - 1)]) if calls else -1

    def extent(self, axis: str) -> int:
        """Number of positions of an axis in the selected record (see the class); 0 when the record lacks it.

        Raises:
            SelectionError: for a name that is no axis.
        """
        if axis not in AXES:
            raise SelectionError(f"no axis {axis!r}{nearest_hint(axis, AXES)}. Axes: {', '.join(AXES)}.")
        layers = self._layers()
        if axis == "layer" or not layers:
            return len(layers)
        steps = layers[self.layer]["records"]
        if axis == "step":
            return len(steps)
        calls = nearest_calls(steps, self.step)
        if axis == "call":
            return len(calls)
        record = calls[min(self.call, len(calls) - 1)]
        return int(self.store.catalog["records"][record]["extents"].get(axis, 0))

    def find_layer(self, name: str) -> int:
        """Position of the first layer with this name (a path, or a path with its item such as ``enc[1]``)."""
        layers = self._layers()
        for field in ("label", "path"):
            for position, entry in enumerate(layers):
                if entry[field] == name:
                    return position
        hint = nearest_hint(name, (entry["label"] for entry in layers), cutoff=0.3)
        raise SelectionError(f"no layer {name!r} ({len(layers)} recorded){hint}. List them with cache.names().")

    def find_step(self, label: str) -> int:
        """Number of the step with this label (see ``cache.step_labels``)."""
        labels = self.store.catalog.get("step_labels", []) if self.store is not None else []
        if label in labels:
            return int(labels.index(label))
        raise SelectionError(
            f"no step {label!r} ({len(labels)} have labels){nearest_hint(label, labels)}. See cache.step_labels."
        )

    def __repr__(self) -> str:
        at = ", ".join(
            f"{axis}={getattr(self, axis)}" for axis in ("step", "channel", "time", "sample") if self.extent(axis) > 1
        )
        return f"Selection({self.path!r}{', ' if at else ''}{at})"

    @validate(*AXES)
    def _inside(self, proposal: Bunch) -> int:
        axis, value = proposal["trait"].name, int(proposal["value"])
        last = max(self.extent(axis) - 1, 0)
        if 0 <= value <= last:
            return value
        if self._from_browser or self.store is None:
            return min(max(value, 0), last)
        where = "the cache" if axis == "layer" else repr(self.path)
        raise SelectionError(f"{axis} {value} is not in {where}; expected 0 .. {last}.")

    @observe("layer", "step", "call")
    def _move_into_record(self, change: Bunch) -> None:
        with self.hold_sync():
            for axis in AXES[1:]:
                last = max(self.extent(axis) - 1, 0)
                if getattr(self, axis) > last:
                    setattr(self, axis, last)

    def _layers(self) -> list[dict[str, Any]]:
        catalog = self.store.catalog if self.store is not None else {}
        return list(catalog.get("layers", ()))


def nearest_calls(steps: list[list[int]], step: int) -> list[int]:
    """A layer's records by call in this step; where it did not run, in the nearest step before, else after."""
    before = reversed(steps[: step + 1])
    return next((calls for calls in (*before, *steps[step + 1 :]) if calls), [])
