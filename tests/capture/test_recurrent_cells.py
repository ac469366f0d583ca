"""One step: cells equal the formulas, content is what was kept and what was written, and what is unknown is refused."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from memviz_widgets.analysis.memory import keep_and_write
from memviz_widgets.capture.recurrent import (
    Recovered,
    RecurrentError,
    cell_series,
    recover,
    recover_cell,
    recurrent_series,
)

CELLS: dict[str, Any] = {
    "LSTM": nn.LSTMCell,
    "GRU": nn.GRUCell,
    "RNN_TANH": nn.RNNCell,
    "RNN_RELU": lambda inputs, width, **options: nn.RNNCell(inputs, width, nonlinearity="relu", **options),
}
# torch says so of an LSTM with a projection, once.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def parts_of(found: Recovered, item: str) -> dict[str, Tensor]:
    """States and gates of one layer and direction by kind, (B, T, C)."""
    return {kind: value for (kind, each), value in found.values.items() if each == item}


def one_step(mode: str, weights: dict[str, Tensor], x: Tensor, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """States and gates of one step of one sample, straight from torch's documentation."""
    own = [weights["weight_ih"] @ x, weights["weight_hh"] @ state["hidden"]]
    own = [part + weights.get(bias, 0) for part, bias in zip(own, ("bias_ih", "bias_hh"), strict=True)]
    if mode == "LSTM":
        i, f, g, o = (own[0] + own[1]).view(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        cell = f * state["cell"] + i * g
        hidden = o * cell.tanh()
        hidden = weights["weight_hr"] @ hidden if "weight_hr" in weights else hidden
        return {"hidden": hidden, "cell": cell, "gate.i": i, "gate.f": f, "gate.g": g, "gate.o": o}
    if mode == "GRU":
        (xr, xz, xn), (hr, hz, hn) = own[0].view(3, -1), own[1].view(3, -1)
        r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        n = (xn + r * hn).tanh()
        return {"hidden": (1 - z) * n + z * state["hidden"], "gate.r": r, "gate.z": z, "gate.n": n}
    total = own[0] + own[1]
    return {"hidden": total.relu() if mode == "RNN_RELU" else total.tanh()}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("mode", CELLS)
def test_a_cell_is_one_step(mode: str, batch: bool, given: bool, bias: bool) -> None:
    module = CELLS[mode](3, 4, bias=bias, dtype=torch.float64)
    x, states = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 2, 4, dtype=torch.float64) * given
    states, x = (states, x) if batch else (states[:, 0], x[0])
    hx = (states[0], states[1]) if mode == "LSTM" else states[0]
    found = recover_cell(module, (x,), {"hx": hx} if given else {}, module(x, hx))
    weights = {name: value.detach() for name, value in module.named_parameters()}
    for b, row in enumerate(torch.atleast_2d(x)):
        before = dict(zip(("hidden", "cell"), states.view(2, -1, 4)[:, b], strict=True))
        for kind, value in one_step(mode, weights, row, before).items():
            assert (found.values[kind, ""][b] - value).abs().max() < 1e-12
    assert found.residual < 1e-12 and found.note == "" and found.lengths == ()
    assert [(kind, "", 0, False) for kind, _ in found.values] == cell_series(module)


def test_a_loop_over_a_cell_gives_the_gates_of_a_sequence() -> None:
    module, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    for name, value in cell.named_parameters():
        value.data = module.get_parameter(f"{name}_l0").data
    x, state = torch.randn(6, 2, 3), None
    found = recover(module, (x,), {}, module(x))
    for t, step in enumerate(x):
        after = cell(step, state)
        seen = recover_cell(cell, (step, state), {}, after)
        assert all(
            (found.values[kind, "l0"][:, t] - seen.values[kind, ""]).abs().max() < 1e-6
            for kind, *_ in cell_series(cell)
        )
        state = after


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_cell_says_so(dtype: torch.dtype) -> None:
    cell, x = nn.GRUCell(3, 4, dtype=dtype), torch.randn(2, 3, dtype=dtype)
    found = recover_cell(cell, (x,), {}, cell(x))
    assert found.residual < torch.finfo(dtype).eps and str(dtype)[6:] in found.note


def test_another_result_of_a_cell_shows_in_the_residual() -> None:
    cell, x = nn.GRUCell(3, 4), torch.randn(2, 3)
    assert 1e-4 < recover_cell(cell, (x,), {}, cell(x) + 2e-3).residual < 1e-2


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_parametrized_cell_is_read_without_a_call_of_its_parts(wrap: Any) -> None:
    cell, x = nn.LSTMCell(3, 4), torch.randn(2, 3)
    wrap(cell, "weight_hh")
    result, calls = cell(x, (torch.ones(2, 4), torch.ones(2, 4))), []
    for part in cell.modules():
        part.register_forward_hook(lambda part, *_: calls.append(part))
    before = copy.deepcopy(cell.state_dict())
    assert recover_cell(cell, (x, (torch.ones(2, 4), torch.ones(2, 4))), {}, result).residual < 1e-6
    after = cell.state_dict()
    assert not calls and all(torch.equal(after[name], value) for name, value in before.items())
    assert all(part.training for part in cell.modules())


def test_states_of_a_cell_are_copies() -> None:
    cell, x, h = nn.GRUCell(3, 4), torch.randn(2, 3), torch.ones(2, 4)
    with torch.inference_mode():
        result = cell(x, h)
        found = recover_cell(cell, (x, h), {}, result)
        result.zero_()
    h.zero_()
    assert (found.initial["hidden", ""] == 1).all() and found.values["hidden", ""].abs().min() > 0
    assert not any(value.is_inference() or value.requires_grad for value in found.values.values())


# -- what keeps and writes


def with_gates(forget: float, write: float) -> nn.LSTM:
    """An LSTM whose gates do not see input or state: f and i from their biases alone."""
    module = nn.LSTM(2, 3)
    with torch.no_grad():
        for value in module.parameters():
            value.zero_()
        module.get_parameter("bias_ih_l0").copy_(torch.tensor([write, forget, 1.0, 0.0]).repeat_interleave(3))
    return module


@pytest.mark.parametrize(("forget", "write", "expected"), [(100.0, -200.0, 7.0), (-200.0, -200.0, 0.0)])
def test_an_open_forget_gate_keeps_for_ever_and_a_closed_one_forgets(
    forget: float, write: float, expected: float
) -> None:
    module, x, hx = (
        with_gates(forget, write),
        torch.randn(500, 1, 2),
        (torch.zeros(1, 1, 3), torch.full((1, 1, 3), 7.0)),
    )
    found = recover(module, (x, hx), {}, module(x, hx))
    assert (found.values["cell", "l0"] == expected).all()
    keep, written, _ = keep_and_write(parts_of(found, "l0"))
    assert (keep == expected / 7).all() and (written == 0).all()


def test_the_last_input_is_all_that_a_closed_gate_leaves() -> None:
    module, x = with_gates(-200.0, 100.0), torch.randn(9, 1, 2)
    assert (recover(module, (x,), {}, module(x)).values["cell", "l0"] == math.tanh(1.0)).all()


@pytest.mark.parametrize(("mode", "kind"), [("LSTM", "cell"), ("projected LSTM", "cell"), ("GRU", "hidden")])
def test_content_is_what_was_kept_and_what_was_written(mode: str, kind: str) -> None:
    options: dict[str, Any] = {"proj_size": 2} if mode == "projected LSTM" else {}
    made: Any = nn.GRU if mode == "GRU" else nn.LSTM
    module = made(2, 3, 2, bidirectional=True, dtype=torch.float64, **options)
    x = torch.randn(7, 2, 2, dtype=torch.float64)
    found = recover(module, (x,), {}, module(x))
    for item in ("l0", "l1", "l0_reverse", "l1_reverse"):
        keep, write, content = keep_and_write(parts_of(found, item))
        assert torch.equal(content, found.values[kind, item])
        start = found.initial[kind, item][:, None]
        before = [content[:, 1:], start] if "reverse" in item else [start, content[:, :-1]]
        assert (keep * torch.cat(before, 1) + write - content).abs().max() < 1e-14


# -- what is refused


class Doubled(nn.GRU):
    def forward(self, *args: Any) -> Any:
        return super().forward(*args)[0] * 2


def test_a_forward_of_its_own_is_refused() -> None:
    text = "Doubled has a forward of its own, so what it computes is not known; expected that of nn.GRU."
    for refused in (lambda: recurrent_series(Doubled(2, 2)), lambda: recover(Doubled(2, 2), (), {}, None)):
        with pytest.raises(RecurrentError, match=re.escape(text)):
            refused()
    patched: Any = nn.GRU(2, 2)
    patched.forward = lambda x: x
    with pytest.raises(RecurrentError, match="GRU has a forward of its own"):
        recurrent_series(patched)


def test_what_cannot_be_read_is_refused() -> None:
    module, x = nn.GRU(2, 2), torch.randn(3, 1, 2)
    for args, result, text in (
        ((), None, "input is of type NoneType; expected a tensor"),
        ((x.to("meta"),), None, "input cannot be read: on the meta device"),
        ((x,), x, "the call returned Tensor; expected a pair: output and last states"),
        ((x,), module(x[:2]), r"the output has \(2, 1\) steps and samples, the input \(3, 1\)"),
    ):
        with pytest.raises(RecurrentError, match=text):
            recover(module, args, {}, result)
    with pytest.raises(RecurrentError, match=r"got Linear; expected nn\.LSTM, nn\.GRU or nn\.RNN"):
        recover(nn.Linear(2, 2), (x,), {}, x)


@pytest.mark.parametrize("module", [nn.Linear(2, 2), nn.LSTMCell(2, 2), nn.Sequential(nn.LSTM(2, 2))])
def test_other_modules_have_no_series(module: nn.Module) -> None:
    assert recurrent_series(module) == []


def test_a_cell_of_its_own_or_none_is_refused() -> None:
    assert cell_series(nn.LSTM(2, 2)) == []
    with pytest.raises(RecurrentError, match=r"got LSTM; expected nn\.LSTMCell, nn\.GRUCell or nn\.RNNCell"):
        recover_cell(nn.LSTM(2, 2), (), {}, None)
    cell: Any = nn.RNNCell(2, 2)
    cell.forward = lambda x: x
    with pytest.raises(RecurrentError, match="RNNCell has a forward of its own"):
        cell_series(cell)
