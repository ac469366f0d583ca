"""BackcopyTransformer: one layer of attention that has something to do at few steps, and parks at the others.

In: symbols (B, T), the first a start mark. Out: logits (B, T, symbols) of the next symbol.
After the bigram-backcopy task of Guo et al. 2024 ("Active-dormant attention heads", arXiv 2410.13835).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .key_value_cache import KeyValueCache
from .recall_networks import CausalAttention

SYMBOLS = 20
TRIGGERS = 3
"""Symbols 0, 1 and 2: after one of them comes again what stood before it."""
START = SYMBOLS
"""The symbol that begins every text."""
FOLLOWERS = (0.55, 0.25, 0.15, 0.05)
"""Chances of the four symbols that may follow each other symbol."""


def follower_chances() -> Tensor:
    """Chance of the next symbol (column) after each symbol (row), (symbols, symbols); rows of triggers do not count."""
    generator = torch.Generator().manual_seed(0)
    chances = torch.zeros(SYMBOLS, SYMBOLS)
    for row in chances:
        row[torch.randperm(SYMBOLS, generator=generator)[: len(FOLLOWERS)]] = torch.tensor(FOLLOWERS)
    return chances


def backcopy_text(size: int, length: int, generator: torch.Generator) -> Tensor:
    """Texts int64 (size, length): a start mark; then each symbol depends on the one before it.

    After a plain symbol comes one of its four followers. After a trigger comes the symbol that stood before it.
    """
    chances = follower_chances()
    text = torch.full((size, length), START)
    text[:, 1] = torch.randint(TRIGGERS, SYMBOLS, (size,), generator=generator)
    for step in range(2, length):
        last = text[:, step - 1]
        drawn = torch.multinomial(chances[last], 1, generator=generator)[:, 0]
        text[:, step] = torch.where(last < TRIGGERS, text[:, step - 2], drawn)
    return text


class BackcopyTransformer(nn.Module):
    """One head of causal attention beside the residual stream, without a network per position.

    What follows a plain symbol is told by the symbol itself. So the head has to read only at triggers; and since its
    weights sum to 1 at every step, it has to look somewhere at the others: at the start mark, whose value adds little,
    or at the step itself.

    Args:
        width: of every position.
        head_width: of queries, keys and values.
        longest: most steps.
    """

    def __init__(self, width: int = 32, head_width: int = 12, longest: int = 64) -> None:
        super().__init__()
        self.symbols, self.positions = nn.Embedding(SYMBOLS + 1, width), nn.Embedding(longest, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, head_width)
        self.head = nn.Linear(width, SYMBOLS)
        with torch.no_grad():
            self.positions.weight *= 0.3

    def forward(self, symbols: Tensor, past_key_values: KeyValueCache | None = None) -> Tensor:
        """(B, T) -> (B, T, symbols); with a cache, the T steps that follow on those that it has seen."""
        seen = 0 if past_key_values is None else past_key_values.get_seq_length()
        steps = torch.arange(seen, seen + symbols.shape[1], device=symbols.device)
        x = self.symbols(symbols) + self.positions(steps)
        logits: Tensor = self.head(self.norm2(x + self.attention(self.norm1(x), past_key_values)))
        return logits


def backcopy_scores(
    model: nn.Module, cache: KeyValueCache | None = None, count: int = 256, length: int = 48, seed: int = 10_000
) -> tuple[float, float]:
    """Part of the symbols after triggers that is right, and the loss (nats) at plain steps, on texts drawn apart.

    The least loss at plain steps is the entropy of ``FOLLOWERS``, 1.11.

    Args:
        model: a BackcopyTransformer.
        cache: an empty cache with a rule of eviction; None evicts nothing.
        count, length: of the texts.
        seed: draws them.
    """
    text = backcopy_text(count, length, torch.Generator().manual_seed(seed))
    asked, right = slice(2, -1), text[:, 3:]
    logits = model(text, cache)[:, asked]
    triggers = text[:, asked] < TRIGGERS
    loss = functional.cross_entropy(logits.transpose(1, 2), right, reduction="none")
    copied = (logits.argmax(2) == right)[triggers]
    return float(copied.float().mean()), float(loss[~triggers].mean())
