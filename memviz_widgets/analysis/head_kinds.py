"""A name for what each head mostly does, by rules over the shares and the spread of its attention.

In: weights (N, Q, K) or (B, N, Q, K). Out: one :class:`HeadKind` per head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import WeightsError
from .attention_rows import SAME_MASS, checked_rows, keys_of, may_attend, positions
from .attention_shares import Wanted, after_the_same, first_keys, share_sums, square, token_before, token_itself
from .attention_spread import normalised_entropy

LEAST_SHARE = 0.5
"""Convention: a head is named after keys that have at least half of its attention ..."""

LEAST_OVER_UNIFORM = 2.0
"""... and at least twice of what uniform attention would put there: on a short text half of it is no finding."""

LEAST_ENTROPY = 0.9
"""Convention: a head is broad from this entropy on, as a part of the entropy of uniform attention."""

LEAST_QUERIES = 4
"""Convention: fewer queries than this give a head no name."""

KINDS = ("previous token", "current token", "induction", "sink", "local", "broad")
"""The names that a head may get, in the order in which they are tried."""

LOCAL_TOKENS = 4
"""Convention: a key is local up to this distance from the query."""


@dataclass(frozen=True, slots=True)
class HeadKind:
    """What a head does on the input given. It describes weights, not what the head contributes to the output.

    Attributes:
        kind: "previous token", "current token", "induction", "sink", "local", "broad", or "" when no rule fits.
        score: The number that decided, 0..1; NaN for kind "".
        sentence: The score in words, with what uniform attention would give and the number of queries.
    """

    kind: str
    score: float
    sentence: str


def head_kinds(
    weights: Tensor,
    ids: Tensor | Sequence[int] | None = None,
    *,
    causal: bool | None = None,
    at: Tensor | None = None,
) -> list[HeadKind]:
    """A name for each head, from the first rule that fits, in this order; no name is better than a guess.

    ==============  ====================================================================================
    previous token  :func:`previous_token_score`
    current token   :func:`current_token_score`
    induction       :func:`induction_score`; only with ``ids``
    sink            :func:`sink_mass` of the first key
    local           mean attention on keys at most ``LOCAL_TOKENS`` away
    broad           mean :func:`normalised_entropy`, over queries with a choice, of ``LEAST_ENTROPY`` or more
    ==============  ====================================================================================

    The first five fit when the score is ``LEAST_SHARE`` or more *and* ``LEAST_OVER_UNIFORM`` times that of uniform
    attention or more. All need ``LEAST_QUERIES`` queries. These bounds are conventions, not findings. Attention that is
    not square has no positions in common, so there only sink and broad are tried.

    Args:
        weights: (N, Q, K) or (B, N, Q, K), whose scores are means over the queries of all items.
        ids: token ids, integers (T,) or (B, T).
        causal: whether queries may attend to earlier keys only. None = what :func:`is_causal` says.
        at: positions (Q,) of the queries among the keys, for a choice of the queries of self-attention; all kinds are
            then tried. None = the last Q.

    Returns:
        One per head.

    Raises:
        WeightsError: also for other numbers of axes, and for ids with weights that are not square.
    """
    if weights.dim() not in {3, 4}:
        raise WeightsError(f"expected weights (head, query, key) or with a batch; got shape {tuple(weights.shape)}.")
    if causal is None:
        causal = is_causal(weights, at)
    rules = _rules(weights, ids, at)
    sums = share_sums(weights, [rule.wanted for rule in rules], causal, at)  # (3, rules, N) or (3, rules, B, N)
    sums = sums.sum(2) if weights.dim() == 4 else sums
    spreads = _entropies_with_a_choice(weights, causal, at)
    return [_kind(rules, sums[:, :, head].tolist(), spread.tolist()) for head, spread in enumerate(spreads)]


def is_causal(weights: Tensor, at: Tensor | None = None) -> bool:
    """Whether no query of any head or item attends to a key after its own position.

    Args:
        weights: (..., Q, K).
        at: positions (Q,) of the queries among the keys. None = the last Q.
    """
    return not any(_looks_ahead(weights, at))


class _Rule(NamedTuple):
    kind: str
    keys: str  # in words, for the sentence
    wanted: Wanted


def _rules(weights: Tensor, ids: Tensor | Sequence[int] | None, at: Tensor | None) -> list[_Rule]:
    """Rules about shares of attention, in the order in which they are tried."""
    sink = _Rule("sink", "the first key", first_keys(1))
    if weights.shape[-2] != weights.shape[-1] and ids is None and at is None:
        return [sink]
    rules = [
        _Rule("previous token", "the token before", token_before),
        _Rule("current token", "the token itself", token_itself),
        sink,
        _Rule("local", f"tokens at most {LOCAL_TOKENS} away", lambda at, keys: (at - keys).abs() <= LOCAL_TOKENS),
    ]
    if ids is not None:
        words = "what followed the same token earlier"
        rules.insert(2, _Rule("induction", words, after_the_same(ids, square(weights) if at is None else weights)))
    return rules


def _kind(rules: list[_Rule], sums: list[list[float]], spread: list[float]) -> HeadKind:
    """The first rule that fits one head, given what :func:`share_sums` has per rule, and the normalised entropies."""
    tried = []
    for rule, on_keys, by_chance, count in zip(rules, *sums, strict=True):
        score = on_keys / count if count else math.nan
        least = max(LEAST_SHARE, LEAST_OVER_UNIFORM * by_chance / max(count, 1.0))
        if count >= LEAST_QUERIES and score >= least:
            sentence = (
                f"{score:.2f} of the attention is on {rule.keys}; uniform attention has {by_chance / count:.2f} there "
                f"({count:.0f} queries)."
            )
            return HeadKind(rule.kind, score, sentence)
        tried.append(f"{rule.kind} {score:.2f}" if count else f"{rule.kind} has no queries")
    score = math.fsum(spread) / len(spread) if spread else math.nan
    if len(spread) >= LEAST_QUERIES and score >= LEAST_ENTROPY:
        return HeadKind("broad", score, f"{score:.2f} of the entropy of uniform attention ({len(spread)} queries).")
    tried.append(f"broad {score:.2f}" if spread else "broad has no queries")
    return HeadKind("", math.nan, f"No rule fits: {', '.join(tried)}.")


def _entropies_with_a_choice(weights: Tensor, causal: bool, at: Tensor | None) -> list[Tensor]:
    """Per head, the normalised entropies of the queries of all items that may attend to two keys or more."""
    queries, keys = weights.shape[-2:]
    standing = torch.arange(keys - queries, keys) if at is None else at.cpu()
    choice = standing > 0 if causal else torch.full((queries,), keys > 1)
    spread = normalised_entropy(weights, causal, at)[..., choice].movedim(-2, 0)  # (N, ..., q)
    return [head[~head.isnan()] for head in spread]


def _looks_ahead(weights: Tensor, at: Tensor | None) -> Iterator[bool]:
    """Per block of queries, whether one attends to a key after its own position."""
    for first, rows, _ in checked_rows(weights):
        later = ~may_attend(positions(first, rows, weights, at), keys_of(rows), causal=True)
        yield bool(((rows * later).sum(-1) > SAME_MASS).any())
