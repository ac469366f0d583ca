"""Every model of the zoo: the health report raises nothing, reads everything, and leads to layers that are shown."""

from __future__ import annotations

import json

from memviz_widgets.analysis import health
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.health_rows import RecordPlaces, first_look, headline, health_rows, health_unread

from .runs import Runs


def test_health_report(runs: Runs) -> None:
    report = health.report(runs.cache)
    assert report.records == len(runs.cache.records) and report.unread == ()
    assert [each.sentence for each in report.findings if each.severity == "error"] == []


def test_rows_of_the_health_report(runs: Runs) -> None:
    records, catalog = runs.cache.records, build_catalog(runs.cache)
    report, places = health.report(runs.cache), RecordPlaces(runs.cache.records, catalog)
    rows, unread = health_rows(report, places), health_unread(report, places)
    assert json.loads(json.dumps([rows, unread], allow_nan=False)) == [rows, unread]
    shown = [places.of(record.index) for record in records]
    assert all(0 <= place["layer"] < len(catalog["layers"]) for place in shown)
    for row in rows:
        record = catalog["layers"][row["place"]["layer"]]["records"][row["place"]["step"]][row["place"]["call"]]
        extents = catalog["records"][record]["extents"]
        named = {**row["at"], **({row["axis"]: max(row["places"])} if row["axis"] else {})}
        assert all(index < extents[axis] for axis, index in named.items())
    first, advice = first_look(report, records)
    assert (first >= 0) == bool(rows) == bool(advice)
    assert headline(report, len(catalog["layers"])).endswith("wrong." if not rows else "layers")
