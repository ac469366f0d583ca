"""Who wrote what: closed forms, brute force, what there is no data for, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.analysis.memory import keep_and_write, provenance, read_provenance
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames import PageSource
from memviz_widgets.frames.memory_plan import MOST_STEPS
from memviz_widgets.frames.quantise import NAN_CODE, NEG_INF_CODE

from .fake_cache import FakeLazy
from .memory_world import (
    AFTER,
    BEFORE,
    VECTOR,
    Part,
    constant_gate,
    half_step,
    lstm,
    memory_cache,
    numbers,
    page_of,
    run,
    shares_by_hand,
    shown,
    slots,
)


def tensors(parts: dict[str, Part]) -> dict[str, torch.Tensor]:
    return {kind: part for kind, (part, _) in parts.items() if isinstance(part, torch.Tensor)}


def test_constant_gate_leaves_powers_of_it() -> None:
    page = page_of(memory_cache(constant_gate([0.5])), 0, "wrote")
    row = np.array([0.125, 0.25, 0.5, 1]) / 1.875
    np.testing.assert_allclose(shown(page)[0, 3, :4], row, atol=half_step(page))
    assert (page.lows[0], page.highs[0]) == (0, 1) and page.residual is not None and page.residual < 1e-12


def test_zero_is_a_code_of_its_own() -> None:
    page = page_of(memory_cache(constant_gate([0.5])), 0, "wrote")
    assert (page.cells[0][np.triu_indices(5, 1)] == NEG_INF_CODE).all(), "later steps wrote nothing yet"
    assert (page.cells[0][np.tril_indices(5)] != NEG_INF_CODE).all()


@pytest.mark.parametrize("sample", [0, 1])
def test_lstm_by_brute_force(sample: int) -> None:
    parts = lstm()
    given = tensors(parts)
    page = page_of(memory_cache(parts), 0, "wrote")
    f, written = given["gate.f"][sample], (given["gate.i"] * given["gate.g"])[sample]
    by_hand = shares_by_hand(f, written, given["cell"][sample])
    np.testing.assert_allclose(shown(page)[sample], by_hand.numpy(), atol=half_step(page))
    assert page.residual is not None and page.residual < 1e-14


def test_one_unit_by_brute_force() -> None:
    parts = lstm()
    given = tensors(parts)
    source = PageSource(memory_cache(parts))
    f, written, cell = (
        given["gate.f"][1, :, 2:3],
        (given["gate.i"] * given["gate.g"])[1, :, 2:3],
        given["cell"][1, :, 2:3],
    )
    by_hand = shares_by_hand(f, written, cell)
    for read_at, written_at in ((0, 0), (5, 3), (4, 4)):
        cell_value = source.value(0, 1 * 4 + 2, read_at, written_at, "wrote_unit")
        assert cell_value.number == pytest.approx(by_hand[read_at, written_at].item(), abs=1e-7)
        assert cell_value.index == (read_at, written_at)


def test_every_part_of_a_memory_shows_the_same_map() -> None:
    cache = memory_cache(lstm())
    maps = [page_of(cache, index, "wrote").cells for index in range(5)]
    assert all(np.array_equal(each, maps[0]) for each in maps)


def test_constant_memory_was_written_by_nobody() -> None:
    ones, zeros = torch.ones(1, 4, 3).double(), torch.zeros(1, 4, 3).double()
    cache = memory_cache({"state": (ones, VECTOR), "keep": (ones, VECTOR), "write": (zeros, VECTOR)})
    for kind in ("wrote", "wrote_unit"):
        page = page_of(cache, 0, kind)
        assert (page.cells == NEG_INF_CODE).all() and page.highs[0] == 0 and page.residual == 0, kind


def test_slots_of_two_heads_by_brute_force() -> None:
    parts = slots()
    keep, write, content = keep_and_write(tensors(parts))
    cache = memory_cache(parts)
    page = page_of(cache, 0, "wrote")
    by_hand = shares_by_hand(keep[1], write[1], content[1])
    np.testing.assert_allclose(shown(page)[1], by_hand.numpy(), atol=half_step(page))
    slot = PageSource(cache).value(0, 1 * 4 + 3, 4, 2, "wrote_unit")
    assert slot.number == pytest.approx(
        shares_by_hand(keep[1, :, 3], write[1, :, 3], content[1, :, 3])[4, 2].item(), abs=1e-7
    )


def test_heads_that_are_modules_of_their_own_write_in_order() -> None:
    parts = slots()
    apart: dict[str, Part] = {"memory": parts["memory"]}
    for kind in ("write_weights", "erase", "add"):
        values, dims = parts[kind]
        assert isinstance(values, torch.Tensor)
        for head in range(2):
            apart[f"{kind}:head{head}"] = values[:, :, head : head + 1], dims
    assert np.array_equal(
        page_of(memory_cache(apart), 0, "wrote").cells, page_of(memory_cache(parts), 0, "wrote").cells
    )


@pytest.mark.parametrize(("note", "phase"), [(AFTER, "after_write"), (BEFORE, "before_write")])
def test_reads_are_those_of_the_analysis(note: str, phase: str) -> None:
    parts = slots()
    keep, write, content = keep_and_write(tensors(parts))
    cache = memory_cache(parts)
    cache.change(4, note=note)
    left = content[:, 0] - write[:, 0]
    keep[:, 0] = 1
    reads = parts["read_weights"][0]
    assert isinstance(reads, torch.Tensor)
    share = read_provenance(reads, keep, write, phase, initial=left).share
    page = page_of(cache, 4, "reads")
    assert page.shape == (4, 5, 5), "a map per sample and head"
    np.testing.assert_allclose(shown(page), share.flatten(0, 1).numpy(), atol=half_step(page))


def test_shares_agree_with_the_provenance_of_the_analysis() -> None:
    given = tensors(lstm())
    keep, write, content = (part.transpose(0, 1) for part in keep_and_write(given))
    left = content[0] - write[0]
    keep = keep.clone()
    keep[0] = 1
    found = provenance(keep, write, initial=left, content=content)
    page = page_of(memory_cache(lstm()), 0, "wrote")
    np.testing.assert_allclose(shown(page), found.share.numpy(), atol=half_step(page))


def test_reverse_direction_was_written_from_the_other_end() -> None:
    parts = {kind: (part.flip(1), dims) for kind, (part, dims) in lstm().items() if isinstance(part, torch.Tensor)}
    backwards = page_of(memory_cache(parts, item="l0_reverse"), 0, "wrote")
    forwards = page_of(memory_cache(lstm()), 0, "wrote")
    assert np.array_equal(backwards.cells, forwards.cells[:, ::-1, ::-1])
    assert backwards.residual is not None and backwards.residual < 1e-12


def test_steps_beyond_the_end_of_a_sample_have_no_data() -> None:
    parts = {kind: (part.clone(), dims) for kind, (part, dims) in lstm().items() if isinstance(part, torch.Tensor)}
    for part, _ in parts.values():
        part[1, 4:] = torch.nan
    page = page_of(memory_cache(parts), 0, "wrote")
    assert (page.cells[1, 4:] == NAN_CODE).all() and (page.cells[1, :, 4:] == NAN_CODE).all()
    short = lstm()
    assert np.array_equal(page.cells[0], page_of(memory_cache(short), 0, "wrote").cells[0])
    assert (page.cells[1, :4, :4] != NAN_CODE).all()


def test_gates_of_another_run_have_a_residual() -> None:
    parts = lstm()
    other = numbers(2, 6, 4, seed=9).sigmoid()
    page = page_of(memory_cache(parts | {"gate.f": (other, VECTOR)}), 0, "wrote")
    assert page.residual is not None and page.residual > 0.1


def test_negative_keep_is_right_too() -> None:
    keep, write = numbers(1, 5, 3), numbers(1, 5, 3, seed=1)
    content = run(keep, write, numbers(1, 3, seed=2))
    page = page_of(
        memory_cache({"state": (content, VECTOR), "keep": (keep, VECTOR), "write": (write, VECTOR)}), 0, "wrote"
    )
    by_hand = shares_by_hand(keep[0], write[0], content[0])
    np.testing.assert_allclose(shown(page)[0], by_hand.numpy(), atol=half_step(page))


def test_matrix_state_with_a_keep_per_head_and_its_units() -> None:
    dims = ("batch", "time", "head", "channel", "state")
    keep, write = numbers(1, 4, 2, 1, 1).sigmoid(), numbers(1, 4, 2, 3, 5, seed=1)
    content = run(keep, write, torch.zeros(1, 2, 3, 5).double())
    cache = memory_cache({"state": (content, dims), "keep": (keep, dims), "write": (write, dims)})
    value = PageSource(cache).value(0, 1, 3, 1, "wrote_unit")
    by_hand = shares_by_hand(keep[0], write[0][:, :, 1:2], content[0][:, :, 1:2])
    assert value.number == pytest.approx(by_hand[3, 1].item(), abs=1e-7)


def test_map_that_is_too_much_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz_widgets.frames.memory_maps.MAP_CELLS", 6 * 6 * 4 - 1)
    source = PageSource(memory_cache(lstm()))
    assert source.page(0, "wrote_unit", 0).shape == (8, 6, 6)
    with pytest.raises(
        PageRefusedError,
        match=r"who wrote what of 'enc cell' is of 6 x 6 steps and 4 numbers each: .* "
        r"Look at a single unit, or use mv.analysis.memory.provenance\(keep, write\) on a part",
    ):
        source.page(0, "wrote", 0)


def test_long_recordings_are_refused_without_a_look() -> None:
    lazy = FakeLazy(torch.zeros(1, MOST_STEPS + 1, 1))
    cache = memory_cache(dict.fromkeys(("cell", "gate.i", "gate.f", "gate.g"), (lazy, VECTOR)))
    with pytest.raises(PageRefusedError, match=r"4,097 x 4,097 steps .* you wait. Use mv.analysis.memory.provenance"):
        page_of(cache, 0, "wrote_unit")
    assert lazy.reads == []
