"""RecallMamba: a state-space network for recall tasks (Gu & Dao 2023, "Mamba", arXiv 2312.00752).

In: symbols (B, T). Out: logits (B, T, answers), position t after having seen symbols 0..t. All that is carried from
step to step is a state per layer, of fixed size: (channels, state), and the last inputs of a short convolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOWEST, FASTEST = 0.001, 0.1
"""Between these the steps dt are spread before training, as in the paper."""


class MambaMixer(nn.Module):
    """A selective state space (section 3.2 of the paper), written step by step: slow, and easy to read.

    ``state_t = exp(dt_t A) state_{t-1} + dt_t B_t x_t`` and ``y_t = C_t state_t + D x_t``, where dt, B and C are
    projections of x, the input after a short causal convolution.

    Args:
        width: of its input and output.
        channels: of the state.
        state: places of the state per channel.
        rank: of the projection of dt.
        kernel: of the convolution.
    """

    activation = "silu"

    def __init__(self, width: int, channels: int, state: int, rank: int = 4, kernel: int = 4) -> None:
        super().__init__()
        self.sizes = [rank, state, state]
        self.in_proj = nn.Linear(width, 2 * channels, bias=False)
        self.conv1d = nn.Conv1d(channels, channels, kernel, groups=channels)
        self.x_proj = nn.Linear(channels, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(rank, channels)
        self.A_log = nn.Parameter(torch.arange(1, state + 1).float().log().repeat(channels, 1))
        self.D = nn.Parameter(torch.ones(channels))
        self.out_proj = nn.Linear(channels, width, bias=False)
        with torch.no_grad():
            dt = torch.empty(channels).uniform_(math.log(SLOWEST), math.log(FASTEST)).exp()
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        entered, gate = self.in_proj(x).chunk(2, 2)  # (B, T, C)
        padded = functional.pad(entered.transpose(1, 2), (self.conv1d.kernel_size[0] - 1, 0))
        shown = functional.silu(self.conv1d(padded)).transpose(1, 2)
        raw, written, asked = self.x_proj(shown).split(self.sizes, 2)
        dt = functional.softplus(self.dt_proj(raw))  # (B, T, C)
        keep = (dt.unsqueeze(3) * -self.A_log.exp()).exp()  # (B, T, C, N)
        write = (dt * shown).unsqueeze(3) * written.unsqueeze(2)
        state, reads = torch.zeros_like(write[:, 0]), []
        for step in range(x.shape[1]):
            state = keep[:, step] * state + write[:, step]
            reads.append((state * asked[:, step].unsqueeze(1)).sum(2))
        mixed: Tensor = self.out_proj((torch.stack(reads, 1) + self.D * shown) * functional.silu(gate))
        return mixed


class MambaBlock(nn.Module):
    """A mixer after a norm, added to what was there."""

    def __init__(self, width: int, channels: int, state: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mixer = MambaMixer(width, channels, state)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        mixed: Tensor = x + self.mixer(self.norm(x))
        return mixed


class RecallMamba(nn.Module):
    """A few Mamba layers that read symbols and answer at each step.

    Args:
        vocabulary: symbols that it reads.
        answers: symbols that it can answer, the first ones.
        width: of every position.
        channels: of each layer's state.
        state: places of it per channel.
        layers: number of layers.
    """

    def __init__(
        self, vocabulary: int, answers: int, width: int = 32, channels: int = 18, state: int = 13, layers: int = 1
    ) -> None:
        super().__init__()
        self.symbols = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(MambaBlock(width, channels, state) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, answers)

    def forward(self, symbols: Tensor) -> Tensor:
        """(B, T) -> (B, T, answers)."""
        x = self.symbols(symbols)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits
