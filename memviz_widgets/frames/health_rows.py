"""The health report as plain data for the browser: rows with their places, what was checked, what was not read.

In: a HealthReport of the analysis, the records and the catalog it is about. Out: entries of the shape that
frames.entries says, and sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..analysis.head_kinds import LEAST_SHARE
from ..analysis.health import KINDS, SEVERITIES, Finding, HealthReport
from ..analysis.health_findings import counted
from ..analysis.health_gates import HIGH, LOW, STUCK, UNUSED_SHARE
from ..analysis.health_heads import COLLAPSED, LEAST_QUERIES
from ..analysis.health_scale import HALF_LIMIT, SCALE_RATIO
from ..analysis.health_units import LEAST_POSITIONS, NEARLY_DEAD
from ..records import TensorRecord
from .entries import Catalog, HealthCheck, HealthPlace, HealthRow, HealthUnread

MOST_UNREAD = 50
"""Records that are named per reason; ``HealthReport.unread`` has all of them."""

PLACE_AXES = ("channel", "head", "slot")
OTHER_AXES = ("sample", "time", "key")


class _Check(NamedTuple):
    """How a kind is said: what the value is, its form ("count", "share", "number"), which side is right, n's noun."""

    measure: str
    form: str
    right: str
    noun: str
    rule: str


_CHECKS = {
    "non-finite": _Check(
        "NaN or Inf", "count", "exactly", "value", "NaN or Inf in any layer: the first one in the order of execution."
    ),
    "exploding scale": _Check(
        "times the spread before", "number", "at most", "record before",
        f"A layer whose standard deviation is more than {SCALE_RATIO:,.0f} times the median of the layers before.",
    ),
    "overflow near": _Check(
        "largest |x|", "number", "at most", "value",
        "float16 and bfloat16 values beyond half of the largest number of their dtype.",
    ),
    "constant": _Check(
        "spread", "number", "more than", "position", "A layer that is the same at all samples and positions."
    ),
    "dead units": _Check(
        "of positions where it fires", "share", "more than", "position",
        f"Units after a ReLU that are 0 everywhere; needs {LEAST_POSITIONS} positions or more.",
    ),
    "saturated gate": _Check(
        "of values at an end", "share", "at most", "value",
        f"Gates of which more than {STUCK:.0%} of the values are below {LOW} or above {HIGH}.",
    ),
    "collapsed head": _Check(
        "of attention on one key", "share", "less than", "query",
        f"Attention heads of which one key has {COLLAPSED:.0%} or more, whatever the query; needs {LEAST_QUERIES} "
        "queries that have a choice.",
    ),
    "unused slots": _Check(
        "of all weight", "share", "at least", "weighting",
        f"Slots of a memory with less than {UNUSED_SHARE:.0%} of an even share of the weights.",
    ),
    "duplicated channels": _Check(
        "correlation of the two", "number", "less than", "position",
        "Channels that are equal, or the same up to a factor.",
    ),
    "vanishing scale": _Check(
        "times the spread before", "number", "at least", "record before",
        f"A layer whose standard deviation is less than 1/{SCALE_RATIO:,.0f} of the median of the layers before.",
    ),
    "nearly dead units": _Check(
        "of positions where it fires", "share", "at least", "position",
        f"Units after a ReLU that fire at less than {NEARLY_DEAD:.0%} of the positions.",
    ),
    "saturated activation": _Check(
        "of values at an end", "share", "at most", "value",
        f"Sigmoid and Tanh modules of which more than {STUCK:.0%} of the values are at the ends of the range.",
    ),
    "attention sink": _Check(
        "of attention on one key", "share", "less than", "query",
        f"Attention heads of which one key has {LEAST_SHARE:.0%} or more.",
    ),
    "float16 range": _Check(
        "largest |x|", "number", "at most", "value",
        f"float32 values beyond {HALF_LIMIT:,.0f}, which float16 would hardly hold.",
    ),
}  # fmt: skip


class RecordPlaces:
    """Where each record is shown: those that are joined into another with that one."""

    def __init__(self, records: Sequence[TensorRecord], catalog: Catalog) -> None:
        self._records = records
        self._joined = {part: record.index for record in records for part in record.parts}
        self._layers = catalog["layers"]
        self._step_labels = catalog["step_labels"]
        self._found = {
            (index, step): (position, call)
            for position, layer in enumerate(self._layers)
            for step, calls in enumerate(layer["records"])
            for call, index in enumerate(calls)
        }

    def of(self, index: int) -> HealthPlace:
        """Layer, step and call of a record; layer -1 when the catalog shows it nowhere."""
        record = self._records[index]
        whole = self._records[self._joined.get(index, index)]
        steps = [record.step, *(self._records[part].step for part in whole.parts)]
        for shown in (index, whole.index):
            for step in steps:
                if (shown, step) in self._found:
                    layer, call = self._found[shown, step]
                    label, when = self._layers[layer]["label"], self._when(step)
                    return {"layer": layer, "step": step, "call": call, "label": label, "when": when}
        return {"layer": -1, "step": 0, "call": 0, "label": record.label, "when": ""}

    def _when(self, step: int) -> str:
        if step < len(self._step_labels):
            return self._step_labels[step]
        return f"step {step:,}" if step else ""


def health_rows(report: HealthReport, places: RecordPlaces) -> list[HealthRow]:
    """A row per finding, worst first."""
    return [_row(finding, places) for finding in report.findings]


def health_unread(report: HealthReport, places: RecordPlaces) -> list[HealthUnread]:
    """The records that were not read, by reason in the order of their first record."""
    by_reason: dict[str, list[int]] = {}
    for index, reason in report.unread:
        by_reason.setdefault(reason, []).append(index)
    return [
        {"reason": reason, "count": len(found), "places": [places.of(index) for index in found[:MOST_UNREAD]]}
        for reason, found in by_reason.items()
    ]


def health_checks() -> list[HealthCheck]:
    """What is looked for, worst first."""
    return [{"kind": kind, "severity": severity, "rule": _CHECKS[kind].rule} for kind, severity in KINDS.items()]


def headline(report: HealthReport, layers: int) -> str:
    """ "3 errors and 2 warnings in 43 layers"; of a healthy recording that this is no proof."""
    if not layers:
        return "Nothing was recorded, so nothing was checked."
    where = counted(layers, "layer")
    if report.healthy:
        unread = f"; {counted(len(report.unread), 'record')} not read" if report.unread else ""
        return f"Nothing found in {where}{unread}. This is no proof that nothing is wrong."
    counts = [sum(each.severity == severity for each in report.findings) for severity in SEVERITIES]
    said = [counted(count, severity) for count, severity in zip(counts, SEVERITIES, strict=True) if count]
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"{listed} in {where}"


def first_look(report: HealthReport, records: Sequence[TensorRecord]) -> tuple[int, str]:
    """Which finding to look at first, and why, as a sentence; (-1, "") of a healthy recording.

    NaN and Inf before all else: nothing that is computed from them can be judged. Else of the worst severity (hints
    only where there is nothing else) the first in the order of execution: what comes after may follow from it.
    """
    if report.healthy:
        return -1, ""
    worst = [each for each in report.findings if each.severity == report.findings[0].severity]
    first = min(worst, key=lambda each: min((each.record, *records[each.record].parts)))
    if first.kind == "non-finite":
        why = "NaN and Inf spread to all that is computed from them, so judge the layers after it when it is gone."
    elif len(report.findings) == 1:
        why = "it is all that was found."
    else:
        why = "it comes first in the order of execution, so what is found after it may follow from it."
    return report.findings.index(first), f"Look first at {first.label} ({first.kind}): {why}"


def _row(finding: Finding, places: RecordPlaces) -> HealthRow:
    check = _CHECKS[finding.kind]
    axis = next((name for name in PLACE_AXES if getattr(finding, name) is not None), "")
    named = {name: getattr(finding, name) for name in OTHER_AXES}
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "place": places.of(finding.record),
        "axis": axis,
        "places": list(finding.places),
        "at": {name: index for name, index in named.items() if index is not None},
        "sentence": finding.sentence,
        "measure": check.measure,
        "value": number_text(finding.value, check.form),
        "bound": f"{check.right} {number_text(finding.bound, check.form)}",
        "n": _plural(finding.n, check.noun),
        "before": None if finding.before is None else places.of(finding.before),
    }


def number_text(number: float, form: str) -> str:
    """A count "1,024", a share "98.5 %", or a number of any size "32,752", "0.0001", "1.69e+38"."""
    if form == "count":
        return f"{number:,.0f}"
    if form == "share":
        return f"{100 * number:.3g} %"
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e6 else f"{number:.3g}"


def _plural(count: int, noun: str) -> str:
    """ "1 query", "3,200 queries", "3 records before"."""
    first, *rest = noun.split(" ")
    if count != 1:
        first = f"{first[:-1]}ies" if first.endswith("ry") else f"{first}s"
    return " ".join((f"{count:,}", first, *rest))
