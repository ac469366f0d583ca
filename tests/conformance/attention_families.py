"""Attention weights worked out by hand, to hold what a cache says against.

In: a model's own parameters, inputs that a cache recorded. Out: weights (B, N, Q, K) in float64, and the comparison.
Nothing here is shared with the package, and nothing of transformers or torch computes attention here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache

Shape = tuple[int, int, int, int]
"""(B, N, Q, K)."""
ModelT = TypeVar("ModelT", bound=nn.Module)

TOLERANCE = 1e-5


def uneven(model: ModelT, std: float = 0.3) -> ModelT:
    """The model with larger seeded weights and biases, in eval: its attention is far from even, no bias table is 0."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=std)
    return model.eval()


@contextmanager
def same_state(model: nn.Module) -> Iterator[None]:
    """After the block every parameter and buffer has the bits that it had."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W^T + b``, with the weight as nn.Linear keeps it."""
    result = x.double() @ weight.double().T
    return result if bias is None else result + bias.double()


def heads_apart(x: Tensor, heads: int) -> Tensor:
    """(B, L, N * D) as (B, N, L, D)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).permute(0, 2, 1, 3)


def projected(x: Tensor, layer: nn.Module, heads: int) -> Tensor:
    """What an nn.Linear makes of x, in float64, as (B, N, L, D)."""
    parameters: Mapping[str, Tensor] = dict(layer.named_parameters())
    return heads_apart(linear(x, parameters["weight"], parameters.get("bias")), heads)


def in_projected(model: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Query and key (B, N, L, D) of self-attention."""
    assert model.in_proj_weight is not None
    query, key, _ = linear(x, model.in_proj_weight, model.in_proj_bias).chunk(3, dim=-1)
    return heads_apart(query, model.num_heads), heads_apart(key, model.num_heads)


def by_hand(
    query: Tensor,
    key: Tensor,
    *,
    scale: float | None = None,
    bias: Tensor | None = None,
    allowed: Tensor | None = None,
) -> Tensor:
    """exp(score) over the sum of exp(score) of the keys that a query may attend to; 0 where there are none.

    Args:
        query: (B, N, Q, D).
        key: (B, Nk, K, D): head n reads key head n // (N / Nk).
        scale: Of the scores; None is 1 / sqrt(D).
        bias: Added to the scores.
        allowed: True where a query may attend; None is everywhere.
    """
    together = query.shape[1] // key.shape[1]
    key = key[:, [head // together for head in range(query.shape[1])]]
    scores = torch.einsum("bnqd,bnkd->bnqk", query.double(), key.double())
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias.double()
    shares = (scores - scores.amax(-1, keepdim=True)).exp()
    if allowed is not None:
        shares = shares * allowed
    total = shares.sum(-1, keepdim=True)
    return torch.where(total > 0, shares / total, 0.0)


def assert_weights(
    cache: ActivationCache,
    path: str,
    expected: Tensor,
    shape: Shape,
    allowed: Tensor | None = None,
    *,
    masked: float = 0.0,
    **place: Any,
) -> None:
    """The cache's weights are the expected ones, whole and by head; rows with keys sum to 1, others to 0.

    Args:
        cache, path, place: Of the weights.
        expected: Weights by hand.
        shape: (B, N, Q, K).
        allowed: True where a query may attend; None is everywhere.
        masked: Most that a weight may be where it may not.
    """
    weights, record = cache.attention(path, **place), cache.find(path, "attention", **place)
    assert tuple(weights.shape) == tuple(expected.shape) == record.shape == shape
    assert record.dims == ("batch", "head", "query", "key") and not cache.remarks
    torch.testing.assert_close(weights.double(), expected, rtol=0, atol=TOLERANCE)
    may = torch.ones(shape, dtype=torch.bool) if allowed is None else allowed.expand(shape)
    assert torch.all(weights[~may] <= masked)
    torch.testing.assert_close(weights.sum(-1), may.any(-1).float(), rtol=0, atol=TOLERANCE)
    head = shape[1] - 1
    torch.testing.assert_close(cache.attention(path, head=head, **place), weights[:, head], rtol=0, atol=1e-6)
    even = may / may.sum(-1, keepdim=True).clamp(min=1)
    assert (expected - even).abs().max() > 0.1, "weights that are nearly even would hide a mistake"


def causal(length: int) -> Tensor:
    """Query i may attend to keys 0 to i."""
    return torch.arange(length)[None, :] <= torch.arange(length)[:, None]


def rotated(x: Tensor, theta: float) -> Tensor:
    """(B, N, L, D) with the numbers i and i + D / 2 of each row turned by position * theta^(-2 i / D) (RoFormer)."""
    half = x.shape[-1] // 2
    speed = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * speed
    first, second = x.double()[..., :half], x.double()[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def t5_bucket(distance: int, *, both_ways: bool) -> int:
    """Bucket 0 to 31 of a key's position minus the query's (Raffel et al. 2020, with their 32 buckets up to 128)."""
    buckets = 16 if both_ways else 32
    first = buckets if both_ways and distance > 0 else 0
    far = abs(distance) if both_ways else max(-distance, 0)
    exact = buckets // 2
    if far < exact:
        return first + far
    wider = math.log(far / exact) / math.log(128 / exact) * (buckets - exact)
    return first + min(exact + int(wider), buckets - 1)


def t5_bias(table: Tensor, queries: int, keys: int, *, both_ways: bool) -> Tensor:
    """The relative position bias (1, N, Q, K) of a table (bucket, head)."""
    buckets = [[t5_bucket(key - query, both_ways=both_ways) for key in range(keys)] for query in range(queries)]
    return table[torch.tensor(buckets)].permute(2, 0, 1)[None]


def swin_cells(side: int, window: int, shift: int) -> list[list[tuple[int, int]]]:
    """Per window, the (row, column) of its cells in the shifted picture of side x side cells, row by row."""
    corners = product(range(0, side, window), repeat=2)
    cells = list(product(range(window), repeat=2))
    return [[(top + shift + row, left + shift + column) for row, column in cells] for top, left in corners]


def swin_windows(picture: Tensor, side: int, window: int, shift: int) -> Tensor:
    """Cells (B, side * side, C) as windows (B * windows, window * window, C); a shifted window goes on at the start."""
    places = [[(row % side) * side + column % side for row, column in each] for each in swin_cells(side, window, shift)]
    return picture[:, torch.tensor(places)].flatten(0, 1)


def swin_allowed(side: int, window: int, shift: int) -> Tensor:
    """(windows, 1, Q, K): cells that went on at the start and those that did not are no neighbours."""
    beyond = [[(row >= side, column >= side) for row, column in each] for each in swin_cells(side, window, shift)]
    return torch.tensor([[[one == other for other in each] for one in each] for each in beyond])[:, None]


def swin_bias(table: Tensor, window: int) -> Tensor:
    """The relative position bias (1, N, Q, K) of a table ((2 W - 1)^2, head)."""
    cells = list(product(range(window), repeat=2))
    wide = 2 * window - 1
    rows = [[(a - c + window - 1) * wide + b - d + window - 1 for c, d in cells] for a, b in cells]
    return table[torch.tensor(rows)].permute(2, 0, 1)[None]


class MemN2N(nn.Module):
    """An end-to-end memory network (Sukhbaatar et al. 2015): adjacent weights, three hops, no module inside."""

    def __init__(self, read: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.tables = nn.Parameter(torch.randn(4, 99, 8))
        self.read = read

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        """Story (B, S, words), question (B, words), 0 = no word; the answer's scores (B, vocabulary)."""
        empty = (story == 0).all(-1)
        state = self.tables[0][question].sum(1)  # (B, D)
        for hop in range(3):
            memory, values = (self.tables[place][story].sum(2) for place in (hop, hop + 1))  # (B, S, D)
            scores = torch.einsum("bd,bsd->bs", state, memory) / 8
            shares = scores.masked_fill(empty, -torch.inf).softmax(-1)
            state = state + self.read(shares, values)
        return state @ self.tables[3].T
