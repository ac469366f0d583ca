"""keep, write and content against memories run in a loop, and which step wrote what is read, by brute force."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis.memory import keep_and_write, provenance, read_provenance
from memviz_widgets.errors import MeasureError

from .memory_runs import noise

B, T, C = 2, 7, 3
N, S, D = 2, 4, 3


def assert_law(parts: dict[str, Tensor], before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """content_t = keep_t content_{t-1} + write_t, with ``before`` in front of the first."""
    keep, write, content = keep_and_write(parts)
    earlier = torch.cat([before.unsqueeze(1), content[:, :-1]], dim=1)
    torch.testing.assert_close(keep * earlier + write, content, rtol=0, atol=1e-14)
    return keep, write, content


def slots() -> tuple[dict[str, Tensor], Tensor]:
    """A memory of two write heads that write one after the other, and what it held before."""
    weights, erase, add = noise(B, T, N, S).softmax(-1), noise(B, T, N, D, seed=1).sigmoid(), noise(B, T, N, D, seed=2)
    before = noise(B, S, D, seed=3)
    memory, contents = before, []
    for step in range(T):
        for head in range(N):
            w, e, a = weights[:, step, head, :, None], erase[:, step, head, None, :], add[:, step, head, None, :]
            memory = memory * (1 - w * e) + w * a
        contents.append(memory)
    return {"memory": torch.stack(contents, 1), "write_weights": weights, "erase": erase, "add": add}, before


def test_cell_of_an_lstm() -> None:
    cell = torch.nn.LSTMCell(C, C).double()
    hidden, state = noise(B, C), noise(B, C, seed=1)
    before, found = state, []
    for step in range(T):
        x = noise(B, C, seed=step + 2)
        raw = x @ cell.weight_ih.T + cell.bias_ih + hidden @ cell.weight_hh.T + cell.bias_hh
        i, f, g, _ = raw.chunk(4, -1)
        hidden, state = cell(x, (hidden, state))
        found.append((state, i.sigmoid(), f.sigmoid(), g.tanh()))
    kinds = ("cell", "gate.i", "gate.f", "gate.g")
    parts = {kind: torch.stack(each, 1) for kind, each in zip(kinds, zip(*found, strict=True), strict=True)}
    keep, _, _ = assert_law(parts, before)
    assert torch.equal(keep, parts["gate.f"].detach())


def test_hidden_of_a_gru() -> None:
    z, n, before = noise(B, T, C).sigmoid(), noise(B, T, C, seed=1).tanh(), noise(B, C, seed=2)
    states = [before]
    for step in range(T):
        states.append((1 - z[:, step]) * n[:, step] + z[:, step] * states[-1])
    assert_law({"hidden": torch.stack(states[1:], 1), "gate.z": z, "gate.n": n}, before)


def test_slots_of_two_heads_that_write_one_after_the_other() -> None:
    keep, _, content = assert_law(*slots())
    assert keep.shape == content.shape == (B, T, S, D)


def test_keep_and_write_that_were_recorded_come_first_and_may_be_of_size_1() -> None:
    keep, write, before = noise(B, T, 1, 1).sigmoid(), noise(B, T, S, D, seed=1), noise(B, S, D, seed=2)
    states = [before]
    for step in range(T):
        states.append(keep[:, step] * states[-1] + write[:, step])
    parts = {"state": torch.stack(states[1:], 1), "keep": keep, "write": write, "gate.f": noise(B, T, S)}
    assert assert_law(parts, before)[0].shape == (B, T, 1, 1)


def test_form_says_which_content_is_meant() -> None:
    parts, _ = slots()
    parts |= {"hidden": noise(B, T, C), "gate.z": noise(B, T, C).sigmoid(), "gate.n": noise(B, T, C)}
    assert torch.equal(keep_and_write(parts, "vector")[2], parts["hidden"])
    assert torch.equal(keep_and_write(parts, "slots")[2], parts["memory"])


def test_plain_rnn_is_sent_to_its_gradients() -> None:
    with pytest.raises(MeasureError, match=r"expected 'gate.z' and 'gate.n' \(a GRU\).* A plain RNN keeps nothing as"):
        keep_and_write({"hidden": noise(B, T, C)})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MeasureError, match=r"'cell' with gate.f does not say what a step keeps; expected gate.f, gate"):
        keep_and_write({"cell": noise(B, T, C), "gate.f": noise(B, T, C)})
    with pytest.raises(MeasureError, match=r"got the parts gate.f; expected a content among them: memory, cell, state"):
        keep_and_write({"gate.f": noise(B, T, C)})


def test_parts_of_two_runs_do_not_fit() -> None:
    parts = {"hidden": noise(B, T, C), "gate.z": noise(B, T + 1, C).sigmoid(), "gate.n": noise(B, T, C)}
    with pytest.raises(MeasureError, match=r"do not fit each other: hidden \(2, 7, 3\), gate.z \(2, 8, 3\)"):
        keep_and_write(parts)


# Reads


def by_hand(reads: Tensor, keep: Tensor, write: Tensor, last: int) -> Tensor:
    """|sum_n r_t[n] S(t, s)[n] write_s[n]| of one batch item, with S up to t - 1 + last."""
    found = torch.zeros(N, T, T).double()
    for head in range(N):
        for t in range(T):
            for s in range(t + last):
                part = write[s]
                for k in range(s + 1, t + last):
                    part = keep[k] * part
                found[head, t, s] = (reads[t, head, :, None] * part).sum(0).norm()
    return found


@pytest.mark.parametrize(("phase", "last"), [("after_write", 1), ("before_write", 0)])
def test_reads_by_brute_force(phase: str, last: int) -> None:
    keep, write, _ = keep_and_write(slots()[0])
    reads = noise(B, T, N, S, seed=9).softmax(-1)
    found = read_provenance(reads, keep, write, phase)
    for item in range(B):
        torch.testing.assert_close(found.amount[item], by_hand(reads[item], keep[item], write[item], last))


def test_shares_of_a_row_sum_to_1_with_those_of_the_initial_memory() -> None:
    keep, write, _ = keep_and_write(slots()[0])
    found = read_provenance(noise(B, T, N, S).softmax(-1), keep, write, "before_write", initial=noise(B, S, D, seed=3))
    torch.testing.assert_close(found.share.sum(-1) + found.initial_share, torch.ones(B, N, T).double())
    assert found.initial_share[:, :, 0].eq(1).all(), "before the first write there is nothing else"


def test_delay_line_reads_what_was_written_two_steps_ago() -> None:
    """A step overwrites one slot, and reads the slot that was written two steps before."""
    slot = torch.eye(T).double()[None]  # (1, T, S): step t writes slot t
    keep, write = 1 - slot.unsqueeze(-1).expand(1, T, T, D), slot.unsqueeze(-1) * noise(1, T, 1, D)
    reads = torch.cat([torch.zeros(1, 2, T).double(), slot[:, :-2]], 1).unsqueeze(2)
    share = read_provenance(reads, keep, write, "after_write").share[0, 0]
    assert torch.equal(share, torch.eye(T).double().roll(-2, 1).tril(-1))


def test_reads_of_a_memory_that_is_never_written_are_of_nobody() -> None:
    found = read_provenance(
        noise(1, T, N, S).softmax(-1), torch.ones(1, T, S, D), torch.zeros(1, T, S, D), "after_write"
    )
    assert not found.share.any() and not found.amount.any() and not found.initial_share.any()


def test_reading_all_slots_of_width_1_is_the_provenance_of_the_content() -> None:
    keep, write = noise(1, T, 1, D).sigmoid(), noise(1, T, 1, D, seed=1)
    found = read_provenance(torch.ones(1, T, 1, 1).double(), keep, write, "after_write")
    torch.testing.assert_close(found.amount[:, 0], provenance(keep.transpose(0, 1), write.transpose(0, 1)).amount)


def test_refuses_an_unknown_phase_and_other_axes() -> None:
    keep, write, _ = keep_and_write(slots()[0])
    with pytest.raises(MeasureError, match="phase='later'; expected 'after_write' or 'before_write'"):
        read_provenance(noise(B, T, N, S), keep, write, "later")
    with pytest.raises(MeasureError, match=r"read_weights is .* \(2, 7, 2, 5\).* Give those of one memory and run"):
        read_provenance(noise(B, T, N, S + 1), keep, write, "after_write")
