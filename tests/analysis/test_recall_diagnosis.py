"""Planted memories: each of the four faults, and none; numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import erased_mass, provenance
from memviz_widgets.analysis.recall import Diagnosis, diagnose
from memviz_widgets.errors import MeasureError

from .memory_runs import noise

T, S, D = 6, 4, 3


def slots(writes: dict[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Keep and write (T, S, D) of a memory in which step t overwrites slot ``writes[t]`` with a random unit vector."""
    keep, write = torch.ones(T, S, D).double(), torch.zeros(T, S, D).double()
    for step, slot in writes.items():
        keep[step, slot] = 0
        write[step, slot] = torch.nn.functional.normalize(noise(D, seed=seed + step), dim=0)
    return keep, write


def looks_at(slot: int) -> Tensor:
    """Reads (T, S) of one slot at every step."""
    return torch.eye(S).double()[slot].expand(T, S)


def lstm(forget: list[float], written: list[float]) -> tuple[Tensor, Tensor]:
    """Keep and write (T, 1) of one unit."""
    return torch.tensor(forget).double()[:, None], torch.tensor(written).double()[:, None]


def asked_last(keep: Tensor, write: Tensor, reads: Tensor | None = None, *, written_step: int = 1) -> Diagnosis:
    return diagnose(keep, write, reads, asked_step=T - 1, written_step=written_step)


def test_what_is_written_kept_and_read_has_none_of_the_four() -> None:
    found = asked_last(*slots({1: 2, 3: 0}), looks_at(2))
    assert found.verdict == "none of the four" and found.by_step is None
    assert (found.written, found.survival, found.read) == pytest.approx((1, 1, 1))
    assert found.lost_step is None and found.worst_step is None and math.isnan(found.erased)


def test_never_written() -> None:
    keep, write = slots({1: 2, 3: 0})
    write[1] *= 0.05
    found = asked_last(keep, write, looks_at(2))
    assert found.verdict == "never written" and found.written == pytest.approx(0.05)
    assert math.isnan(found.survival) and math.isnan(found.read)
    assert found.reason == "step 1 wrote 0.05 of the run's largest write, below 0.1."


def test_a_memory_that_nobody_writes_to_is_never_written() -> None:
    found = asked_last(torch.ones(T, S, D), torch.zeros(T, S, D))
    assert found.verdict == "never written" and found.written == 0


@pytest.mark.parametrize("by", [2, 4, 5])
def test_overwritten_by_the_step_that_wrote_in_its_slot(by: int) -> None:
    found = asked_last(*slots({0: 3, 1: 2, 3: 0, by: 2}), looks_at(2))
    assert found.verdict == "overwritten" and found.by_step == found.worst_step == found.lost_step == by
    assert (found.survival, found.erased, found.replaced) == pytest.approx((0, 1, 1))


def test_the_first_of_two_overwrites_is_to_blame() -> None:
    assert asked_last(*slots({1: 2, 3: 2, 4: 2})).by_step == 3


def test_writes_in_other_slots_overwrite_nothing() -> None:
    keep, write = slots({1: 2, 3: 0})
    keep[4, 2] = 0  # a reset: nothing is written in its place
    write[4, 1] = 5
    found = asked_last(keep, write / 5, written_step=1)
    assert found.verdict == "decayed" and found.replaced == 0 and found.erased == 1 and found.worst_step == 4


def test_decayed_bit_by_bit_although_each_step_writes() -> None:
    """0.7^4 = 0.24 is left, and no step erases more than 0.3^2 of what it finds."""
    found = asked_last(*lstm([0.7] * T, [1.0] * T))
    assert found.verdict == "decayed" and found.survival == pytest.approx(0.7**4)
    assert found.lost_step == 4 and found.worst_step == 2  # 0.7^3 = 0.34 < 1/e; the first step takes the most
    assert found.erased == pytest.approx(0.3**2) and found.replaced == pytest.approx(1 / 0.3)
    assert found.reason.startswith("0.24 is left at the read, below 0.37; step 2, which erased most, took 0.09 of")


def test_an_overwrite_of_what_had_decayed_already_is_not_to_blame() -> None:
    found = asked_last(*lstm([0.5, 0.5, 0.5, 0.5, 0.5, 0.0], [0, 1, 0, 0, 0, 1]))
    assert found.verdict == "decayed" and found.survival == 0 and found.lost_step == 3


def test_a_late_overwrite_is_not_to_blame_although_it_takes_more_than_any_step_before() -> None:
    """0.9^10 = 0.35 is lost at step 10; the overwrite at step 12 takes 0.31, each step before at most 0.1."""
    found = diagnose(*lstm([0.9] * 12 + [0.0], [1.0] + [0.0] * 11 + [1.0]), asked_step=12, written_step=0)
    assert found.verdict == "decayed" and found.lost_step == 10 and found.worst_step == 1


def test_survival_and_erased_mass_are_those_of_the_other_measures() -> None:
    """Two slots hold what step 0 wrote; steps 1 and 2 erase with a pattern over the width."""
    weights, erase = noise(3, S).softmax(-1), noise(3, D, seed=1).sigmoid()
    keep = 1 - weights[:, :, None] * erase[:, None, :]
    write = noise(3, S, D, seed=2)
    found = diagnose(keep, write, asked_step=2, written_step=0)
    amount = provenance(keep[:, None], write[:, None]).amount[0]
    assert found.survival == pytest.approx(float(amount[2, 0] / amount[0, 0]))
    before = {1: write[0], 2: keep[1] * write[0]}
    assert found.worst_step is not None
    worst = found.worst_step
    assert found.erased == pytest.approx(float(erased_mass(before[worst], weights[worst], erase[worst])))


def test_never_read() -> None:
    found = asked_last(*slots({1: 2}), looks_at(0))
    assert found.verdict == "never read" and found.survival == pytest.approx(1) and found.read == 0
    assert found.reason.endswith("the reads have weight 0 where it is, below 0.1.")


def test_reads_count_by_the_norm_that_a_slot_holds_when_it_is_read() -> None:
    """Slots 0 and 1 hold 0.8 and 0.6: 0.8 / 1.4 of it is in slot 0, and none after slot 0 was wiped."""
    keep, write = torch.ones(T, 2, 1).double(), torch.zeros(T, 2, 1).double()
    write[1, :, 0] = torch.tensor([0.8, 0.6])
    reads = torch.tensor([1.0, 0.0]).expand(T, 2)
    assert asked_last(keep, write, reads).read == pytest.approx(0.8 / 1.4)
    keep[4, 0] = 0
    wiped = asked_last(keep, write, reads)
    assert wiped.verdict == "never read" and wiped.survival == pytest.approx(0.6)


def test_any_head_and_any_read_from_the_question_to_the_answer_counts() -> None:
    keep, write = slots({1: 2})
    reads = torch.stack([looks_at(0), looks_at(1)], 1).clone()  # (T, N, S)
    assert asked_last(keep, write, reads).verdict == "never read"
    reads[4, 1] = torch.tensor([0.25] * S)
    early = diagnose(keep, write, reads, asked_step=5, written_step=1, read_step=4)
    assert early.verdict == "none of the four" and early.read == pytest.approx(0.25)
    assert diagnose(keep, write, reads, asked_step=5, written_step=1, read_step=5).verdict == "never read"


def test_a_read_before_the_write_of_its_step_still_finds_it() -> None:
    keep, write = slots({1: 2, 5: 2})
    before = diagnose(keep, write, looks_at(2), asked_step=5, written_step=1, phase="before_write")
    assert before.verdict == "none of the four" and before.survival == pytest.approx(1)
    assert asked_last(keep, write, looks_at(2)).by_step == 5


def test_without_read_weights_it_does_not_say_that_it_was_read() -> None:
    found = asked_last(*lstm([0.9] * T, [1.0] * T))
    assert found.verdict == "none of the four" and math.isnan(found.read)
    assert "no read weights were given" in found.reason


def test_scale_and_dtype_do_not_matter_and_inputs_stay() -> None:
    keep, write = slots({1: 2, 3: 2})
    large = write * 1e200
    kept, given = keep.clone(), large.clone()
    assert asked_last(keep, large).by_step == asked_last(keep.float(), write.half()).by_step == 3
    assert torch.equal(keep, kept) and torch.equal(large, given)


def test_keep_of_size_1_is_the_same_for_all_places() -> None:
    found = asked_last(torch.full((T, 1, 1), 0.9), slots({1: 2})[1])
    assert found.survival == pytest.approx(0.9**4)


def test_refuses_what_does_not_fit() -> None:
    keep, write = slots({1: 2})
    with pytest.raises(MeasureError, match=r"keep is .* \(5, 4, 3\); expected the axes of write, \(6, 4, 3\), or"):
        asked_last(keep[1:], write)
    with pytest.raises(MeasureError, match=r"read_weights is .* \(6, 5\); expected \(6, P\) .* the 4 places of write"):
        asked_last(keep, write, torch.zeros(T, S + 1))
    with pytest.raises(MeasureError, match=r"written_step=5; expected a whole number, 0 to 4"):
        diagnose(keep, write, asked_step=4, written_step=5)
    with pytest.raises(MeasureError, match=r"written_step=4; expected a whole number, 0 to 3"):
        diagnose(keep, write, asked_step=4, written_step=4, phase="before_write")
    with pytest.raises(MeasureError, match=r"read_step=0; expected a whole number, 1 to 4"):
        diagnose(keep, write, asked_step=4, written_step=1, read_step=0)
    with pytest.raises(MeasureError, match=r"phase='later'; expected 'after_write' or 'before_write'"):
        diagnose(keep, write, asked_step=4, written_step=1, phase="later")
