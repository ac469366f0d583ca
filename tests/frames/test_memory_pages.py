"""Units over time in three orders, exact numbers, residuals, and the sentences of refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.errors import NotKeptError, PageRefusedError
from memviz_widgets.frames import PageSource, build_catalog
from memviz_widgets.frames.page import MEMORY_KINDS

from .fake_cache import FakeCache, FakeLazy
from .memory_world import (
    AFTER,
    CACHED,
    SLOTS,
    VECTOR,
    constant_gate,
    half_step,
    lstm,
    memory_cache,
    numbers,
    page_of,
    shown,
    slots,
)


def test_units_over_time_are_the_record_on_its_side() -> None:
    states = numbers(2, 5, 3)
    page = page_of(memory_cache({"hidden": (states, VECTOR)}), 0, "time")
    np.testing.assert_allclose(shown(page), states.mT.numpy(), atol=half_step(page))


@pytest.mark.parametrize("kind", ["timescale", "similarity"])
def test_rows_stand_in_the_order_of_the_table(kind: str) -> None:
    parts = lstm(batch=3)
    source = PageSource(memory_cache(parts))
    page = source.page(0, kind, 0)
    cell = parts["cell"][0]
    assert isinstance(cell, torch.Tensor)
    for sample in range(3):
        order = source.page(0, "units", sample).cells[1 if kind == "timescale" else 2, 0].astype(int)
        np.testing.assert_allclose(shown(page)[sample], cell[sample].T[order].numpy(), atol=half_step(page))


@pytest.mark.parametrize("kind", ["time", "timescale"])
def test_number_of_a_cell_has_the_index_of_its_unit(kind: str) -> None:
    parts = constant_gate([0.5, 0.99, 0.9])
    cell = parts["cell"][0]
    assert isinstance(cell, torch.Tensor)
    source = PageSource(memory_cache(parts))
    value = source.value(0, 0, 0, 3, kind)
    unit = 0 if kind == "time" else 1
    assert value.index == (0, 3, unit) and value.number == cell[0, 3, unit].item()


def test_axes_of_slots_are_sample_and_width() -> None:
    memory = numbers(2, 5, 4, 3)
    cache = memory_cache({"memory": (memory, SLOTS)})
    page = page_of(cache, 0, "time")
    assert page.shape == (6, 4, 5)
    np.testing.assert_allclose(shown(page)[1 * 3 + 2], memory[1, :, :, 2].T.numpy(), atol=half_step(page))
    assert PageSource(cache).value(0, 1 * 3 + 2, 3, 4, "time").index == (1, 4, 3, 2)


def test_many_units_are_pooled_in_their_order() -> None:
    steps, units = 3, 2048
    keep = torch.linspace(0.1, 0.9, units)[torch.randperm(units, generator=torch.Generator().manual_seed(0))]
    f = keep.expand(1, steps, units)
    parts = dict.fromkeys(("cell", "gate.i", "gate.f", "gate.g"), (f, VECTOR))
    source = PageSource(memory_cache(parts))
    page = source.page(0, "timescale", 0)
    assert page.shape == (1, 1024, 3)
    expected = keep.sort(descending=True).values.reshape(1024, 2).amax(1)
    np.testing.assert_allclose(shown(page)[0, :, 0], expected.numpy(), atol=half_step(page))
    value = source.value(0, 0, 1023, 2, "timescale")
    assert value.number == pytest.approx(expected[-1].item()) and keep[value.index[2]] == expected[-1]


def test_recovered_values_are_read_by_timesteps() -> None:
    lazy = FakeLazy(numbers(1, 5000, 300))
    page = page_of(memory_cache({"cell": (lazy, VECTOR)}), 0, "time")
    assert page.shape == (1, 300, 1000)
    assert all(shape[-1] == 300 for shape in lazy.reads) and len(lazy.reads) == 2


def test_every_page_of_the_catalog_can_be_had() -> None:
    caches = [memory_cache(lstm()), memory_cache(slots())]
    caches[1].change(4, note=AFTER)
    for cache in caches:
        source = PageSource(cache)
        for index, record in enumerate(build_catalog(cache)["records"]):
            memory = record["memory"]
            assert memory is not None
            for kind in ("time", "wrote", "wrote_unit", "reads"):
                entry = memory[kind]
                if entry is not None:
                    pages = -(-entry["frames"] // entry["frames_per_page"])
                    shapes = [source.page(index, kind, page).shape for page in range(pages)]
                    assert sum(shape[0] for shape in shapes) == entry["frames"], kind
                    assert {shape[1:] for shape in shapes} == {(entry["rows"], entry["cols"])}, kind


def test_nothing_is_read_before_it_is_asked_for() -> None:
    value = FakeLazy(torch.rand(1, 4, 4))
    cache = memory_cache({"cell": (value, VECTOR)})
    build_catalog(cache)
    PageSource(cache)
    assert value.reads == []


def test_residual_is_that_known_after_the_value_was_read() -> None:
    cache = memory_cache(lstm())
    given = cache.value

    def value(record: object) -> object:
        cache.change(0, residual=3e-3)
        return given(record)  # type: ignore[arg-type]

    cache.value = value  # type: ignore[method-assign, assignment]
    source = PageSource(cache)
    assert source.page(0, "time", 0).residual == source.page(0, "frame", 0).residual == 3e-3
    assert source.page(0, "wrote", 0).residual == 3e-3
    assert source.page(1, "time", 0).residual is None


def test_residual_of_a_joined_record_is_the_largest_of_its_parts() -> None:
    cache = memory_cache({"hidden": (torch.ones(2, 3), ("batch", "channel")), "hidden:all": (numbers(2, 4, 3), VECTOR)})
    cache.change(0, residual=1e-7)
    cache.change(1, parts=(0,))
    assert page_of(cache, 1, "time").residual == 1e-7


def test_hovering_a_map_computes_it_once() -> None:
    cache = memory_cache(lstm())
    lazy = FakeLazy(cache.values[0])  # type: ignore[arg-type]
    cache.values[0] = lazy
    source = PageSource(cache)
    source.page(0, "wrote", 0)
    read = len(lazy.reads)
    source.value(0, 1, 2, 1, "wrote")
    assert len(lazy.reads) == read


@pytest.mark.parametrize("kind", MEMORY_KINDS)
def test_what_is_no_part_of_a_memory_has_no_such_page(kind: str) -> None:
    source = PageSource(FakeCache((torch.ones(2, 3), ("time", "channel"))))
    with pytest.raises(PageRefusedError, match=rf"record 'conv' has no {kind}: it is no part of a memory\."):
        source.page(0, kind, 0)
    with pytest.raises(PageRefusedError, match=rf"record 'conv' has no {kind}: it is no part of a memory\."):
        source.value(0, 0, 0, 0, kind)


REFUSALS = [
    ("wrote", "its memory has no parts that say what a step keeps and writes"),
    ("wrote_unit", "its memory has no parts that say what a step keeps and writes, or other units"),
    ("reads", "that is of read weights over slots, when it is known what a step keeps and what reads see"),
    ("entries", r"that is of the keys of a cache, \(batch, head, time, channel\)"),
]


@pytest.mark.parametrize(("kind", "why"), REFUSALS)
def test_refusals_say_what_is_missing(kind: str, why: str) -> None:
    with pytest.raises(PageRefusedError, match=f"record 'enc hidden' has no {kind}: {why}"):
        page_of(memory_cache({"hidden": (torch.ones(1, 3, 2), VECTOR)}), 0, kind)


def test_other_pages_and_cells_are_refused() -> None:
    source = PageSource(memory_cache(lstm()))
    with pytest.raises(PageRefusedError, match=r"record 'enc cell' has units pages 0 .. 1, got 2\."):
        source.page(0, "units", 2)
    with pytest.raises(PageRefusedError, match="units of record 'enc cell' are measures, without cells"):
        source.value(0, 0, 0, 0, "units")
    with pytest.raises(PageRefusedError, match=r"has frames 0 .. 1 of 6 x 6 cells, got frame 2, cell \(0, 0\)"):
        source.value(0, 2, 0, 0, "wrote")


def test_part_without_values_is_named() -> None:
    cache = memory_cache(lstm())
    given = cache.value

    def value(record: object) -> object:
        if record is cache.records[1]:
            raise NotKeptError("'enc gate.i' has no values here")
        return given(record)  # type: ignore[arg-type]

    cache.value = value  # type: ignore[method-assign, assignment]
    with pytest.raises(PageRefusedError, match=r"'enc gate.i' has no values here"):
        page_of(cache, 0, "wrote")


def test_cached_keys_are_units_over_time_per_head() -> None:
    keys = numbers(1, 2, 5, 3)
    page = page_of(memory_cache({"key": (keys, CACHED)}), 0, "time")
    np.testing.assert_allclose(shown(page), keys[0].mT.numpy(), atol=half_step(page))
