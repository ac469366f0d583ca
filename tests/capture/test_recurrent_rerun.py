"""A recurrent layer that is run again from what its recovery holds gives the recorded states, with gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import memviz_widgets as mv
from memviz_widgets.capture import RecurrentError, layer_run
from memviz_widgets.records import TensorRecord

MODELS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: nn.LSTM(3, 5, 2),
    "projected": lambda: nn.LSTM(3, 5, proj_size=2, bidirectional=True),
    "gru": lambda: nn.GRU(3, 5, 2, bidirectional=True),
    "rnn": lambda: nn.RNN(3, 4, bias=False),
    "double": lambda: nn.GRU(3, 4).double(),
}


class Loop(nn.Module):
    """A cell that is called step by step; ``fresh``: each step begins with zeros."""

    def __init__(self, cell: nn.Module, fresh: bool = False) -> None:
        super().__init__()
        self.cell, self.fresh = cell, fresh

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x:
            state = self.cell(step, None if self.fresh else state)
        return state[0] if isinstance(state, tuple) else state  # type: ignore[return-value]


def part(cache: mv.ActivationCache, label: str, kind: str) -> TensorRecord:
    return next(each for each in cache.memories()[label] if each.kind == kind)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_it_gives_the_states_that_were_recorded(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]()
    x = torch.randn(6, 3, 3, dtype=next(model.parameters()).dtype)
    with torch.inference_mode():
        cache = mv.ActivationCache.capture(model, x)
    for label in cache.memories():
        record = part(cache, label, "hidden")
        states = cache.get(record.path, "hidden", item=record.item)[1]
        run = layer_run(cache.recoveries(record), 1)
        found = run.hidden(run.inputs.clone().requires_grad_())
        assert found.requires_grad
        torch.testing.assert_close(found.detach().flip(0) if "reverse" in label else found.detach(), states)
        torch.testing.assert_close(run.source.flip(0) if "reverse" in label else run.source, x[:, 1])


def test_a_packed_sample_ends_where_it_ends() -> None:
    torch.manual_seed(0)
    packed = pack_padded_sequence(torch.randn(5, 2, 3), [3, 5], enforce_sorted=False)
    with torch.no_grad():
        cache = mv.ActivationCache.capture(nn.GRU(3, 4), (packed,))
    record = part(cache, "(model) l0", "hidden")
    run = layer_run(cache.recoveries(record), 0)
    assert run.inputs.shape == (3, 3)
    torch.testing.assert_close(run.hidden(run.inputs), cache.get("", "hidden")[0, :3])


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_calls_of_a_cell_are_one_run(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        cache = mv.ActivationCache.capture(Loop(kind(3, 4)), torch.randn(6, 2, 3))
    gate = next(each for each in cache.memories()["cell"] if each.kind.startswith("gate."))
    cache.value(gate)
    run = layer_run(cache.recoveries(gate), 1)
    torch.testing.assert_close(run.hidden(run.inputs), cache.get("cell", "hidden")[1])


def test_calls_that_begin_anew_are_refused() -> None:
    with torch.no_grad():
        cache = mv.ActivationCache.capture(Loop(nn.GRUCell(3, 4), fresh=True), torch.randn(6, 2, 3))
    gate = part(cache, "cell", "gate.z")
    with pytest.raises(RecurrentError, match="its calls do not go on from each other"):
        layer_run(cache.recoveries(gate), 0)


def test_values_that_were_read_come_from_no_recovery() -> None:
    with torch.no_grad():
        cache = mv.ActivationCache.capture(Loop(nn.RNNCell(3, 4)), torch.randn(6, 2, 3))
    assert cache.recoveries(part(cache, "cell", "hidden")) == ()
    cache.close()
    with pytest.raises(mv.errors.ClosedError):
        cache.recoveries(cache.records[0])
