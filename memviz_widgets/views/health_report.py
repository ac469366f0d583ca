"""HealthReport: what looks wrong in a recording, worst first; a row leads all linked views to its place.

In: a model and its input, or a cache. Out: one widget that moves the shared Selection in the browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipywidgets import Widget, register, widget_serialization
from torch import nn
from traitlets import Instance, Unicode

from ..analysis import health
from ..cache import ActivationCache
from ..errors import ClosedError, SelectionError
from ..export.picture_parts import Board
from ..frames.entries import HealthRow
from ..frames.health_rows import RecordPlaces, first_look, headline, health_checks, health_rows, health_unread
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION
from .cache_summary import CacheSummary
from .explorer import Explorer
from .health_table import HealthTable
from .picture_boards import health_board
from .record_line import RecordLine
from .sharing import is_alone
from .slices import in_background, in_slices

READ_ON_DEMAND = "read on demand"
"""The message by which the browser asks for the values that are not held."""


@register
class HealthReport(Explorer):
    """What looks wrong in a model that ran: ``display(HealthReport(model, x))``.

    NaN and Inf, scales that explode or vanish, dead and duplicated units, stuck gates, collapsed heads, unused slots:
    see ``mv.analysis.health.report``. Each finding is a row with its place, a sentence, and the value against its
    bound; a click or a key on it takes every linked view of the cache there, without the kernel.

    Args:
        source: an ``nn.Module``, or an ActivationCache that is already there (views of one cache are linked).
        x: the model's input, with a model only: a tensor, a tuple (positional arguments) or a mapping (keywords).
        link: share layer, channel, time ... with the other views of the cache; False gives an own cursor.
        on_demand: read also the values that are not held, which runs the model again or reads the disk and may take
            longer than the capture. Without it a button does so.
        tokens, image, layers, dims, budget, call, spill: as in ``ActivationCache.capture``, with a model only.

    Attributes:
        report: the findings (mv.analysis.health.HealthReport), newest when values were read on demand.
        rows: the same as plain data, a dict per row of the table (frames.entries.HealthRow).
        selection: the cursor (Selection) that the rows move.
        cache: the ActivationCache that was checked.
        table: the table (HealthTable): ``table.severities`` and ``table.kind`` say which rows are shown.

    Raises:
        SourceError: when source is neither a module nor a cache, or a cache that is still recording, or x is given with
            a cache.
        ClosedError: when source is a cache that was closed.
        UnknownOptionError: for a keyword that does not exist, with the nearest one.
        ForwardError: when the model's forward raises; ``HealthReport(error.cache)`` is about what ran before.
    """

    _model_name = Unicode("HealthReportModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("HealthReportView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    _subject = "health"
    table: Any = Instance(HealthTable, help="The table of findings.").tag(**widget_serialization)

    def __init__(
        self,
        source: nn.Module | ActivationCache,
        x: Any = None,
        *,
        link: bool = True,
        on_demand: bool = False,
        **options: Any,
    ) -> None:
        self._on_demand = on_demand
        super().__init__(source, x, link=link, **options)

    _task: asyncio.Task[None] | None = None

    @property
    def report(self) -> health.HealthReport:
        """What was found."""
        return self._report

    @property
    def rows(self) -> list[HealthRow]:
        """The rows of the table, worst first."""
        found: list[HealthRow] = self.table.rows
        return found

    def look_at(self, row: int, place: int = 0) -> None:
        """Move the selection to a finding, as a click on its row does.

        Args:
            row: Which row, 0 = the worst.
            place: Which of the places that it names, 0 = the first.

        Raises:
            SelectionError: when there is no such row or place.
            ClosedError: after ``close()``.
        """
        if self._cache is None:
            raise ClosedError("this report is closed; make another one to look again.")
        rows = self.rows
        if not 0 <= row < len(rows):
            raise SelectionError(f"no row {row}; the report has {len(rows)}, counted from 0. See report.rows.")
        _go(self.selection, rows[row], place)

    def close(self) -> None:
        """Close every widget of the view; the cache stays usable for whoever holds it. Again does nothing."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._cache is not None:
            self.table.on_msg(self._asked, remove=True)
        super().close()

    def __repr__(self) -> str:
        return super().__repr__() if self._cache is None else f"HealthReport({self.table.headline})"

    def _compose(self, selection: Selection) -> list[Widget]:
        self.table = HealthTable(selection=selection, checks=health_checks())
        self._write(selection, health.report(self.cache, on_demand=self._on_demand), on_demand=self._on_demand)
        self.table.on_msg(self._asked)
        if is_alone(self.cache, selection) and self.table.first >= 0:
            _go(selection, self.rows[self.table.first], 0)
        return [CacheSummary(selection=selection), self.table, RecordLine(selection=selection)]

    def _board(self, held_only: bool) -> Board:
        return health_board(self.table)

    def _write(self, selection: Selection, report: health.HealthReport, *, on_demand: bool) -> None:
        """Writes a report into the table."""
        self._report = report
        records, catalog = self.cache.records, selection.store.catalog
        places = RecordPlaces(records, catalog)
        first, advice = first_look(self._report, records)
        to_read = 0 if on_demand else sum(records[index].on_demand for index, _ in self._report.unread)
        with self.table.hold_sync():
            self.table.headline = headline(self._report, len(catalog["layers"]))
            self.table.first, self.table.advice = first, advice
            self.table.rows = health_rows(self._report, places)
            self.table.unread = health_unread(self._report, places)
            self.table.to_read = to_read

    def _asked(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """The button: read what is not held, too. Whatever goes wrong is shown under the view."""
        if content.get("type") != READ_ON_DEMAND or self.table.reading:
            return
        self.table.reading, self.table.read = True, 0
        self._task = in_background(self._read())
        if self._task is None:  # in a plain script, where nobody else waits for a turn
            with self._shown():
                for step in health.report_steps(self.cache, on_demand=True):
                    self._take(step)

    async def _read(self) -> None:
        """Place by place, with pauses for the kernel's other work."""
        with self._shown():
            steps = health.report_steps(self.cache, on_demand=True)
            await in_slices(lambda: self._take(next(steps)))

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Whatever goes wrong is shown: a callback has no caller. Afterwards nothing is being read any more."""
        store = self.selection.store
        try:
            if self.cache.closed:
                raise ClosedError("the cache was closed and its values are gone; capture again.")
            yield
        except Exception as error:
            store.problem = f"{type(error).__name__}: {error}"
        finally:
            if self._cache is not None:  # else the view was closed meanwhile
                self.table.reading = False
                store.summary = self.cache.summary

    def _take(self, step: health.HealthStep) -> bool:
        """Progress, or the report; whether more is to come."""
        if step.report is None:
            self.table.read = step.brought_back
        else:
            self._write(self.selection, step.report, on_demand=True)
        return step.report is None


def _go(selection: Selection, row: HealthRow, place: int) -> None:
    """Move the selection to a row; what the shown record has no axis for stays as it is."""
    if not 0 <= place < max(1, len(row["places"])):
        raise SelectionError(f"no place {place} in the row; it names {len(row['places'])}, counted from 0.")
    target = row["place"]
    if target["layer"] < 0:
        raise SelectionError(f"{target['label']} is in no layer that is shown, so no view can go there.")
    with selection.hold_sync():
        selection.layer = target["layer"]
        selection.step, selection.call = target["step"], target["call"]
        named = dict(row["at"], **({row["axis"]: row["places"][place]} if row["axis"] else {}))
        for axis, index in named.items():
            if index < selection.extent(axis):
                setattr(selection, axis, index)
