"""Which settings of a recall task are worth a sweep, over which values, and what its symbols are called.

In: a task. Out: names, values that fit, units, texts.
"""

from __future__ import annotations

import dataclasses

from ..errors import MeasureError
from .recall_lookup import AssociativeRecall, NeedleRecall
from .recall_tasks import CopyTask, DelayedRecall, MarkedTask, RecallTask

_DOUBLING: tuple[float, ...] = (0, 1, 2, 5, 10, 20, 40)
_SWEEPS: dict[type[RecallTask], dict[str, tuple[float, ...]]] = {
    CopyTask: {"delay": _DOUBLING, "length": (1, 2, 3, 5, 8, 12, 16)},
    DelayedRecall: {"delay": _DOUBLING, "distractors": (0, 1, 2, 4, 8, 16)},
    AssociativeRecall: {"pairs": (1, 2, 4, 8, 16, 32), "gap": _DOUBLING},
    NeedleRecall: {"length": (16, 32, 64, 128, 256), "depth": (0, 0.25, 0.5, 0.75, 1), "distractors": (0, 1, 2, 4, 8)},
}
_UNITS = {
    "delay": "steps",
    "gap": "steps",
    "pairs": "keys with a value",
    "distractors": "symbols",
    "depth": "0 = start of the text, 1 = its end",
}


def swept_settings(task: RecallTask) -> dict[str, tuple[float, ...]]:
    """Settings that can be swept, the usual one first, each with default values: rising, and only those that fit.

    Of a task of your own: every setting that is a number, at the value that it has.
    """
    known = next((sweeps for kind, sweeps in _SWEEPS.items() if isinstance(task, kind)), None)
    if known is None:
        known = {
            field.name: (getattr(task, field.name),)
            for field in dataclasses.fields(task)  # type: ignore[arg-type]
            if isinstance(getattr(task, field.name), int | float)
        }
    fitting = {name: tuple(value for value in values if _fits(task, name, value)) for name, values in known.items()}
    return {name: values or (getattr(task, name),) for name, values in fitting.items()}


def setting_text(task: RecallTask, name: str) -> str:
    """A setting with its unit, for an axis: ``"delay (steps)"``."""
    unit = "steps of the sequence" if isinstance(task, NeedleRecall) and name == "length" else ""
    unit = unit or ("symbols to copy" if name == "length" else _UNITS.get(name, ""))
    if name == "distractors" and isinstance(task, NeedleRecall):
        unit = "other keys with a value"
    return f"{name} ({unit})" if unit else name


def symbol_text(task: RecallTask, symbol: int) -> str:
    """A symbol as it is shown: possible answers "0", "1" ...; keys "k0" ..., filler "f0" ..., "_" blank, "?" marker."""
    if symbol < task.answers:
        return str(symbol)
    if isinstance(task, MarkedTask):
        return "_" if symbol == task.blank else "?"
    if isinstance(task, AssociativeRecall | NeedleRecall):
        if symbol < 2 * task.symbols:
            return f"k{symbol - task.symbols}"
        return f"f{symbol - 2 * task.symbols}" if isinstance(task, NeedleRecall) else "_"
    return str(symbol)


def _fits(task: RecallTask, name: str, value: float) -> bool:
    try:
        task.with_(**{name: value})
    except MeasureError:
        return False
    return True
