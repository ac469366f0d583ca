"""Two networks for recall tasks: a small transformer, which remembers by attention, and an LSTM, by its state.

In: symbols (B, T). Out: logits (B, T, answers), position t after having seen symbols 0..t.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalAttention(nn.Module):
    """One head of causal self-attention (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        q, k, v = (part(x).unsqueeze(1) for part in (self.query, self.key, self.value))  # (B, 1, T, D)
        read = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed: Tensor = self.out(read.squeeze(1))
        return mixed


class Block(nn.Module):
    """Attention and a network per position, each after a norm and added to what was there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.attention(self.norm1(x))
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed


class RecallTransformer(nn.Module):
    """A transformer of two layers with one head each: what associative recall needs, and no more.

    With it Olsson et al. 2022 ("In-context learning and induction heads", arXiv 2209.11895) found induction heads: the
    first layer copies what came before into each position, the second finds the position that followed the same key.

    Args:
        vocabulary: symbols that it reads.
        answers: symbols that it can answer, the first ones.
        width: of every position.
        layers: number of blocks.
        longest: most steps.
    """

    def __init__(self, vocabulary: int, answers: int, width: int = 64, layers: int = 2, longest: int = 64) -> None:
        super().__init__()
        self.symbols, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, answers)

    def forward(self, symbols: Tensor) -> Tensor:
        """(B, T) -> (B, T, answers)."""
        x = self.symbols(symbols) + self.positions(torch.arange(symbols.shape[1], device=symbols.device))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits


class RecallLSTM(nn.Module):
    """An LSTM (Hochreiter & Schmidhuber 1997) that reads symbols and answers at each step.

    Args:
        vocabulary: symbols that it reads.
        answers: symbols that it can answer, the first ones.
        width: of its state.
    """

    def __init__(self, vocabulary: int, answers: int, width: int = 32) -> None:
        super().__init__()
        self.symbols = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, answers)

    def forward(self, symbols: Tensor) -> Tensor:
        """(B, T) -> (B, T, answers)."""
        states, _ = self.lstm(self.symbols(symbols))
        logits: Tensor = self.head(states)
        return logits
