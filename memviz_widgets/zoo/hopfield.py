"""HopfieldMemory: a modern Hopfield network that completes patterns (Ramsauer et al. 2020, arXiv 2008.02217).

In: patterns to store, then parts of patterns. Out: the patterns that they are parts of. Nothing is trained.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class HopfieldMemory(nn.Module):
    """Stores patterns as they are and retrieves by attention: ``x' = X^T softmax(beta X x)``.

    Args:
        patterns: (P, D) to store.
        beta: how sharply the nearest pattern is preferred; small values blend patterns.
        updates: how often the rule is applied.
    """

    def __init__(self, patterns: Tensor, beta: float = 8.0, updates: int = 3) -> None:
        super().__init__()
        self.patterns: Tensor
        self.register_buffer("patterns", patterns.clone())
        self.beta, self.updates = beta, updates

    def forward(self, query: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        stored = self.patterns.expand(len(query), -1, -1)  # (B, P, D): keys and values of an attention
        state = query.unsqueeze(1)
        for _ in range(self.updates):
            state = functional.scaled_dot_product_attention(state, stored, stored, scale=self.beta)
        return state.squeeze(1)
