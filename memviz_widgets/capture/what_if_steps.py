"""One step of an LSTM, GRU or RNN whose gates and states are changed on the way.

In: input, earlier states and weights of a step, and what changes a value. Out: gates and states, (B, C) each.
Formulas: those in torch's documentation of nn.LSTM, nn.GRU and nn.RNN. A change comes where the value is made, so what
is computed from it follows: the gates, then the cell state, then the hidden state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

from .recurrent_cells import Weights

Change = Callable[[str, Tensor], Tensor]
"""(kind, value (B, C)) -> the value to go on with."""


def changed_step(
    mode: str, inputs: Tensor, states: dict[str, Tensor], weights: Weights, change: Change
) -> dict[str, Tensor]:
    """The kinds of KINDS[mode] after one step.

    Args:
        mode: A key of KINDS.
        inputs: (B, I).
        states: "hidden" (B, P) and, of an LSTM, "cell" (B, C), before the step.
        weights: Of the dtype of the inputs.
        change: Asked for every value as soon as it is made.
    """
    given = linear(inputs, weights.ih, weights.bias_ih)  # (B, G)
    recurrent = linear(states["hidden"], weights.hh, weights.bias_hh)  # (B, G)
    if mode == "LSTM":
        return _lstm(given + recurrent, states["cell"], weights.hr, change)
    if mode == "GRU":
        return _gru(given, recurrent, states["hidden"], change)
    sums = given + recurrent
    return {"hidden": change("hidden", sums.relu() if mode == "RNN_RELU" else sums.tanh())}


def _lstm(sums: Tensor, cell: Tensor, projection: Tensor | None, change: Change) -> dict[str, Tensor]:
    i, f, g, o = sums.chunk(4, -1)
    gates = {"gate.i": i.sigmoid(), "gate.f": f.sigmoid(), "gate.g": g.tanh(), "gate.o": o.sigmoid()}
    gates = {kind: change(kind, value) for kind, value in gates.items()}
    cell = change("cell", gates["gate.f"] * cell + gates["gate.i"] * gates["gate.g"])
    hidden = gates["gate.o"] * cell.tanh()
    hidden = hidden if projection is None else linear(hidden, projection)
    return {"hidden": change("hidden", hidden), "cell": cell, **gates}


def _gru(given: Tensor, recurrent: Tensor, hidden: Tensor, change: Change) -> dict[str, Tensor]:
    (r, z, n), (r_part, z_part, n_part) = given.chunk(3, -1), recurrent.chunk(3, -1)
    r = change("gate.r", (r + r_part).sigmoid())
    z = change("gate.z", (z + z_part).sigmoid())
    n = change("gate.n", (n + r * n_part).tanh())
    return {"hidden": change("hidden", torch.lerp(n, hidden, z)), "gate.r": r, "gate.z": z, "gate.n": n}
