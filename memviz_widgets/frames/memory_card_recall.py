"""The memory card on recall: what a measured curve of accuracy says, in rows.

In: RecallCurves, named or not. Out: rows of d50, accuracy at the largest value, bits kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.recall import RecallCurve
from ..errors import SourceError
from .entries import CardRow
from .memory_card_rows import count_text, number_text, row

Curves = RecallCurve | Sequence[RecallCurve] | Mapping[str, RecallCurve]


def named_curves(recall: Curves | None) -> dict[str, RecallCurve]:
    """The curves by name: as given, else by what is swept, numbered where there are several of one name.

    Raises:
        SourceError: for what is no curve.
    """
    if recall is None:
        return {}
    curves: Any = [recall] if isinstance(recall, RecallCurve) else recall
    several = list(curves.values()) if isinstance(curves, Mapping) else curves
    several = several if isinstance(several, list | tuple) else [several]
    for curve in several:
        if not isinstance(curve, RecallCurve):
            raise SourceError(
                f"recall holds a {type(curve).__name__}; expected a RecallCurve of "
                "mv.analysis.recall.measure, a list of them or a mapping of names to them."
            )
    if isinstance(curves, Mapping):
        return {str(name): curve for name, curve in curves.items()}
    return {f"curve {place}" if len(several) > 1 else "": curve for place, curve in enumerate(several, 1)}


def recall_rows(recall: Curves | None) -> list[CardRow]:
    """Rows of each curve that has a point; see :func:`named_curves` for what is given and refused."""
    return [made for name, curve in named_curves(recall).items() if curve.points for made in _rows(name, curve)]


def _rows(name: str, curve: RecallCurve) -> list[CardRow]:
    last, over = curve.points[-1], curve.over
    of = f" ({name})" if name else ""
    task = type(last.task).__name__
    n = f"{count_text(last.n, 'answer')} of {count_text(last.sequences, 'sequence')}"
    error = "" if last.standard_error != last.standard_error else f" ± {number_text(last.standard_error)}"
    swept = f"{task}, {over} {curve.points[0].value:g} to {last.value:g}"
    at = f"at {over} {last.value:g}"
    return [
        row(
            "d50",
            f"{over} {curve.d50_text}",
            name=f"recall: half-way to chance{of}",
            number=curve.d50,
            compare=f"measured up to {last.value:g}",
            n=f"{count_text(len(curve.points), 'value')}, {n} each",
            detail=swept,
        ),
        row(
            "accuracy",
            f"{number_text(last.accuracy)}{error}",
            name=f"recall {at}{of}",
            number=last.accuracy,
            compare=f"chance: {number_text(last.chance)}; any of the sequence: {number_text(last.context_chance)}",
            n=n,
            detail=swept,
        ),
        row(
            "bits kept",
            f"{number_text(last.bits_kept)} bits",
            name=f"bits kept {at}{of}",
            number=last.bits_kept,
            compare=f"chance: 0; all: {number_text(last.most_bits)}",
            n=n,
            detail=swept,
        ),
    ]
