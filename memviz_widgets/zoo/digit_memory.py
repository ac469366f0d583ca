"""DigitMemory: looks at a few pictures, one after another, and says which digit was shown when it is asked.

In: pictures (B, T, 1, 8, 8) and a question (B,), which of them. Out: logits (B, 10). It has one of each thing that the
views show: convolutions per picture, attention between the patches of a picture, and an LSTM that remembers them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PatchAttention(nn.Module):
    """A summary token looks at the patches of a picture, and the patches at each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.summary = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, D) -> (B, D), the summary."""
        x = torch.cat([self.summary.expand(len(patches), -1, -1), patches], 1)
        q, k, v = self.qkv(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, N, 1 + P, d)
        read = functional.scaled_dot_product_attention(q, k, v)
        mixed = x + self.out(read.transpose(1, 2).flatten(2))
        summary: Tensor = mixed[:, 0]
        return summary


class DigitMemory(nn.Module):
    """Convolutions, attention over patches and an LSTM.

    Args:
        width: of a patch, and of the LSTM's input.
        heads: of the attention.
        memory: width of the LSTM's state.
        longest: most pictures.
    """

    def __init__(self, width: int = 32, heads: int = 2, memory: int = 96, longest: int = 3) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, width, 2, stride=2)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.places = nn.Parameter(torch.randn(16, width) * 0.1)
        self.attention = PatchAttention(width, heads)
        self.memory = nn.LSTM(width, memory, batch_first=True)
        self.question = nn.Embedding(longest, memory)
        self.head = nn.Sequential(nn.Linear(2 * memory, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, pictures: Tensor, question: Tensor) -> Tensor:
        """(B, T, 1, 8, 8), (B,) -> (B, 10)."""
        batch, steps = pictures.shape[:2]
        x = self.relu1(self.conv1(pictures.flatten(0, 1)))  # (B T, 16, 8, 8)
        x = self.relu2(self.conv2(x))  # (B T, D, 4, 4)
        seen = self.attention(x.flatten(2).transpose(1, 2) + self.places)  # (B T, D)
        _, (hidden, _) = self.memory(seen.unflatten(0, (batch, steps)))
        logits: Tensor = self.head(torch.cat([hidden[-1], self.question(question)], 1))
        return logits
