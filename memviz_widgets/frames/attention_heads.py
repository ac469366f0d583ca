"""What each head of a record of attention weights does: its measures, from some of the queries where there are many.

In: weights (B, N, Q, K), a tensor or a LazyValue; the texts of the tokens. Out: a row of numbers per measure.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..analysis.attention import KINDS, head_kinds, is_causal, mean_distance, normalised_entropy
from ..analysis.attention_shares import Wanted, after_the_same, first_keys, share_sums, token_before, token_itself
from ..cache.ranks_values import not_recorded
from ..errors import NotKeptError
from .attention_maps import Weights, middles, read_block
from .token_places import ids_of_texts

HEAD_MEASURES = ("entropy", "distance", "sink", "previous", "current", "induction", "kind", "score", "causal")
"""Rows of a page "heads".

entropy: of the queries that have a choice, as a part of that of uniform attention, 0..1. distance: tokens. sink,
previous, current, induction: share of the attention on the first key, the token before, the token itself, and what
followed the same text earlier. kind: place in ``HEAD_KINDS``, -1 = none; score: the number that decided. causal: 1 when
no query of any head attends to a later key. Means over queries; NaN where a measure means nothing.
"""

HEAD_KINDS = KINDS
"""What a head may be called."""

HEADS_CELLS = 2**21
"""Most weights of a sample that the measures look at, some 0.2 s: the kernel waits meanwhile."""

SAMPLED_RUNS = 32
"""Runs of neighbouring queries that are looked at where not all can be, at even distances."""


def head_measures(
    values: Weights, sample: int, texts: Sequence[str] | None = None, *, cross: bool = False
) -> tuple[Tensor, bool]:
    """The measures of every head for one sample, float32 (measures, 1, N), and whether queries were left out.

    Positions are those of self-attention, the last query at the last key. Between two texts (``cross``, or not square
    and a query attends beyond that position) distance, previous and current are NaN, and only sink and broad are kinds.

    Args:
        values: (B, N, Q, K).
        sample: 0..B-1.
        texts: of the K tokens of self-attention over all of them; None = no induction.
        cross: whether queries and keys are known to be two texts.

    Of heads that no rank recorded all measures are NaN.

    Raises:
        WeightsError: for what are no attention weights.
        NotKeptError: when no head of the sample was recorded.
    """
    weights, at = _sampled(values, sample)  # (N, q, K), (q,)
    heads = [head for head in range(values.shape[1]) if not not_recorded(values, (sample, head, -1, -1))]
    if not heads and values.shape[1]:
        raise NotKeptError(f"sample {sample} was not recorded: the part of its rank is missing.")
    table = _measured(weights[heads], at, values.shape, texts, cross=cross)  # (M, 1, heads)
    whole = torch.full((len(HEAD_MEASURES), 1, values.shape[1]), torch.nan)
    whole[HEAD_MEASURES.index("kind")] = -1
    whole[..., heads] = table
    return whole, weights.shape[1] < values.shape[2]


def _measured(
    weights: Tensor, at: Tensor, shape: tuple[int, ...], texts: Sequence[str] | None, *, cross: bool
) -> Tensor:
    """The measures of some heads, (M, 1, heads)."""
    queries, keys = shape[2:]
    causal = not cross and is_causal(weights, at)
    one_text = not cross and (causal or queries == keys)
    ids = ids_of_texts(texts) if one_text and texts is not None and len(texts) == keys else None
    kinds = head_kinds(weights, ids, causal=causal, at=at if one_text else None)
    named = KINDS if one_text else ("sink", "broad")
    rows = [
        _mean_entropy(weights, at, causal),
        _mean(mean_distance(weights, at=at)) if one_text else _nothing(weights),
        *_shares(weights, at, causal, one_text, ids),
        torch.tensor([KINDS.index(each.kind) if each.kind in named else -1 for each in kinds]),
        torch.tensor([each.score if each.kind in named else torch.nan for each in kinds]),
        torch.full((len(kinds),), float(causal)),
    ]
    return torch.stack([row.to("cpu", torch.float32) for row in rows]).unsqueeze(1)


def _sampled(values: Weights, sample: int) -> tuple[Tensor, Tensor]:
    """Weights (N, q, K) of all or some queries of a sample, and the positions (q,) of those among the keys."""
    _, heads, queries, keys = values.shape
    most = max(1, HEADS_CELLS // (heads * keys))
    if most >= queries:
        runs = [slice(0, queries)]
    else:
        window = -(-queries // min(SAMPLED_RUNS, most))
        runs = list(middles(queries, window, max(1, most // -(-queries // window))))
    read = [read_block(values, (slice(sample, sample + 1), slice(0, heads), run, slice(0, keys)))[0] for run in runs]
    at = torch.cat([torch.arange(run.start, run.stop) for run in runs]) + (keys - queries)
    return torch.cat(read, dim=1), at


def _shares(weights: Tensor, at: Tensor, causal: bool, one_text: bool, ids: list[int] | None) -> list[Tensor]:
    """Sink, previous, current, induction."""
    wanted: list[Wanted] = [first_keys(1)]
    wanted += [token_before, token_itself] if one_text else []
    wanted += [after_the_same(ids, weights)] if ids is not None else []
    mass, _, queries = share_sums(weights, wanted, causal, at)  # (rules, N) each
    shares = list(mass / queries)
    return shares + [_nothing(weights)] * (4 - len(shares))


def _mean_entropy(weights: Tensor, at: Tensor, causal: bool) -> Tensor:
    """Mean over the queries that may attend to two keys or more."""
    choice = at > 0 if causal else torch.full(at.shape, weights.shape[-1] > 1)
    return _mean(normalised_entropy(weights, causal, at)[:, choice])


def _mean(per_query: Tensor) -> Tensor:
    """(N,) of (N, q), without the queries that attend to nothing."""
    return per_query.nanmean(-1)


def _nothing(weights: Tensor) -> Tensor:
    return torch.full(weights.shape[:1], torch.nan)
