"""A small Mamba of our own that runs step by step, and a cache for it with the attributes of those in transformers.

In: nothing. Out: TinyMamba, which keeps the states of its last call, and TinyCache.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

WIDTH, CHANNELS, SIZE, RANK, KERNEL = 6, 8, 3, 2, 4


class TinyLayer:
    """What a cache holds of one layer."""

    def __init__(self) -> None:
        self.recurrent_states: dict[int, Tensor | None] = {0: None}
        self.conv_states: dict[int, Tensor | None] = {0: None}


class TinyCache:
    """A cache of one layer."""

    def __init__(self) -> None:
        self.layers = [TinyLayer()]


class TinyMamba(nn.Module):
    """A Mamba layer. Like those of transformers, it takes the state from a cache only where it goes on by one step.

    Attributes:
        states: (B, T, CHANNELS, SIZE), of the last call.
    """

    activation = "silu"
    layer_idx = 0

    def __init__(self) -> None:
        super().__init__()
        self.in_proj = nn.Linear(WIDTH, 2 * CHANNELS)
        self.conv1d = nn.Conv1d(CHANNELS, CHANNELS, KERNEL, groups=CHANNELS)
        self.x_proj = nn.Linear(CHANNELS, RANK + 2 * SIZE, bias=False)
        self.dt_proj = nn.Linear(RANK, CHANNELS)
        self.A_log = nn.Parameter(torch.rand(CHANNELS, SIZE))
        self.D = nn.Parameter(torch.rand(CHANNELS))
        self.out_proj = nn.Linear(CHANNELS, WIDTH)
        self.states = torch.empty(0)

    def forward(
        self, hidden_states: Tensor, cache_params: TinyCache | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """(B, T, WIDTH) to the same."""
        mask = torch.ones_like(hidden_states[..., :1]) if attention_mask is None else attention_mask[..., None]
        x, gate = self.in_proj(hidden_states * mask).chunk(2, -1)
        state, past = x.new_zeros(len(x), CHANNELS, SIZE), x.new_zeros(len(x), KERNEL, CHANNELS)
        held = cache_params.layers[0] if cache_params is not None else None
        if held is not None and held.conv_states[0] is not None:
            past = held.conv_states[0].mT
            if x.shape[1] == 1 and held.recurrent_states[0] is not None:
                state = held.recurrent_states[0]
        series = torch.cat([past, x], 1)  # (B, KERNEL + T, CHANNELS)
        x = silu(self.conv1d(series.mT)[..., 1:]).mT * mask
        read, state = self._scan(x, state)
        if held is not None:
            held.conv_states[0], held.recurrent_states[0] = series[:, -KERNEL:].mT.contiguous(), state
        return self.out_proj(read * silu(gate))

    def _scan(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """What is read at every step, and the last state."""
        raw, b, c = self.x_proj(x).split([RANK, SIZE, SIZE], -1)
        dt, states = softplus(self.dt_proj(raw)), []
        for t in range(x.shape[1]):
            state = (-self.A_log.exp() * dt[:, t, :, None]).exp() * state
            state = state + (dt[:, t] * x[:, t])[..., None] * b[:, t, None]
            states.append(state)
        self.states = torch.stack(states, 1)
        return torch.einsum("btcn,btn->btc", self.states, c) + self.D * x, state
