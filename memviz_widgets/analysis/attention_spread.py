"""How spread a query's attention is and how far it looks, and how alike two heads spread theirs.

In: weights (..., Q, K). Out: one number per query or pair of heads, as :mod:`memviz_widgets.analysis.attention` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import WeightsError
from .attention_rows import SAME_MASS, checked_rows, in_result_dtype, keys_of, may_attend, positions, unfilled


def entropy(weights: Tensor) -> Tensor:
    """Shannon entropy ``-sum_s a ln a`` of each query's attention (Shannon 1948), with ``0 ln 0 = 0``.

    Args:
        weights: (..., Q, K).

    Returns:
        (..., Q), nats, 0 (one key) .. ln K (all keys alike); uniform causal attention has ln(t + 1).
    """
    return in_result_dtype(_per_query(weights, lambda rows, _: _entropy(rows)), weights)


def effective_keys(weights: Tensor) -> Tensor:
    """How many keys a query reads: ``exp(entropy)``, the number of keys that uniform attention would need for it.

    Args:
        weights: (..., Q, K).

    Returns:
        (..., Q), 1..K.
    """
    return in_result_dtype(_per_query(weights, lambda rows, _: _entropy(rows).exp_()), weights)


def normalised_entropy(weights: Tensor, causal: bool = False, at: Tensor | None = None) -> Tensor:
    """Entropy as a part of the largest that it could be: ``H / ln(keys that the query may attend to)``.

    Args:
        weights: (..., Q, K).
        causal: the query at position t may attend to keys 0..t only; otherwise to all K.
        at: positions (Q,) of the queries among the keys, for a choice of queries. None = the last Q.

    Returns:
        (..., Q), 0..1; uniform attention is 1. A query that may attend to one key only is 0.

    Raises:
        WeightsError: also for ``causal=True`` and weights that are not.
    """

    def measure(rows: Tensor, standing: Tensor) -> Tensor:
        open_keys = may_attend(standing, keys_of(rows), causal)
        if bool(((rows * ~open_keys).sum(-1) > SAME_MASS).any()):
            raise WeightsError(
                "causal=True, but a query attends to a key after its own position. Leave causal out for attention in "
                "both directions; the last query counts as standing at the last key."
            )
        count = open_keys.sum(-1)  # (q,)
        part = (_entropy(rows) / count.clamp(min=2).log()).clamp_(max=1.0)  # rounding may leave 1 + 2e-16
        return part.masked_fill_(count < 2, 0.0)

    return in_result_dtype(_per_query(weights, measure, at), weights)


def mean_distance(weights: Tensor, query_offset: int | None = None, at: Tensor | None = None) -> Tensor:
    """How far back, or ahead, a query looks: ``sum_s a(t, s) |t - s|`` (Vig & Belinkov 2019, arXiv 1906.04284).

    Args:
        weights: (..., Q, K).
        query_offset: position of the first query among the keys. None = K - Q, which is right for self-attention, also
            over a cache; between two texts positions have no distance, and the number means nothing.
        at: positions (Q,) of the queries among the keys, for a choice of queries. None = as ``query_offset`` says.

    Returns:
        (..., Q), tokens, 0 or more; uniform causal attention has t / 2.
    """

    def measure(rows: Tensor, standing: Tensor) -> Tensor:
        shift = 0 if query_offset is None or at is not None else query_offset - (weights.shape[-1] - weights.shape[-2])
        return (rows * (standing + shift - keys_of(rows)).abs()).sum(-1)

    return in_result_dtype(_per_query(weights, measure, at), weights)


def head_similarity(weights: Tensor) -> Tensor:
    """How alike two heads attend: 1 - JS / ln 2, averaged over the queries that attend to anything in both.

    JS is the Jensen-Shannon divergence ``H((p + q) / 2) - (H(p) + H(q)) / 2`` (Lin 1991), by which Clark et al. 2019
    (arXiv 1906.04341, sec. 6) cluster heads.

    Args:
        weights: (..., N, Q, K).

    Returns:
        (..., N, N), symmetric, 0 (no key in common) .. 1 (the same weights, as on the diagonal).

    Raises:
        WeightsError: also for weights without a head axis.
    """
    if weights.dim() < 3:
        raise WeightsError(f"expected weights (..., head, query, key); got shape {tuple(weights.shape)}.")
    heads = weights.shape[-3]
    divergence = unfilled(weights, *weights.shape[:-3], heads, heads).zero_()
    queries = torch.zeros_like(divergence)
    for _, rows, live in checked_rows(weights):
        own = _entropy(rows)  # (..., N, q)
        for head in range(heads):
            mixed = _entropy((rows[..., head:, :, :] + rows[..., head : head + 1, :, :]) / 2)
            both = live[..., head:, :] & live[..., head : head + 1, :]
            apart = mixed - (own[..., head:, :] + own[..., head : head + 1, :]) / 2
            divergence[..., head, head:] += (apart * both).sum(-1)
            queries[..., head, head:] += both.sum(-1)
    similarity = (1 - divergence / queries / math.log(2)).clamp_(0, 1).triu()
    return in_result_dtype(similarity + similarity.triu(1).mT, weights)


def _per_query(weights: Tensor, measure: Callable[[Tensor, Tensor], Tensor], at: Tensor | None = None) -> Tensor:
    """``measure(rows, positions)`` of all queries, float64 (..., Q); NaN for those that attend to nothing."""
    blocks = checked_rows(weights)
    measured = unfilled(weights, *weights.shape[:-1])
    for first, rows, live in blocks:
        values = measure(rows, positions(first, rows, weights, at))
        measured[..., first : first + rows.shape[-2]] = values.masked_fill(~live, torch.nan)
    return measured


def _entropy(rows: Tensor) -> Tensor:
    """Nats, (..., q). Adding 0 turns the -0 of a single key into 0."""
    nats: Tensor = torch.special.entr(rows).sum(-1)
    return nats.add_(0.0)
