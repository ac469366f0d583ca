"""Who wrote what of recorded models: against cells that are run step by step, and sums that must be the content."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.frames import PageSource
from memviz_widgets.frames.quantise import NAN_CODE
from memviz_widgets.records import TensorRecord

from .memory_world import half_step, numbers, shares_by_hand, shown

B, T, X, H = 2, 7, 3, 4


def part(cache: mv.ActivationCache, kind: str, item: str = "") -> TensorRecord:
    """The record over all steps of a part of a memory."""
    found = [record for parts in cache.memories().values() for record in parts]
    return next(record for record in found if record.kind == kind and (not item or record.item == item))


def lstm_by_hand(model: nn.LSTM, x: Tensor, hidden: Tensor, cell: Tensor, suffix: str) -> tuple[Tensor, Tensor, Tensor]:
    """keep, write and content (T, H) of a direction of one sample, in the order in which it runs."""
    w_ih, w_hh = getattr(model, f"weight_ih_l0{suffix}"), getattr(model, f"weight_hh_l0{suffix}")
    bias = getattr(model, f"bias_ih_l0{suffix}") + getattr(model, f"bias_hh_l0{suffix}")
    keep, write, content = [], [], []
    for step in x:
        i, f, g, o = (w_ih @ step + w_hh @ hidden + bias).chunk(4)
        keep.append(f.sigmoid())
        write.append(i.sigmoid() * g.tanh())
        cell = keep[-1] * cell + write[-1]
        hidden = o.sigmoid() * cell.tanh()
        content.append(cell)
    return torch.stack(keep), torch.stack(write), torch.stack(content)


@pytest.mark.parametrize("direction", [0, 1])
def test_lstm_of_two_directions_with_initial_states(direction: int) -> None:
    torch.manual_seed(0)
    model = nn.LSTM(X, H, bidirectional=True, batch_first=True).double()
    x, hx = numbers(B, T, X), (numbers(2, B, H, seed=1), numbers(2, B, H, seed=2))
    cache = mv.ActivationCache.capture(model, (x, hx))
    record = part(cache, "cell", "l0_reverse" if direction else "l0")
    page = PageSource(cache).page(record.index, "wrote", 0)
    with torch.no_grad():
        inputs = x[1].flip(0) if direction else x[1]
        found = lstm_by_hand(model, inputs, hx[0][direction, 1], hx[1][direction, 1], "_reverse" * direction)
    by_hand = shares_by_hand(*found).numpy()
    np.testing.assert_allclose(shown(page)[1], by_hand[::-1, ::-1] if direction else by_hand, atol=half_step(page))
    assert page.residual is not None and page.residual < 1e-12


def test_padding_of_a_packed_sequence_has_no_data() -> None:
    torch.manual_seed(0)
    model = nn.LSTM(X, H)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(T, B, X), [T, 4], enforce_sorted=False)
    cache = mv.ActivationCache.capture(model, (packed,))
    page = PageSource(cache).page(part(cache, "cell").index, "wrote", 0)
    assert (page.cells[1, 4:] == NAN_CODE).all() and (page.cells[1, :, 4:] == NAN_CODE).all()
    assert (page.cells[1, :4, :4] != NAN_CODE).all() and (page.cells[0] != NAN_CODE).all()


class Steps(nn.Module):
    """A GRUCell that is called in a loop, from a state that is not zero."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(X, H)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_full((len(x), H), 0.5)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return state


def test_gru_cell_in_a_loop_is_one_memory_over_its_calls() -> None:
    torch.manual_seed(0)
    model = Steps().double()
    x = numbers(B, T, X)
    cache = mv.ActivationCache.capture(model, x)
    page = PageSource(cache).page(part(cache, "hidden").index, "wrote", 0)
    keep, write, content, state = [], [], [], torch.full((H,), 0.5).double()
    with torch.no_grad():
        for step in x[1]:
            of_x = model.cell.weight_ih @ step + model.cell.bias_ih
            of_h = model.cell.weight_hh @ state + model.cell.bias_hh
            r, z = (of_x + of_h)[: 2 * H].sigmoid().chunk(2)
            new = (of_x[2 * H :] + r * of_h[2 * H :]).tanh()
            state = (1 - z) * new + z * state
            keep.append(z)
            write.append((1 - z) * new)
            content.append(state)
    by_hand = shares_by_hand(torch.stack(keep), torch.stack(write), torch.stack(content))
    np.testing.assert_allclose(shown(page)[1], by_hand.numpy(), atol=half_step(page))
    assert page.shape == (B, T, T) and page.residual is not None and page.residual < 1e-12


def test_plain_rnn_has_states_and_no_map() -> None:
    cache = mv.ActivationCache.capture(nn.RNN(X, H), torch.randn(T, B, X))
    source, record = PageSource(cache), part(cache, "hidden")
    assert source.page(record.index, "time", 0).shape == (B, H, T)
    with pytest.raises(ValueError, match="has no wrote: its memory has no parts that say what a step keeps and writes"):
        source.page(record.index, "wrote", 0)
