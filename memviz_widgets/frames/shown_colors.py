"""How the codes of a shown map become colours: the range in force and the lookup table, as the browser makes them.

In: what is shown, the mode of the range, statistics of the record. Out: a ColorScale, and a table of 256 colours. The
browser's twins are js/src/color_mapping.ts and color_range.ts; a test holds both against the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .colormaps import colormap
from .entries import Catalog
from .quantise import NAN_CODE, NEG_INF_CODE, POS_INF_CODE, TOP_CODE
from .shown import PROVENANCE, SIGNED_KINDS, ShownMap

Range = tuple[float, float]
Ends = tuple["float | None", "float | None"]
"""Smallest and largest finite value; None: there is none."""

WEIGHTS: Range = (0.0, 1.0)
"""Of attention: every head and every layer in the same colours."""
NOTHING_FINITE: Range = (0.0, 1.0)
LEAST_POWER = -6
"""Weights below 10 to the power of this are drawn as if they were that."""

LOUD = {"neginf": "#00ffff", "posinf": "#39ff14", "nan": "#ff00ff"}
"""Colours of -Inf, +Inf and NaN: in no colour map."""
COLORS = 256
SEQUENTIAL_MAP, DIVERGING_MAP = "viridis", "vik"

_VALUE_KINDS = ("frame", *SIGNED_KINDS[1:])
"""Pages that show the values of a record themselves, which its statistics are of."""


@dataclass(frozen=True, slots=True)
class ColorScale:
    """Values ``low`` .. ``high`` in the colours of ``colormap``; of a ``logarithmic`` map both are powers of ten."""

    low: float
    high: float
    colormap: str
    logarithmic: bool = False


def map_name(chosen: str, low: float, high: float) -> str:
    """The colour map in force: the chosen one; for "auto" a diverging one where the range has both signs."""
    if chosen != "auto":
        return chosen
    return DIVERGING_MAP if low < 0 < high else SEQUENTIAL_MAP


def lookup_table(scale: ColorScale, lo: float, hi: float) -> npt.NDArray[np.uint8]:
    """Red, green and blue per code, (256, 3), of a frame whose codes stand for ``lo`` .. ``hi``."""
    half = 1.0 if math.isfinite(hi - lo) and math.isfinite(scale.high - scale.low) else 0.5
    first, last = scale.low * half, scale.high * half
    codes = np.arange(TOP_CODE + 1)
    with np.errstate(invalid="ignore"):
        values = np.full(len(codes), lo) if lo == hi else lo * half + codes / TOP_CODE * (hi * half - lo * half)
        positions = np.full(len(codes), 0.5) if first == last else (values - first) / (last - first)
    # a frame without finite values has no position: entry 0
    clipped = np.where(positions > 0, np.minimum(1.0, positions), 0.0)
    table = np.zeros((COLORS, 3), np.uint8)
    table[: TOP_CODE + 1] = palette(scale.colormap)[np.minimum(COLORS - 1, np.floor(clipped * COLORS)).astype(int)]
    for code, name in ((NEG_INF_CODE, "neginf"), (POS_INF_CODE, "posinf"), (NAN_CODE, "nan")):
        table[code] = rgb(LOUD[name])
    return table


@cache
def palette(name: str) -> npt.NDArray[np.uint8]:
    """The colours of a map, (256, 3)."""
    return np.array([rgb(color) for color in colormap(name)], np.uint8)


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green, blue 0..255 of "#rrggbb"."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


# ------------------------------------------------------------------------------------------------------------- ranges


def between(ends: Ends) -> Range:
    """From the smallest to the largest; 0..1 where nothing is finite."""
    low, high = ends
    finite = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    return (float(low), float(high)) if finite and low is not None and high is not None else NOTHING_FINITE


def around_zero(ends: Ends) -> Range:
    """Symmetric about 0."""
    low, high = ends
    if low is None or high is None:
        return NOTHING_FINITE
    reach = max(abs(low), abs(high))
    return -reach, reach


def both_sides(ends: Ends) -> Range:
    """Symmetric about 0 for values of both signs, else from the smallest to the largest."""
    low, high = ends
    return around_zero(ends) if low is not None and high is not None and low < 0 < high else between(ends)


def union(several: Iterable[Ends]) -> Ends:
    """From the smallest to the largest of several."""
    pairs = list(several)
    lows = [low for low, _ in pairs if low is not None]
    highs = [high for _, high in pairs if high is not None]
    return min(lows, default=None), max(highs, default=None)


def finite_ends(lows: npt.ArrayLike, highs: npt.ArrayLike) -> Ends:
    """The range over frames; NaN, of a frame without finite values, counts for nothing."""
    low, high = np.asarray(lows, np.float64), np.asarray(highs, np.float64)
    low, high = low[np.isfinite(low)], high[np.isfinite(high)]
    return (float(low.min()), float(high.max())) if low.size and high.size else (None, None)


def stats_ends(shown: ShownMap) -> Ends | None:
    """What the statistics of the record say of the values of this map; None: nothing."""
    stats = shown.place.record["stats"] if shown.place else None
    return (stats["min"], stats["max"]) if stats and shown.kind in _VALUE_KINDS else None


def strip_range(pinned: Range | None, lo: float, hi: float) -> Range | None:
    """Of a strip: the pinned one; symmetric about 0 for signed values; from 0; None: no value is finite."""
    if pinned is not None or not (math.isfinite(lo) and math.isfinite(hi)):
        return pinned
    reach = max(abs(lo), abs(hi))
    return (-reach, reach) if lo < 0 else (0.0, reach)


def color_range(
    shown: ShownMap, mode: str, typed: Range, frame: Range, seen: Ends, catalog: Catalog, choice: str = ""
) -> Range:
    """The range of the colours, of a logarithmic map in powers of ten.

    Args:
        shown: What is coloured.
        mode: "auto", "frame", "layer", "all", "symmetric" or "fixed".
        typed: The typed numbers, for "fixed".
        frame: Finite range of the shown frame, NaN where it has no finite value.
        seen: Finite range over the frames that were read; what stands in for missing statistics.
        catalog: For the range over all records.
        choice: "" for the frame of a record, "attention" or "memory" for one of its maps.
    """
    logarithmic = shown.kind == "log"
    known = stats_ends(shown) or seen
    if mode == "fixed":
        return powers_of(typed) if logarithmic else typed
    if mode == "frame":
        return between(finite_ends(frame[:1], frame[1:]))
    if mode == "layer":
        return between(known)
    natural = natural_range(shown, frame, known, choice)
    if mode == "symmetric":
        return natural if logarithmic else around_zero(known)
    if mode == "all":
        whole = whole_range(shown, choice)
        every = (catalog["lo"], catalog["hi"])
        return whole or between(known if None in every else every)
    return natural


def natural_range(shown: ShownMap, frame: Range, known: Ends, choice: str) -> Range:
    """The range without being asked."""
    place = shown.place
    ends = finite_ends(frame[:1], frame[1:])
    if choice == "attention":
        return _attention_range(shown.kind, ends)
    if choice == "memory":
        if shown.kind in PROVENANCE:
            return _up_to_largest(ends)
        # the same colours at every moment; over time the frame has all of them already
        return whole_range(shown, choice) or both_sides(known if shown.kind == "frame" else ends)
    return WEIGHTS if place is not None and place.layer["kind"] == "attention" else both_sides(known)


def whole_range(shown: ShownMap, choice: str) -> Range | None:
    """What every map of a kind has in common, whatever the layer; None: nothing."""
    record = shown.place.record if shown.place else None
    if choice == "attention":
        return {"difference": (-1.0, 1.0), "log": (float(LEAST_POWER), 0.0)}.get(shown.kind, WEIGHTS)
    if choice == "memory" and record is not None:
        if shown.kind in PROVENANCE or (record["attention"] and record["memory"] is None):
            return WEIGHTS
        pinned = record["memory"]["pinned"] if record["memory"] else None
        return (pinned[0], pinned[1]) if pinned else None
    return None


def powers_of(weights: Range) -> Range:
    """A range of weights in powers of ten."""
    low, high = (math.log10(weight if weight > 0 else 10.0**LEAST_POWER) for weight in weights)
    return low, high


def _up_to_largest(ends: Ends) -> Range:
    high = ends[1]
    return (0.0, high) if high is not None and high > 0 else WEIGHTS


def _attention_range(kind: str, ends: Ends) -> Range:
    low, high = ends
    if low is None or high is None:
        return {"difference": (-1.0, 1.0), "log": (float(LEAST_POWER), 0.0)}.get(kind, WEIGHTS)
    if kind == "difference":
        return around_zero(ends) if low or high else (-1.0, 1.0)
    if kind in ("rollout", "flow"):
        return _up_to_largest(ends)
    if kind == "log":  # whole decades, so that most heads of a layer share a range
        return float(min(-1, max(LEAST_POWER, math.floor(low)))), 0.0
    return WEIGHTS
