"""The sizes in docs/scale.md that no machine here holds are those of its arithmetic, and the arithmetic holds.

What needs the network of 70B weights needs transformers; ``python -m tests.benchmarks.scale`` does it all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import memviz_widgets as mv

from .benchmarks import scale
from .benchmarks.scale_capture import CHOICES, LLAMA_70B, TOKENS, by_kind
from .benchmarks.scale_requests import compared, full_scale, in_a_folder
from .benchmarks.scale_store import Layout, billion
from .benchmarks.scale_tables import PAGE, TABLES, WITH_TRANSFORMERS, duration, placed
from .test_docs import DOCS, run

pytest.importorskip("zarr")


@pytest.mark.parametrize("name", TABLES)
def test_the_page_shows_what_the_arithmetic_says(name: str) -> None:
    if name in WITH_TRANSFORMERS:
        pytest.importorskip("transformers")
    page = PAGE.read_text(encoding="utf-8")
    assert placed(page, name, TABLES[name]()) == page, "write it: python -m tests.benchmarks.scale --write"


@pytest.mark.parametrize("layout", scale.SIMULATED, ids=lambda layout: f"{layout.rows}-{layout.layers[0].channels}")
def test_a_data_set_is_written_and_read_as_the_arithmetic_says(layout: Layout) -> None:
    checks = [*compared(layout), in_a_folder(layout)[0]]
    assert len(checks) == 8
    assert [check for check in checks if not check.agree] == []


def test_a_store_of_a_billion_samples_opens_with_three_requests() -> None:
    assert [check for check in full_scale(billion(1 << 26)) if not check.agree] == []


WRONG: list[tuple[str, Callable[[Layout], object]]] = [
    ("recorded", lambda layout: layout.recording()._replace(puts=layout.recording().puts + 1)),
    ("opened", lambda layout: layout.opening()._replace(nbytes=layout.opening().nbytes - 9000)),
    ("one sample", lambda layout: layout.one_sample(layout.layers[1])),
    ("one channel of all samples", lambda layout: replace(layout, rows=layout.rows - 1).one_channel(layout.layers[0])),
]


@pytest.mark.parametrize(("what", "said"), WRONG)
def test_arithmetic_that_is_wrong_is_noticed(
    what: str, said: Callable[[Layout], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = scale.SIMULATED[2]
    names = {"recorded": "recording", "opened": "opening", "one sample": "one_sample"}
    other = said(layout)
    monkeypatch.setattr(Layout, names.get(what, "one_channel"), lambda self, *layer: other)
    assert what in [check.what for check in compared(layout) if not check.agree]


def test_a_capture_of_70b_weights_costs_what_the_arithmetic_says() -> None:
    pytest.importorskip("transformers")
    checks = list(scale.network_checks())
    assert len(checks) == 4 + 2 * len(CHOICES) - 1
    assert [check for check in checks if not check.agree] == []
    assert by_kind(replace(LLAMA_70B, inner=28_673), TOKENS) != by_kind(LLAMA_70B, TOKENS)


def test_the_price_in_the_page_is_the_price() -> None:
    said = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("price = "))
    price = run(DOCS / "scale.md")["price"]
    assert isinstance(price, mv.cache.estimate.Estimate)
    assert said.split("  # ")[1] == str(price).splitlines()[0]


def test_seconds_as_text() -> None:
    seconds = (0.0001, 0.102, 4, 121, 7300, 200_000)
    assert [duration(each) for each in seconds] == ["at once", "102 ms", "4 s", "2 min", "2 h", "2 days"]
