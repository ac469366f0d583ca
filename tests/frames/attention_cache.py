"""Caches of attention weights for the tests: tensors, or q and k as the capture keeps them; weights by hand."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from memviz_widgets.capture.attention import QueryKey
from memviz_widgets.frames import Page, dequantise
from memviz_widgets.frames.quantise import NEG_INF_CODE, Quantised

from .fake_cache import FakeCache, FakeLazy

WEIGHTS = ("batch", "head", "query", "key")


def attention_cache(*values: Tensor | QueryKey | FakeLazy, texts: list[list[list[str]]] | None = None) -> FakeCache:
    """A record of attention per value, of the modules layer.0, layer.1, ..."""
    cache = FakeCache(*[(torch.zeros(1, 1, 1, 1), WEIGHTS) for _ in values])
    cache.values = list(values)  # type: ignore[arg-type]
    cache.token_texts = texts or []
    for index, value in enumerate(values):
        shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
        cache.change(index, kind="attention", path=f"layer.{index}", shape=shape, dtype=dtype, stats=None)
    return cache


def query_key(
    shape: tuple[int, int, int, int], *, key_heads: int | None = None, causal: bool = False, seed: int = 0
) -> QueryKey:
    """Random q and k of 4 channels for weights of this shape."""
    batch, heads, queries, keys = shape
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, heads, queries, 4, generator=generator)
    key = torch.randn(batch, key_heads or heads, keys, 4, generator=generator)
    return QueryKey(query, key, None, causal, 0.5)


def by_hand(value: QueryKey) -> Tensor:
    """softmax(scale * q k^T) in float64, a head at a time, with nothing that the package has."""
    query, key = value.query.double(), value.key.double()
    batch, heads, queries, _ = query.shape
    weights = torch.zeros(batch, heads, queries, key.shape[2], dtype=torch.float64)
    for sample in range(batch):
        for head in range(heads):
            shared = head * key.shape[1] // heads
            scores = value.scale * query[sample, head] @ key[sample, shared].T
            for row in range(queries):
                allowed = row + 1 if value.is_causal else len(scores[row])
                exps = (scores[row, :allowed] - scores[row, :allowed].max()).exp()
                weights[sample, head, row, :allowed] = exps / exps.sum()
    return weights


def shown(page: Page) -> np.ndarray:
    """The values that the codes of a page stand for; 0 where the code says exactly 0."""
    values = dequantise(Quantised(page.cells, page.lows, page.highs))
    return np.where(page.cells == NEG_INF_CODE, 0.0, values)


def step_of(page: Page) -> float:
    """How far a code may be from its value."""
    return float(np.nanmax(page.highs - page.lows)) / 504 + 1e-6


def uniform_causal(tokens: int) -> Tensor:
    """Row t: 1 / (t + 1) on keys 0..t, (T, T)."""
    return torch.ones(tokens, tokens).tril() / torch.arange(1, tokens + 1).unsqueeze(-1)


def harmonic(number: int) -> float:
    return math.fsum(1 / step for step in range(1, number + 1))
