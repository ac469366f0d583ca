"""docs/measures.md: every measure of memory is in it, and its code gives what its comments say."""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path

import pytest

from memviz_widgets.analysis import health, memory
from tests.test_docs import DOCS, run

GUIDE = DOCS / "measures.md"


def test_every_measure_is_in_the_table() -> None:
    named = set(re.findall(r"\w+", GUIDE.read_text(encoding="utf-8").split("## The measures")[1]))
    assert {name for name in memory.__all__ if inspect.isfunction(getattr(memory, name))} <= named


def test_the_code_gives_what_its_comments_say() -> None:
    names = run(Path(GUIDE))
    first = names["first"]
    assert (first.path, first.kind, first.channel) == ("2", "non-finite", 3) and first.kind in health.KINDS
    assert names["horizon"].horizon < names["horizon"].far_horizon < 50
    assert memory.time_constants(names["gate"]).median().item() == pytest.approx(1.44, abs=0.05)
    point = names["guess"].points[0]
    assert point.accuracy == pytest.approx(point.chance, abs=0.2) and math.isnan(names["guess"].d50)
    assert names["failure"].verdict == "decayed" and "0.37" in names["failure"].sentences[0]
    names["lab"].close()
    assert names["kept"].ratio.amax().item() == pytest.approx(1)
    assert names["found"].total_above_floor == pytest.approx(5, abs=0.01) and names["found"].rank == 5
    size = names["recall"].state_size((names["keys"], names["keys"]))
    assert (size.elements, size.held_bytes) == (8192, 32768)
