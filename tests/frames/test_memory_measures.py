"""Time constants, orders of units, saturation and retention: closed forms, missing data, long recordings."""

from __future__ import annotations

import math
import time
from itertools import pairwise

import numpy as np
import pytest
import torch

from memviz_widgets.analysis.memory import retention, time_constants
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames import PageSource
from memviz_widgets.frames.memory_orders import alike_order, runs_of

from .fake_cache import FakeLazy
from .memory_world import AFTER, VECTOR, Part, constant_gate, lstm, memory_cache, numbers, page_of, run, slots


def test_units_by_timescale_with_their_time_constants() -> None:
    page = page_of(memory_cache(constant_gate([0.5, 0.99, 0.9])), 0, "units")
    assert page.shape == (3, 1, 3) and page.dtype == "float32" and not page.sampled
    assert page.cells[0, 0].tolist() == pytest.approx([1.4427, 99.4992, 9.4912], abs=1e-4)
    assert page.cells[1, 0].tolist() == [1, 2, 0], "the unit of each row, the slowest first"


def test_time_constants_are_of_their_own_sample() -> None:
    parts = lstm()
    gates = parts["gate.f"][0]
    assert isinstance(gates, torch.Tensor)
    found = page_of(memory_cache(parts), 0, "units", page=1).cells[0, 0]
    np.testing.assert_allclose(found, time_constants(gates[1]).numpy(), rtol=1e-6)


def test_all_parts_with_the_same_units_are_ordered_alike() -> None:
    cache = memory_cache(lstm())
    tables = [page_of(cache, index, "units").cells for index in range(5)]
    assert all(np.array_equal(each, tables[0]) for each in tables)


def test_parts_with_other_units_have_an_order_of_their_own() -> None:
    table = page_of(memory_cache(slots()), 2, "units").cells  # erase: its units are the width
    assert table.shape == (3, 1, 3) and np.isnan(table[0]).all()
    assert sorted(table[1, 0].tolist()) == sorted(table[2, 0].tolist()) == [0, 1, 2]


def test_without_a_gate_slow_units_are_those_like_themselves_a_step_before() -> None:
    fast, slow = torch.tensor([1.0, -1.0]).repeat(8), torch.linspace(-1, 1, 16)
    states = torch.stack([fast, torch.zeros(16), slow], -1)[None]
    table = page_of(memory_cache({"hidden": (states, VECTOR)}), 0, "units").cells
    assert np.isnan(table[0]).all() and table[1, 0].tolist() == [2, 0, 1], "a unit that never changes is last"


def test_keep_beyond_1_has_no_time_constant() -> None:
    keep = torch.tensor([0.5, 1.5]).expand(1, 4, 2).double()
    content = run(keep, torch.ones(1, 4, 2), torch.zeros(1, 2))
    parts: dict[str, Part] = {
        "state": (content, VECTOR),
        "keep": (keep, VECTOR),
        "write": (torch.ones(1, 4, 2), VECTOR),
    }
    assert np.isnan(page_of(memory_cache(parts), 0, "units").cells[0]).all()


def test_alike_units_become_neighbours() -> None:
    base = numbers(50, 3)
    scrambled = [0, 1, 2, 0, 1, 2, 0, 1, 2]
    series = base[:, scrambled] + 0.01 * numbers(50, 9, seed=1)
    order = alike_order([series.unsqueeze(1)])
    kinds = [scrambled[unit] for unit in order.tolist()]
    assert sorted(order.tolist()) == list(range(9))
    assert sum(one != other for one, other in pairwise(kinds)) == 2, kinds


def test_order_of_units_that_never_change() -> None:
    assert alike_order([torch.ones(5, 1, 3)]).tolist() == [0, 1, 2]


def test_4096_units_are_ordered_while_one_waits() -> None:
    series = [numbers(512, 1, 4096)]
    started = time.process_time()
    order = alike_order(series)
    assert sorted(order.tolist()) == list(range(4096)) and time.process_time() - started < 3, "0.4 s alone"


def test_saturation_counts_steps() -> None:
    gate = torch.tensor([[0.05, 0.95], [0.05, 0.5], [0.95, 0.5], [0.5, 0.95]])[None]
    page = page_of(memory_cache({"gate.f": (gate, VECTOR)}), 0, "saturation")
    assert page.cells.tolist() == [[[0.5, 0.0]], [[0.25, 0.5]]]


def test_steps_without_data_do_not_count() -> None:
    gate = torch.tensor([0.05, 0.5, math.nan, math.nan]).reshape(1, 4, 1)
    assert page_of(memory_cache({"gate.i": (gate, VECTOR)}), 0, "saturation").cells.tolist() == [[[0.5]], [[0.0]]]
    nothing = torch.full((1, 4, 1), math.nan)
    assert np.isnan(page_of(memory_cache({"gate.i": (nothing, VECTOR)}), 0, "saturation").cells).all()


def test_saturation_of_one_gate_per_head() -> None:
    gate = torch.tensor([[0.0, 1.0], [0.0, 1.0]])[None]
    page = page_of(memory_cache({"gate.free": (gate, ("batch", "time", "head"))}), 0, "saturation")
    assert page.cells.tolist() == [[[1.0, 0.0]], [[0.0, 1.0]]]


@pytest.mark.parametrize("kind", ["gate.g", "cell"])
def test_what_is_no_gate_of_a_sigmoid_is_not_saturated(kind: str) -> None:
    with pytest.raises(PageRefusedError, match=rf"'enc {kind}' has no saturation: that is of gates of 0..1\."):
        page_of(memory_cache({kind: (torch.zeros(1, 4, 2), VECTOR)}), 0, "saturation")


def test_retention_of_constant_gates() -> None:
    page = page_of(memory_cache(constant_gate([0.5, 0.9], steps=6)), 0, "retention")
    assert page.shape == (3, 1, 6)
    lags = np.arange(6)
    np.testing.assert_allclose(page.cells[1, 0], 0.5**lags, rtol=1e-6)
    np.testing.assert_allclose(page.cells[2, 0], 0.9**lags, rtol=1e-6)
    np.testing.assert_allclose(page.cells[0, 0], (0.5**lags + 0.9**lags) / 2, rtol=1e-6)


def test_retention_is_that_of_the_analysis_forwards_and_backwards() -> None:
    parts = lstm(steps=12)
    gates = parts["gate.f"][0]
    assert isinstance(gates, torch.Tensor)
    expected = retention(gates[0]).curve.T.numpy()
    np.testing.assert_allclose(page_of(memory_cache(parts), 0, "retention").cells[1:, 0], expected, rtol=1e-5)
    turned = {kind: (part.flip(1), dims) for kind, (part, dims) in parts.items() if isinstance(part, torch.Tensor)}
    found = page_of(memory_cache(turned, item="l0_reverse"), 0, "retention").cells[1:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_lags_beyond_a_short_sample_are_nan() -> None:
    parts = constant_gate([0.5], steps=5)
    for part, _ in parts.values():
        assert isinstance(part, torch.Tensor)
        part[:, 3:] = math.nan
    curve = page_of(memory_cache(parts), 0, "retention").cells[1, 0]
    np.testing.assert_allclose(curve[:3], [1, 0.5, 0.25])
    assert np.isnan(curve[3:]).all()


def test_retention_of_slots_is_a_mean_over_the_width() -> None:
    page = page_of(memory_cache(slots()), 0, "retention")
    assert page.shape == (5, 1, 5) and page.cells[:, 0, 0].tolist() == [1] * 5


def test_only_the_content_has_a_retention() -> None:
    cache = memory_cache(lstm())
    with pytest.raises(PageRefusedError, match=r"'enc gate.f' has no retention: that is of the content of a memory"):
        page_of(cache, 2, "retention")
    with pytest.raises(PageRefusedError, match="'enc hidden' has no retention"):
        page_of(memory_cache({"hidden": (torch.zeros(1, 4, 2), VECTOR)}), 0, "retention")


def test_long_memories_are_looked_at_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz_widgets.frames.memory_orders.MEASURED_CELLS", 2**10)
    monkeypatch.setattr("memviz_widgets.frames.memory_measures.RETENTION_CELLS", 2**18)
    steps = 4000
    f = torch.tensor([0.5, 0.9]).expand(1, steps, 2)
    lazy = {kind: (FakeLazy(f), VECTOR) for kind in ("cell", "gate.i", "gate.f", "gate.g")}
    cache = memory_cache(lazy)
    units = page_of(cache, 0, "units")
    assert units.sampled and units.cells[0, 0].tolist() == pytest.approx([1.4427, 9.4912], abs=1e-3)
    kept = page_of(cache, 0, "retention")
    assert kept.sampled and kept.shape == (3, 1, 256)
    np.testing.assert_allclose(kept.cells[2, 0], 0.9 ** np.arange(256.0), rtol=1e-5)
    saturated = page_of(cache, 2, "saturation")
    assert saturated.sampled and saturated.cells[1].tolist() == [[0, 0]]
    assert all(value.most_read <= 1024 for value, _ in lazy.values() if value.reads), "of 8,000 numbers"


def test_runs_are_even_and_of_the_number_wanted() -> None:
    assert runs_of(10, 10) == [slice(0, 10)]
    runs = runs_of(1000, 64)
    assert len(runs) == 32 and (runs[0].start, runs[-1].stop) == (0, 1000)
    assert {each.stop - each.start for each in runs} == {2}


def test_tables_are_computed_once() -> None:
    cache = memory_cache(lstm())
    lazy = FakeLazy(cache.values[2])  # type: ignore[arg-type]
    cache.values[2] = lazy
    source = PageSource(cache)
    source.page(0, "units", 0)
    read = len(lazy.reads)
    source.page(0, "timescale", 0)
    source.page(0, "units", 0)
    assert len(lazy.reads) == read + 1, "sample 1 only"


def test_reads_have_no_units_of_one_step() -> None:
    cache = memory_cache({"read_weights": (torch.ones(1, 1, 1, 3), ("batch", "time", "head", "slot"))})
    cache.change(0, note=AFTER)
    with pytest.raises(PageRefusedError, match="has no units: it has fewer than two timesteps"):
        page_of(cache, 0, "units")
