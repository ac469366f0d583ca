"""Gates and states of recurrent layers set by hand, against loops that are written out in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import EditError

STEPS = 9
Change = Callable[[str, int, Tensor], Tensor]
"""(name of a gate or state, step, value) -> the value to go on with."""


def step(layer: nn.RNNBase, item: str, x: Tensor, states: dict[str, Tensor], time: int, change: Change) -> None:
    """One step as torch's documentation writes it, in ``states``, which also gets the gates."""
    weight = dict(layer.named_parameters())
    given = x @ weight[f"weight_ih_{item}"].T + weight[f"bias_ih_{item}"]
    again = states["hidden"] @ weight[f"weight_hh_{item}"].T + weight[f"bias_hh_{item}"]
    if layer.mode == "LSTM":
        for name, part in zip("ifgo", (given + again).chunk(4, -1), strict=True):
            states[f"gate.{name}"] = change(f"gate.{name}", time, part.tanh() if name == "g" else part.sigmoid())
        kept = states["gate.f"] * states["cell"] + states["gate.i"] * states["gate.g"]
        states["cell"] = change("cell", time, kept)
        states["hidden"] = change("hidden", time, states["gate.o"] * states["cell"].tanh())
    elif layer.mode == "GRU":
        (r, z, n), (r_part, z_part, n_part) = given.chunk(3, -1), again.chunk(3, -1)
        states["gate.r"] = change("gate.r", time, (r + r_part).sigmoid())
        states["gate.z"] = change("gate.z", time, (z + z_part).sigmoid())
        states["gate.n"] = change("gate.n", time, (n + states["gate.r"] * n_part).tanh())
        mixed = (1 - states["gate.z"]) * states["gate.n"] + states["gate.z"] * states["hidden"]
        states["hidden"] = change("hidden", time, mixed)
    else:
        states["hidden"] = change("hidden", time, (given + again).tanh())


@torch.no_grad()
def by_hand(layer: nn.RNNBase, x: Tensor, edited: str, item: str, change: Change) -> dict[tuple[str, str], Tensor]:
    """Gates and states of all layers and directions, (B, T, C), with one of them changed."""
    found: dict[tuple[str, str], Tensor] = {}
    for number in range(layer.num_layers):
        outputs = []
        for reverse in (False, True)[: 1 + layer.bidirectional]:
            name = f"l{number}_reverse" if reverse else f"l{number}"
            own: Change = change if name == item else lambda kind, time, value: value
            zeros = torch.zeros(len(x), layer.hidden_size, dtype=x.dtype)
            states = {"hidden": zeros, "cell": zeros}
            rows: dict[str, list[Tensor]] = {}
            order = range(STEPS - 1, -1, -1) if reverse else range(STEPS)
            for time in order:
                step(layer, name, x[:, time], states, time, own)
                for kind, value in states.items():
                    rows.setdefault(kind, []).append(value)
            found.update(((kind, name), torch.stack(each[::-1] if reverse else each, 1)) for kind, each in rows.items())
            outputs.append(found["hidden", name])
        x = torch.cat(outputs, -1)
    return found


def gated(edited: str, at: int) -> Change:
    """Sets channel 1 of one gate or state to 0.25 at one step."""

    def change(kind: str, time: int, value: Tensor) -> Tensor:
        if kind == edited and time == at:
            value = value.clone()
            value[:, 1] = 0.25
        return value

    return change


KINDS = [
    *((nn.LSTM, kind) for kind in ("gate.i", "gate.f", "gate.g", "gate.o", "cell", "hidden")),
    *((nn.GRU, kind) for kind in ("gate.r", "gate.z", "gate.n", "hidden")),
    (nn.RNN, "hidden"),
]


@pytest.mark.parametrize("item", ["l0", "l1", "l0_reverse"])
@pytest.mark.parametrize(("layer", "kind"), KINDS, ids=[f"{layer.__name__} {kind}" for layer, kind in KINDS])
def test_a_gate_or_state_of_one_step(layer: Any, kind: str, item: str) -> None:
    model = layer(3, 4, num_layers=2, batch_first=True, bidirectional=item.endswith("reverse")).double()
    x = torch.randn(2, STEPS, 3, dtype=torch.float64)
    cache = ActivationCache.capture(model, x)
    twin = cache.what_if({f"(model)[{item}] {kind}": mv.edit.set(0.25, time=5, channel=1)})
    expected = by_hand(model, x, kind, item, gated(kind, 5))
    for (name, place), value in expected.items():
        if name in {record.kind for record in cache.records}:
            torch.testing.assert_close(twin.get("", name, item=place), value, atol=1e-12, rtol=0)
    top = [place for name, place in expected if name == "hidden" and place.startswith("l1")]
    output = torch.cat([expected["hidden", place] for place in top], -1)
    torch.testing.assert_close(twin.get("", item="0"), output, atol=1e-12, rtol=0)


def test_last_states_and_what_no_edit_reached_bit_for_bit() -> None:
    model, x = nn.LSTM(3, 4, num_layers=2, batch_first=True), torch.randn(2, STEPS, 3)
    cache = ActivationCache.capture(model, x)
    twin = cache.what_if({"(model)[l1] gate.f": mv.edit.set(0.0, time=5)})
    assert torch.equal(twin.get("", item="0")[:, :5], cache.get("", item="0")[:, :5])
    assert torch.equal(twin.get("", "cell", item="l1")[:, :5], cache.get("", "cell", item="l1")[:, :5])
    assert torch.equal(twin.get("", item="1.1")[0], cache.get("", item="1.1")[0])
    assert torch.equal(twin.get("", item="1.1")[1], twin.get("", "cell", item="l1")[:, -1])
    assert torch.equal(twin.get("", item="1.0")[1], twin.get("", item="0")[:, -1])


def test_the_forget_gate_closed_and_the_memory_gone() -> None:
    model = nn.LSTM(1, 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        weights = dict(model.named_parameters())
        weights["bias_ih_l0"][2:4] = 20.0  # always keeps
        weights["weight_ih_l0"][4:6] = 1.0  # writes what it is given
    x = torch.zeros(40, 1, 1)
    x[3] = 2.0
    cache = ActivationCache.capture(model, x)
    twin = cache.what_if({"(model)[l0] gate.f": mv.edit.set(0.0, time=30)})
    assert float(cache.get("", "cell")[0, 39, 0]) > 0.48
    assert float(twin.get("", "cell")[0, 29, 0]) > 0.48
    assert twin.get("", "cell")[0, 30:].eq(0).all()
    assert twin.get("", "gate.f")[0, 30].eq(0).all()


def test_a_packed_sequence() -> None:
    model = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    x, lengths = torch.randn(3, 6, 3), [4, 6, 2]
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    edits = {f"(model)[{item}] gate.f": mv.edit.set(0.5, time=1) for item in ("l0", "l0_reverse")}
    twin = ActivationCache.capture(model, packed).what_if(edits)
    output, _ = pad_packed_sequence(twin_output(model, packed, edits), batch_first=True)
    for sample, length in enumerate(lengths):
        alone = ActivationCache.capture(model, x[sample : sample + 1, :length]).what_if(edits)
        torch.testing.assert_close(output[sample, :length], alone.get("", item="0")[0], atol=1e-6, rtol=0)
        for item in ("1.0", "1.1"):
            torch.testing.assert_close(twin.get("", item=item)[:, sample], alone.get("", item=item)[:, 0])


def twin_output(model: nn.Module, packed: Any, edits: dict[str, Any]) -> Any:
    """The packed output of a model with edits, taken by a hook that comes after them."""
    cache = ActivationCache.capture(model, packed)
    data = cache.what_if(edits).get("", item="0.data")
    return model(packed)[0]._replace(data=data)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell])
def test_a_cell_at_a_timestep_is_a_call(cell: Any) -> None:
    kind = "gate.f" if cell is nn.LSTMCell else "gate.z"
    layer = (nn.LSTM if cell is nn.LSTMCell else nn.GRU)(3, 4, batch_first=True)
    model = Loop(cell(3, 4))
    with torch.no_grad():
        for name, weight in model.cell.named_parameters():
            weight.copy_(getattr(layer, f"{name}_l0"))
    x = torch.randn(2, STEPS, 3)
    twin = ActivationCache.capture(model, x).what_if({f"cell {kind}": mv.edit.set(0.0, time=5, channel=[0, 2])})
    whole = ActivationCache.capture(layer, x).what_if({f"(model)[l0] {kind}": mv.edit.set(0.0, time=5, channel=[0, 2])})
    torch.testing.assert_close(twin[""], whole.get("", item="0"), atol=1e-6, rtol=0)
    torch.testing.assert_close(twin.get("cell", kind), whole.get("", kind), atol=1e-6, rtol=0)
    assert twin.get("cell", kind)[:, 5, [0, 2]].eq(0).all()


class Loop(nn.Module):
    """A cell called step by step."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state, found = None, []
        for now in x.unbind(1):
            state = self.cell(now, state)
            found.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(found, 1)


def test_dropout_between_layers_is_refused() -> None:
    cache = ActivationCache.capture(nn.LSTM(3, 4, num_layers=2, dropout=0.5), torch.randn(5, 1, 3))
    with pytest.raises(EditError, match=r"cannot be run step by step: dropout of 0\.5 between the 2 layers drew masks"):
        cache.what_if({"(model)[l0] gate.f": mv.edit.zero(time=1)})
