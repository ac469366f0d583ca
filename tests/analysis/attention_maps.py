"""Attention weights for the tests: with closed forms, or random."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def uniform_causal(tokens: int) -> Tensor:
    """Row t: 1 / (t + 1) on keys 0..t, float64 (T, T)."""
    return torch.ones(tokens, tokens, dtype=torch.float64).tril() / torch.arange(1, tokens + 1).unsqueeze(-1)


def one_hot(*keys: int, of: int | None = None) -> Tensor:
    """Query i attends to keys[i] only, (Q, K)."""
    return torch.nn.functional.one_hot(torch.tensor(keys), of or len(keys)).float()


def random_weights(*shape: int, seed: int = 0, causal: bool = False) -> Tensor:
    scores = 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    if causal:
        scores = scores.masked_fill(torch.ones(shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    return scores.softmax(-1)


def random_layers(number: int, *shape: int, seed: int = 0, sharp: float = 2.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(sharp * torch.randn(*shape, generator=generator)).softmax(-1) for _ in range(number)]


def harmonic(number: int) -> float:
    return sum(1 / step for step in range(1, number + 1))
