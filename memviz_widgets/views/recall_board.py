"""The picture of a recall lab: its curves, its table, and what became of the answer of the run that is open.

In: what the lab's parts hold. Out: a Board of the export stage.
"""

from __future__ import annotations

from ..export.picture_parts import Board, CurvePart, CurvesPart, Part, TablePart
from ..frames.entries import RecallCurve, RecallDot, RecallRow
from ..frames.number_text import approximately
from .recall_controls import RecallControls
from .recall_curves import RecallCurves

COLUMNS = ("model", "half-way to chance (d50)", "bits kept", "state of one sequence", "of")
COLUMN_PX = (120, 170, 110, 190, 120)
LEGEND = "dashed: chance; dotted: half-way to chance (d50); upright: 95 % interval"
ROOM, LEAST_GAP = 0.04, 0.045
"""Beside the first and the last value, and between two ticks: parts of the span. As in js/src/recall_points.ts."""


def recall_board(controls: RecallControls, curves: RecallCurves) -> Board:
    """The curves over the setting that is shown."""
    curve: RecallCurve = next(each for each in curves.curves if each["over"] == curves.over)
    rows: list[tuple[Part, ...]] = [(_figure(curve, curves),)]
    named = zip(curves.names, curve["rows"], strict=True)
    rows.append((TablePart(COLUMNS, COLUMN_PX, tuple(_row(name, row, curve["over"]) for name, row in named)),))
    measured = f"{controls.done:,} of {controls.total:,} points measured"
    errors = [dot["error"] for dot in curve["dots"] if dot["error"]]
    verdict = list(curves.failure.get("sentences", ()))
    return Board(controls.title, (measured,), tuple(rows), (*errors, *verdict))


def _figure(curve: RecallCurve, curves: RecallCurves) -> CurvesPart:
    values, measured = curve["values"], [dot for dot in curve["dots"] if not dot["error"]]
    chance = measured[0]["chance"] if measured else None
    drawn = []
    signs = zip(curves.names, curves.colors, curves.markers, curve["rows"], strict=True)
    for model, (name, color, marker, row) in enumerate(signs):
        own = sorted((dot for dot in measured if dot["model"] == model), key=lambda dot: dot["value"])
        at = row["d50_value"]
        half = None if at is None or chance is None else (at, (1 + chance) / 2)
        drawn.append(CurvePart(name, color, marker, tuple(map(_point, own)), half))
    room = ROOM * (values[-1] - values[0]) or 1.0
    ends = values[0] - room, values[-1] + room
    ticks = tuple((value, approximately(value)) for value in _apart(values))
    return CurvesPart(tuple(drawn), curve["text"], "accuracy", ticks, ends, chance, LEGEND)


def _point(dot: RecallDot) -> tuple[float, float, float, float]:
    return dot["value"], dot["accuracy"], dot["low"], dot["high"]


def _apart(values: list[float]) -> list[float]:
    """The values, but for those that stand too close to the one before."""
    gap = LEAST_GAP * (values[-1] - values[0])
    kept: list[float] = []
    for value in values:
        if not kept or value - kept[-1] >= gap:
            kept.append(value)
    return kept


def _row(name: str, row: RecallRow, over: str) -> tuple[tuple[str, ...], ...]:
    if row["value"] is None or row["bits_kept"] is None or row["most_bits"] is None:
        return (name,), ("not measured",), ("",), ("",), ("",)
    bits = f"{approximately(row['bits_kept'], 3)} of {approximately(row['most_bits'], 3)}"
    size = "" if row["elements"] is None else f"{row['elements']:,} numbers, {row['held_bytes']:,} bytes"
    return (
        (name,),
        (f"{over} {row['d50']}",),
        (bits, f"at {over} {approximately(row['value'])}"),
        (size, row["state_note"]),
        (f"{row['n']:,} answers", f"of {row['sequences']:,} sequences"),
    )
