"""One network with six planted faults, and its healthy twin, for the health report.

In: whether to plant them. Out: a model of six branches beside each other, and an input for it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .analysis.test_health_memory import Attend, Masked, collapse
from .analysis.test_health_planting import at
from .conformance.slot_models import NTM, Loops

DEAD = (3, 8, 15, 21, 40, 41, 63)
TWINS = (2, 7)
HEAD, KEY, SLOT, SICK = 2, 3, 2, 5


class Faulty(nn.Module):
    """Each branch with one fault: 7 dead units of 64, twin channels, a stuck gate, a slot that nothing addresses, a
    head on one key, and a NaN in the last layer, so that nothing else is hit by it."""

    def __init__(self, planted: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(32, 64)
        self.relu = nn.ReLU()
        self.mixed = nn.Linear(32, 12)
        self.rnn = nn.LSTM(32, 16, batch_first=True)
        self.slots = Loops(Masked() if planted else NTM())
        self.attend = Attend(causal=False, change=collapse(8.0) if planted else None)
        self.head = nn.Linear(32, 8)
        if planted:
            self.plant()

    @torch.no_grad()
    def plant(self) -> None:
        """Write the faults into the weights."""
        self.hidden.bias[list(DEAD)] = -100.0
        self.mixed.weight[TWINS[1]] = self.mixed.weight[TWINS[0]]
        self.mixed.bias[TWINS[1]] = self.mixed.bias[TWINS[0]]
        at(self, "rnn").bias_ih_l0[16:32] = 30.0  # rows 16..31 are the forget gate's
        self.head.weight[SICK, 0] = math.nan

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 32) -> (B, T, 8)."""
        self.relu(self.hidden(x))
        self.mixed(x)
        self.rnn(x)
        self.slots(x[..., :4])
        out: Tensor = self.head(self.attend(x))
        return out


def faulty_input() -> Tensor:
    """Noise (B, T, 32): 4 samples of 80 steps."""
    return torch.randn(4, 80, 32, generator=torch.Generator().manual_seed(3))
