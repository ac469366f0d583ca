"""Models for the recall lab: one that looks back as far as it is told to, and ones that misbehave.

In: symbols (B, T). Out: logits (B, T, V) that are right wherever the answer can be had.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LooksBack(nn.Module):
    """Answers with the first symbol of the sequence if that is at most ``reach`` steps ago, else with symbol 0.

    It leaves traces where it can: a buffer that counts calls, random numbers, dropout that changes all in training.
    """

    seen: Tensor

    def __init__(self, reach: int, symbols: int = 8) -> None:
        super().__init__()
        self.reach, self.symbols = reach, symbols
        self.drop = nn.Dropout(1.0)
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        self.seen += 1
        torch.rand(3)
        steps = inputs.shape[1]
        answer = inputs[:, :1].expand(-1, steps).clone()
        answer[:, torch.arange(steps) > self.reach] = 0
        logits = 9.0 * functional.one_hot(answer, self.symbols + 2).float()
        return self.scale * self.drop(logits)


class Breaks(LooksBack):
    """Raises for sequences of more than 5 steps."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        if inputs.shape[1] > 5:
            raise RuntimeError("too long for me")
        return super().forward(inputs)
