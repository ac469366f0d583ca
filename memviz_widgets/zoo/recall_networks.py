"""Two networks for recall tasks: a small transformer, which remembers by attention, and an LSTM, by its state.

In: symbols (B, T). Out: logits (B, T, answers), position t after having seen symbols 0..t.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .key_value_cache import KeyValueCache


class CausalAttention(nn.Module):
    """One head of causal self-attention (Vaswani et al. 2017, arXiv 1706.03762).

    Args:
        width: D, of every position.
        head_width: of queries, keys and values; None = D.
        layer_idx: which layer of a cache is its own.
    """

    def __init__(self, width: int, head_width: int | None = None, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        inner = width if head_width is None else head_width
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, past_key_values: KeyValueCache | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D); with a cache, the T steps that follow on those that it has seen."""
        q, k, v = (part(x).unsqueeze(1) for part in (self.query, self.key, self.value))  # (B, 1, T, D)
        if past_key_values is None:
            read = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            k, v = past_key_values.update(k, v, self.layer_idx)
            readable = past_key_values.readable(q.shape[2], k.shape[2])
            read = functional.scaled_dot_product_attention(q, k, v, attn_mask=readable)
        mixed: Tensor = self.out(read.squeeze(1))
        return mixed


class Block(nn.Module):
    """Attention and a network per position, each after a norm and added to what was there."""

    def __init__(self, width: int, head_width: int | None = None, layer_idx: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, head_width, layer_idx)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, past_key_values: KeyValueCache | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.attention(self.norm1(x), past_key_values)
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
        head_width: of queries, keys and values; None = ``width``. What is kept of a step is twice this, per layer.
    """

    def __init__(
        self,
        vocabulary: int,
        answers: int,
        width: int = 64,
        layers: int = 2,
        longest: int = 64,
        head_width: int | None = None,
    ) -> None:
        super().__init__()
        self.symbols, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(Block(width, head_width, layer) for layer in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, answers)

    def forward(self, symbols: Tensor, past_key_values: KeyValueCache | None = None) -> Tensor:
        """(B, T) -> (B, T, answers); with a cache, the T steps that follow on those that it has seen."""
        seen = 0 if past_key_values is None else past_key_values.get_seq_length()
        steps = torch.arange(seen, seen + symbols.shape[1], device=symbols.device)
        x = self.symbols(symbols) + self.positions(steps)
        for block in self.blocks:
            x = block(x, past_key_values)
        logits: Tensor = self.head(self.norm(x))
        return logits


class RecallLSTM(nn.Module):
    """An LSTM (Hochreiter & Schmidhuber 1997) that reads symbols and answers at each step.

    Args:
        vocabulary: symbols that it reads.
        answers: symbols that it can answer, the first ones.
        width: of its state.
        embedding: width of a symbol; None = ``width``.
    """

    def __init__(self, vocabulary: int, answers: int, width: int = 32, embedding: int | None = None) -> None:
        super().__init__()
        entry = width if embedding is None else embedding
        self.symbols = nn.Embedding(vocabulary, entry)
        self.lstm = nn.LSTM(entry, width, batch_first=True)
        self.head = nn.Linear(width, answers)

    def forward(self, symbols: Tensor) -> Tensor:
        """(B, T) -> (B, T, answers)."""
        states, _ = self.lstm(self.symbols(symbols))
        logits: Tensor = self.head(states)
        return logits
