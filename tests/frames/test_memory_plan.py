"""Which records make up a memory, and the geometry of the pictures of its parts."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from memviz_widgets.frames import build_catalog, plan_record
from memviz_widgets.frames.memory_plan import MemoryRecords, plan_memory, read_phase, unit_dim

from .fake_cache import FakeCache
from .memory_world import AFTER, BEFORE, SLOTS, VECTOR, lstm, memory_cache, numbers, slots

SHAPES = [
    (VECTOR, (2, 5, 7), "channel", ["sample"]),
    (SLOTS, (2, 5, 4, 3), "slot", ["sample", "axis"]),
    (("batch", "time", "head", "slot"), (2, 5, 3, 4), "slot", ["sample", "head"]),
    (("batch", "time", "head", "width"), (2, 5, 3, 4), "width", ["sample", "head"]),
    (("batch", "time", "head", "mode"), (2, 5, 3, 4), "mode", ["sample", "head"]),
    (("batch", "time", "slot", "to"), (2, 5, 4, 4), "slot", ["sample", "axis"]),
    (("batch", "time", "head"), (2, 5, 3), "head", ["sample"]),
    (("batch", "head", "time", "channel"), (2, 3, 5, 8), "channel", ["sample", "head"]),
    (("batch", "time", "head", "channel", "state"), (2, 5, 3, 8, 4), "channel", ["sample", "head", "axis"]),
    (("time", "batch", "channel"), (5, 2, 7), "channel", ["sample"]),
]


@pytest.mark.parametrize(("dims", "shape", "units", "traits"), SHAPES, ids=str)
def test_units_stand_over_time(dims: tuple[str, ...], shape: tuple[int, ...], units: str, traits: list[str]) -> None:
    plan = plan_memory(dims, shape)
    assert plan.time is not None and plan.time.row is not None and plan.time.col is not None
    assert (plan.units, plan.time.row.dim, plan.time.col.dim) == (units, units, "time")
    assert (plan.time.full_rows, plan.time.full_cols) == (shape[dims.index(units)], 5)
    assert [axis.trait for axis in plan.time.axes] == traits


def test_a_memory_of_one_number_is_one_row() -> None:
    plan = plan_memory(("batch", "time"), (2, 5))
    assert plan.time is not None and (plan.units, plan.time.rows, plan.time.cols, plan.time.frames) == ("", 1, 5, 2)


@pytest.mark.parametrize(("dims", "shape"), [(VECTOR, (2, 1, 7)), (("batch", "slot"), (2, 4)), (VECTOR, (0, 5, 7))])
def test_without_two_timesteps_there_is_no_picture(dims: tuple[str, ...], shape: tuple[int, ...]) -> None:
    plan = plan_memory(dims, shape)
    assert (plan.time, plan.wrote, plan.wrote_unit, plan.reads) == (None, None, None, None)


def test_maps_are_of_timesteps_by_timesteps() -> None:
    plan = plan_memory(VECTOR, (2, 5, 7))
    assert plan.wrote is not None and plan.wrote.row is not None and plan.wrote.col is not None
    assert (plan.wrote.row.dim, plan.wrote.row.trait) == ("read at", "time")
    assert (plan.wrote.col.dim, plan.wrote.col.trait) == ("written at", "")
    assert plan.wrote_unit is not None and [axis.trait for axis in plan.wrote_unit.axes] == ["sample", "channel"]


def test_long_memory_is_pooled() -> None:
    time = plan_memory(VECTOR, (1, 100_000, 256)).time
    assert time is not None and (time.rows, time.cols, time.pool_cols) == (256, 1021, 98)


def test_state_of_a_matrix_is_a_picture_at_the_cursor() -> None:
    frame = plan_record(("batch", "time", "channel", "state"), (1, 5, 8, 4)).frame
    assert frame is not None and frame.row is not None and frame.col is not None
    assert (frame.row.dim, frame.col.dim, [axis.trait for axis in frame.axes]) == (
        "channel",
        "state",
        ["sample", "time"],
    )


def test_units_of_other_dims() -> None:
    assert [
        unit_dim(dims) for dims in (("time", "foo", "bar"), ("batch", "time"), ("batch", "head", "query", "slot"))
    ] == [
        "bar",
        "",
        "slot",
    ]


def test_law_is_found_for_every_part_of_a_memory() -> None:
    cache = memory_cache(lstm())
    memories = MemoryRecords(cache.records)
    for record in cache.records:
        found = memories.law(record)
        assert found is not None and (found[0].kind, found[1].keep) == ("cell", ("gate.f",))


def test_there_is_no_law_without_a_gate_or_when_it_has_no_values() -> None:
    cache = memory_cache(lstm())
    cache.change(2, kept=False)
    assert MemoryRecords(cache.records).law(cache.records[0]) is None


def test_parts_of_other_steps_and_sizes_are_not_taken() -> None:
    cache = memory_cache(lstm())
    cache.change(2, step=1)
    assert MemoryRecords(cache.records).law(cache.records[0]) is None
    cache.change(2, step=0, shape=(2, 7, 4))
    assert MemoryRecords(cache.records).law(cache.records[0]) is None


def test_each_of_two_states_has_its_own_keep() -> None:
    part = (numbers(1, 4, 3), VECTOR)
    names = ("state:num", "state:den", "keep:num", "keep:den", "write:num", "write:den")
    cache = memory_cache(dict.fromkeys(names, part))
    memories = MemoryRecords(cache.records)
    found = memories.law(cache.records[3])
    assert found is not None and found[0].item == "den"
    assert [each.item for each in memories.parts(found[0], "write")] == ["den"]


def test_heads_with_items_of_their_own_are_all_taken() -> None:
    parts = slots()
    weights = parts.pop("write_weights")
    cache = memory_cache(parts | {"write_weights:head0": weights, "write_weights:head1": weights})
    memories = MemoryRecords(cache.records)
    assert [each.item for each in memories.parts(cache.records[0], "write_weights")] == ["head0", "head1"]
    assert memories.law(cache.records[0]) is None, "four heads that write, two that erase"


def test_joined_records_stand_for_their_parts() -> None:
    cache = memory_cache(
        {"hidden": (torch.ones(2, 3), ("batch", "channel")), "hidden:all": (torch.ones(2, 4, 3), VECTOR)}
    )
    cache.change(1, parts=(0,), item="")
    memories = MemoryRecords(cache.records)
    assert (memories.hidden, memories.by_label["enc l0"]) == ({0}, [cache.records[1]])


@pytest.mark.parametrize(("note", "phase"), [(AFTER, "after_write"), (f"x; {BEFORE}", "before_write"), ("", "")])
def test_phase_is_read_from_the_note(note: str, phase: str) -> None:
    cache = memory_cache(slots())
    cache.change(4, note=note)
    assert read_phase(cache.records[4]) == phase


def test_thousands_of_calls_are_told_apart_in_a_moment() -> None:
    parts = lstm(batch=1, steps=2, units=2)
    cache = FakeCache(*list(parts.values()) * 1000)
    cache.records = tuple(
        replace(record, kind=list(parts)[index % 5], call=index // 5, memory="enc", stats=None)
        for index, record in enumerate(cache.records)
    )
    started = time.process_time()
    catalog = build_catalog(cache)
    assert time.process_time() - started < 3, "0.3 s alone; by comparing all with all it would be minutes"
    assert all(record["memory"] and record["memory"]["wrote"] for record in catalog["records"])
