"""Measures of attention weights: how spread, how far, on what, and what each head mostly does.

In: weights (..., Q, K), as :mod:`memviz_widgets.capture.attention` gives them: 0..1, each row sums to 1, or is all 0
for a query that may attend to nothing. Out: one number per query, key, head or pair of heads; entropies in nats. What
joins heads or layers to a map is written in :mod:`memviz_widgets.analysis.rollout` and
:mod:`memviz_widgets.analysis.attention_flow`. This module has the names of all of them.

Said once for all functions: leading axes are kept. Sums are float64, results float32 (float64 for float64 weights),
without gradient. A query that attends to nothing is NaN where there is a number per query, and left out of every mean;
a mean over no query is NaN. Query ``i`` of ``Q`` stands at position ``i + K - Q`` among the keys: the last query is at
the last key, as in self-attention over a cache of earlier keys. WeightsError, which is a ValueError, for what are no
attention weights: fewer than two axes, NaN, Inf, negative numbers, rows that sum to neither 1 nor 0.
"""

from __future__ import annotations

from .attention_flow import attention_flow
from .attention_shares import (
    current_token_score,
    induction_score,
    previous_token_score,
    received,
    sink_mass,
    uniform_received,
)
from .attention_spread import effective_keys, entropy, head_similarity, mean_distance, normalised_entropy
from .head_kinds import (
    KINDS,
    LEAST_ENTROPY,
    LEAST_OVER_UNIFORM,
    LEAST_QUERIES,
    LEAST_SHARE,
    LOCAL_TOKENS,
    HeadKind,
    head_kinds,
    is_causal,
)
from .rollout import LIMITS, combine_heads, gradient_rollout, head_difference, rollout, rollout_row

__all__ = [
    "KINDS",
    "LEAST_ENTROPY",
    "LEAST_OVER_UNIFORM",
    "LEAST_QUERIES",
    "LEAST_SHARE",
    "LIMITS",
    "LOCAL_TOKENS",
    "HeadKind",
    "attention_flow",
    "combine_heads",
    "current_token_score",
    "effective_keys",
    "entropy",
    "gradient_rollout",
    "head_difference",
    "head_kinds",
    "head_similarity",
    "induction_score",
    "is_causal",
    "mean_distance",
    "normalised_entropy",
    "previous_token_score",
    "received",
    "rollout",
    "rollout_row",
    "sink_mass",
    "uniform_received",
]
