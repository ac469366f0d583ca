"""A health report: what looks wrong in a recording, worst first, each with its place and a sentence for a beginner.

In: a cache, or anything with ``records`` and ``value(record)``. Out: a HealthReport. Statistics of the capture decide
about NaN, scale and range; the other checks read a bounded sample of the values that are held.

Thresholds are conventions, not findings of research; each is a documented constant of the module that uses it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .health_findings import KINDS, SEVERITIES, Finding, worst_first
from .health_gates import gate_findings, slot_findings
from .health_heads import head_findings
from .health_samples import MOST_CALLS, SAMPLE_CELLS, UNIT_CELLS, CacheLike, Reader
from .health_scale import first_non_finite, overflow_findings, scale_findings
from .health_units import unit_findings

__all__ = [
    "KINDS",
    "MOST_CALLS",
    "SAMPLE_CELLS",
    "SEVERITIES",
    "UNIT_CELLS",
    "Finding",
    "HealthReport",
    "HealthStep",
    "report",
    "report_steps",
]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What was found.

    Attributes:
        findings: Worst first: by severity, then by kind as in :data:`KINDS`, then in the order of execution. Empty
            when nothing looks wrong, which is no proof that nothing is.
        records: Number of records in the recording.
        unread: (index, reason) of the records whose values a check wanted and could not read.
    """

    findings: tuple[Finding, ...]
    records: int
    unread: tuple[tuple[int, str], ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no finding, not even a hint."""
        return not self.findings

    def of_kind(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one of :data:`KINDS`."""
        return tuple(each for each in self.findings if each.kind == kind)


@dataclass(frozen=True, slots=True)
class HealthStep:
    """One place was checked.

    Attributes:
        brought_back: How many values that were not held were wanted on demand so far.
        report: What was found, with the last place; None before.
    """

    brought_back: int
    report: HealthReport | None


def report(cache: CacheLike, *, on_demand: bool = False) -> HealthReport:
    """What looks wrong in a recording.

    =====================  ==========================================================================================
    non-finite             first NaN or Inf in execution order, what finished before it, how many layers it reached
    exploding scale        std more than 10000 times the median of the layers before; vanishing: less than 1/10000
    overflow near          float16 or bfloat16 beyond half of their largest number; float16 range: float32 beyond 32752
    constant               the same at all samples and positions
    dead units             0 at all of 300 positions or more, after a ReLU; nearly dead: fires at less than 1 % of them
    saturated gate         more than 95 % of a gate's values below 0.1 or above 0.9; saturated activation: of a
                           Sigmoid, or of a Tanh beyond 0.8 either way
    collapsed head         one key has 90 % of the attention of all queries; attention sink: half of it
    unused slots           less than 1 % of an even share of the write weights (read weights where nothing is written)
    duplicated channels    equal, or (not in float16 and bfloat16) with a correlation of 1 within rounding
    =====================  ==========================================================================================

    A fault is reported where it begins, not again in the layers that pass it on. Calls of one module count together.
    It takes less time than the capture, but where gates of a recurrent layer are looked at for the first time: then the
    cache recovers them, which costs about two runs of that layer, once.

    Args:
        cache: An ActivationCache. Of each place at most ``SAMPLE_CELLS`` values, or ``UNIT_CELLS`` per unit, of at most
            ``MOST_CALLS`` calls are read, at even distances; a finding has in ``n`` how many. A lazy value is never
            read whole beyond that.
        on_demand: Whether values that are not held may be computed again or read from disk, which may take as long as
            the capture, or longer.

    Returns:
        The findings. Never raises because of a record: what cannot be read is in ``unread``, with the reason. Integer,
        bool, complex, sparse and empty values are checked as far as their statistics go.
    """
    last = deque(report_steps(cache, on_demand=on_demand), maxlen=1)
    found = last[0].report
    assert found is not None  # that of the last step
    return found


def report_steps(cache: CacheLike, *, on_demand: bool = False) -> Iterator[HealthStep]:
    """The same place by place: a caller shows progress between them, and lets others have their turn.

    Yields:
        A :class:`HealthStep` after every place; the last one has the report.
    """
    records = tuple(cache.records)
    reader = Reader(cache, on_demand)
    findings = [*first_non_finite(records, reader), *scale_findings(records), *overflow_findings(records)]
    for check in (unit_findings, gate_findings, slot_findings, head_findings):
        for found in check(records, reader):
            findings += found
            yield HealthStep(len(reader.brought_back), None)
    unread = tuple(sorted(reader.unread.items()))
    yield HealthStep(len(reader.brought_back), HealthReport(worst_first(findings), len(records), unread))
