"""On what the attention is: the share of chosen keys, such as the first one or the token before, and of each key.

In: weights (..., Q, K). Out: one number per head or key, as :mod:`memviz_widgets.analysis.attention` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import WeightsError
from .attention_rows import checked_rows, in_result_dtype, keys_of, may_attend, positions, unfilled

Wanted = Callable[[Tensor, Tensor], Tensor]
"""Which keys count, bool (..., q, K), given the positions of queries (q, 1) and of keys (K,)."""


def received(weights: Tensor) -> Tensor:
    """Mean over queries of the attention that each key receives.

    The accumulated attention of H2O (Zhang et al. 2023, arXiv 2306.14048) divided by the number of queries. Under a
    causal mask early keys are seen by more queries: compare with :func:`uniform_received`, best as a ratio.

    Args:
        weights: (..., Q, K).

    Returns:
        (..., K), 0..1, sums to 1 over the keys.
    """
    blocks = checked_rows(weights)
    mass = unfilled(weights, *weights.shape[:-2], weights.shape[-1]).zero_()  # (..., K)
    queries = unfilled(weights, *weights.shape[:-2], 1).zero_()
    for _, rows, live in blocks:
        mass += rows.sum(-2)
        queries += live.sum(-1, keepdim=True)
    return in_result_dtype(mass / queries, weights)


def uniform_received(queries: int, keys: int, *, causal: bool = False, allowed: Tensor | None = None) -> Tensor:
    """What :func:`received` would be if each query attended to all keys alike that it may attend to: the baseline.

    Args:
        queries: Q.
        keys: K.
        causal: the query at position t may attend to keys 0..t only.
        allowed: bool (..., Q, K), True = may attend; with ``causal``, both must allow it. None = all.

    Returns:
        float32 (..., K), 0..1, sums to 1; causal over T tokens, key j has ``(H_T - H_j) / T``.

    Raises:
        WeightsError: for an ``allowed`` that is not bool or does not end in (Q, K).
    """
    if allowed is None:
        allowed = torch.ones((), dtype=torch.bool, device="cpu").expand(queries, keys)
    if allowed.dtype is not torch.bool or allowed.shape[-2:] != (queries, keys):
        raise WeightsError(
            f"expected allowed as bool (..., {queries}, {keys}), True where a query may attend; "
            f"got {allowed.dtype} of shape {tuple(allowed.shape)}."
        )
    if causal:
        at = torch.arange(keys - queries, keys, device=allowed.device).unsqueeze(-1)
        allowed = allowed & (torch.arange(keys, device=allowed.device) <= at)
    return received(allowed / allowed.sum(-1, keepdim=True).clamp(min=1))


def sink_mass(weights: Tensor, sinks: int = 1) -> Tensor:
    """Mean over all queries of the attention on the first keys: an attention sink (Xiao et al. 2023, arXiv 2309.17453).

    Args:
        weights: (..., Q, K).
        sinks: how many of the first keys, 1..K.

    Returns:
        (...), 0..1. The first queries of a causal head have little choice and count too: uniform causal attention over
        T tokens has ``H_T / T`` with ``H_T = 1 + 1/2 + ... + 1/T`` on the first, 0.05 for T = 100.

    Raises:
        WeightsError: also for ``sinks`` out of range.
    """
    if weights.dim() > 1 and not 1 <= sinks <= weights.shape[-1]:
        raise WeightsError(f"sinks={sinks}; expected 1 to {weights.shape[-1]}, the number of keys.")
    return _mean_share(weights, first_keys(sinks))


def previous_token_score(weights: Tensor) -> Tensor:
    """Mean attention on the token before, ``a(t, t - 1)`` over t >= 1 (Olsson et al. 2022, arXiv 2209.11895).

    Args:
        weights: (..., T, T), self-attention over all tokens.

    Returns:
        (...), 0..1; NaN for one token.

    Raises:
        WeightsError: also for weights that are not square.
    """
    return _mean_share(square(weights), token_before)


def current_token_score(weights: Tensor) -> Tensor:
    """Mean attention on the token itself, ``a(t, t)``.

    Args:
        weights: (..., T, T), self-attention over all tokens.

    Returns:
        (...), 0..1.

    Raises:
        WeightsError: also for weights that are not square.
    """
    return _mean_share(square(weights), token_itself)


def induction_score(weights: Tensor, ids: Tensor | Sequence[int]) -> Tensor:
    """Mean attention on what followed the same token earlier: ... A B ... A looks at B.

    Over the queries t with an earlier occurrence s of their token, the mass on all s + 1 < t. This is the "prefix
    matching" of induction heads (Olsson et al. 2022, arXiv 2209.11895) as Crosbie & Shutova 2024 (arXiv 2407.07011)
    compute it; Olsson's own appendix words it as the tokens that *preceded* the earlier occurrence. Here it is on the
    text given, not on repeated random tokens: see how many tokens repeat. Only earlier occurrences count, also for
    attention in both directions. ``s + 1 = t`` does not: on A A, looking at oneself is not induction.

    Args:
        weights: (..., T, T), self-attention over all tokens.
        ids: token ids, integers (T,), or (B, T) where B is the first axis of the weights.

    Returns:
        (...), 0..1; NaN where no token repeats (with another one in between).

    Raises:
        WeightsError: also for weights that are not square, and ids of another length or not integers.
    """
    return _mean_share(square(weights), after_the_same(ids, weights))


def share_sums(weights: Tensor, wanted: Sequence[Wanted], causal: bool, at: Tensor | None = None) -> Tensor:
    """Per rule, over the queries that have a wanted key: mass on such keys, the mass that uniform attention would have.

    ``at``: positions (Q,) of the queries among the keys, None = the last Q.

    Returns:
        float64 (3, rules, ...): the two sums and the number of queries.
    """
    blocks = checked_rows(weights)
    sums = unfilled(weights, 3, len(wanted), *weights.shape[:-2]).zero_()
    for first, rows, live in blocks:
        standing, keys = positions(first, rows, weights, at), keys_of(rows)
        open_keys = may_attend(standing, keys, causal)
        for rule, wants in enumerate(wanted):
            hits = wants(standing, keys)  # (..., q, K)
            counted = live & hits.any(-1)
            uniform = (hits & open_keys).sum(-1) / open_keys.sum(-1).clamp(min=1)
            for place, values in enumerate(((rows * hits).sum(-1), uniform, torch.ones_like(uniform))):
                sums[place, rule] += (values * counted).sum(-1)
    return sums


def square(weights: Tensor) -> Tensor:
    """``weights`` themselves, if each query stands at the key of its own number."""
    if weights.dim() < 2 or weights.shape[-2] != weights.shape[-1]:
        raise WeightsError(
            f"expected self-attention over all tokens, (..., T, T); got shape {tuple(weights.shape)}. "
            "Only there does a query stand at a key: give a run without a cache of earlier keys."
        )
    return weights


def first_keys(sinks: int) -> Wanted:
    """The first ``sinks`` keys."""
    return lambda at, keys: (keys < sinks).expand(len(at), -1)


def token_before(at: Tensor, keys: Tensor) -> Tensor:
    """The key just before the query; a :data:`Wanted`."""
    return keys == at - 1


def token_itself(at: Tensor, keys: Tensor) -> Tensor:
    """The key at the query's own position; a :data:`Wanted`."""
    return keys == at


def after_the_same(ids: Tensor | Sequence[int], weights: Tensor) -> Wanted:
    """Keys s + 1 < t where s holds the same token as query t."""
    tokens = _checked_ids(ids, weights)

    def wanted(at: Tensor, keys: Tensor) -> Tensor:
        follows = tokens[..., at.squeeze(-1)].unsqueeze(-1) == tokens.roll(1, -1).unsqueeze(-2)  # (..., q, K)
        return follows & (keys >= 1) & (keys < at)

    return wanted


def _mean_share(weights: Tensor, wanted: Wanted) -> Tensor:
    """Mean mass on the wanted keys, over the queries that have such a key."""
    mass, _, queries = share_sums(weights, [wanted], causal=False)[:, 0]
    return in_result_dtype(mass / queries, weights)


def _checked_ids(ids: Tensor | Sequence[int], weights: Tensor) -> Tensor:
    """Token ids, (T,) or (B, 1, ..., T), on the device of the rows."""
    batch, tokens = weights.shape[0], weights.shape[-1]
    expected = f"expected token ids as integers, ({tokens},)" + (
        f" or ({batch}, {tokens})" if weights.dim() > 2 else ""
    )
    try:
        given = torch.as_tensor(ids, device=unfilled(weights).device)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: torch knows no dtype for the entries
        raise WeightsError(f"{expected}; got {type(ids).__name__} that is no such array ({error}).") from error
    several = weights.dim() > 2 and given.shape == (batch, tokens)
    whole = not (given.is_floating_point() or given.is_complex() or given.dtype is torch.bool)
    if not whole or not (several or given.shape == (tokens,)):
        raise WeightsError(
            f"{expected}; got {given.dtype} of shape {tuple(given.shape)}. Give the ids that the model was run with."
        )
    return given.unflatten(0, (batch, *[1] * (weights.dim() - 3))) if several else given
