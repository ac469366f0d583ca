"""Which keys of a cache are worth their place, by the attention that they get.

In: attention weights (..., N, Q, K). Out: one score per key and key-value head, beside what uniform attention would
give. Refuses as :mod:`memviz_widgets.analysis.attention` does, with WeightsError.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import WeightsError
from .attention_rows import SAME_MASS, checked_rows, in_result_dtype, keys_of, may_attend, needs_heads, positions


@dataclass(frozen=True, slots=True)
class KeyImportance:
    """A score per key of a cache.

    Attributes:
        score: (..., Hkv, K), 0..1: mean attention that the key gets from the queries that count.
        baseline: (K,): the same of uniform attention. It is not flat: the later a key, the fewer see it, and those
            that do have more keys to choose from.
        ratio: (..., Hkv, K): score / baseline, 1 for uniform attention. Compare keys by this.
        queries: (K,), how many queries could see the key.
    """

    score: Tensor
    baseline: Tensor
    ratio: Tensor
    queries: Tensor


def h2o_importance(weights: Tensor, kv_heads: int | None = None, *, causal: bool = True) -> KeyImportance:
    """Accumulated attention of each key, per query that could see it.

    The heavy-hitter score of H2O (Zhang et al. 2023, arXiv 2306.14048), a column sum, divided by the number of
    queries that could see the key: the sum alone favours early keys.

    Args:
        weights: (..., N, Q, K), of one text without padding: the baseline takes every key for one that can be read.
        kv_heads: Hkv; the N heads are in this many groups of neighbours that share keys. None = N.
        causal: whether queries see only keys up to their own position.

    Returns:
        Scores of all keys. Heads of a group are averaged; a query that attends to nothing counts as one that could.

    Cost:
        One pass over the weights in pieces.

    Raises:
        WeightsError: for what are no attention weights, ``causal=True`` and weights that look ahead, or ``kv_heads``
            that do not divide the heads.
    """
    groups = _groups(weights, kv_heads)
    mass, uniform, queries = _column_sums(weights, causal)
    # The last query stands at the last key: there is no key that none could see.
    return _importance(_grouped(mass / queries, groups), uniform / queries, queries, weights)


def snapkv_importance(
    weights: Tensor, kv_heads: int | None = None, *, window: int = 64, kernel: int = 5, causal: bool = True
) -> KeyImportance:
    """Mean attention of the last queries on each earlier key, smoothed over neighbouring keys.

    SnapKV (Li et al. 2024, arXiv 2404.14469) with average pooling, as in NVIDIA's kvpress, but a key at the
    edge is averaged over the neighbours that it has and not over zeros. Keys in the window itself are always kept
    there, and have no score.

    Args:
        weights: (..., N, Q, K), of one text without padding.
        kv_heads: Hkv; the N heads are in this many groups of neighbours that share keys. None = N.
        window: how many of the last queries count, 1..Q, less than K.
        kernel: over how many keys a score is averaged, odd; 1 = not at all.
        causal: whether queries see only keys up to their own position.

    Returns:
        Scores, the last ``window`` of them NaN. Heads of a group are averaged.

    Raises:
        WeightsError: as :func:`h2o_importance`, and for ``window`` or ``kernel`` out of range.
    """
    groups = _groups(weights, kv_heads)
    most = min(weights.shape[-2], weights.shape[-1] - 1)
    if not 1 <= window <= most:
        raise WeightsError(
            f"window={window}; expected 1 to {most}, with {weights.shape[-2]} queries and {weights.shape[-1]} keys: "
            "some keys have to be before the window."
        )
    if kernel < 1 or not kernel % 2:
        raise WeightsError(f"kernel={kernel}; expected an odd number, 1 or more, so that a key is in the middle.")
    mass, uniform, queries = _column_sums(weights[..., -window:, :], causal)
    score = _pooled(mass[..., :-window] / window, kernel, window)
    baseline = _pooled(uniform[:-window].unsqueeze(0) / window, kernel, window).squeeze(0)
    return _importance(_grouped(score, groups), baseline, queries, weights)


def _column_sums(weights: Tensor, causal: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Attention that each key gets, (..., N, K); the same of uniform attention, (K,); queries that see it, (K,)."""
    mass = uniform = seen = torch.zeros((), dtype=torch.float64, device="cpu")
    for first, rows, _ in checked_rows(weights):
        open_keys = may_attend(positions(first, rows, weights), keys_of(rows), causal)  # (q, K)
        if bool(((rows * ~open_keys).sum(-1) > SAME_MASS).any()):
            raise WeightsError(
                "causal=True, but a query attends to a key after its own position. Give causal=False for attention in "
                "both directions; the last query counts as standing at the last key."
            )
        mass = mass.to(rows.device) + rows.sum(-2)
        uniform = uniform.to(rows.device) + (open_keys / open_keys.sum(-1, keepdim=True).clamp(min=1)).double().sum(0)
        seen = seen.to(rows.device) + open_keys.sum(0)
    return mass, uniform, seen.to(torch.int64)


def _groups(weights: Tensor, kv_heads: int | None) -> int:
    """Number of key-value heads, checked."""
    needs_heads(weights)
    heads = weights.shape[-3]
    if not weights.numel():
        raise WeightsError(f"expected one query and one key or more; got weights of shape {tuple(weights.shape)}.")
    if kv_heads is None:
        return heads
    if kv_heads < 1 or heads % kv_heads:
        raise WeightsError(f"kv_heads={kv_heads}; expected a number that divides the {heads} heads of the weights.")
    return kv_heads


def _grouped(scores: Tensor, groups: int) -> Tensor:
    """Mean over the heads of each group: (..., N, K) to (..., Hkv, K)."""
    heads, keys = scores.shape[-2:]
    return scores.reshape(*scores.shape[:-2], groups, heads // groups, keys).mean(-2)


def _pooled(scores: Tensor, kernel: int, window: int) -> Tensor:
    """Average over neighbouring keys, and NaN for the keys of the window: (..., N, K - w) to (..., N, K)."""
    keys = scores.shape[-1]
    flat = scores.reshape(-1, 1, keys)
    smooth = torch.nn.functional.avg_pool1d(flat, kernel, stride=1, padding=kernel // 2, count_include_pad=False)
    return torch.nn.functional.pad(smooth.reshape(scores.shape), (0, window), value=torch.nan)


def _importance(score: Tensor, baseline: Tensor, queries: Tensor, weights: Tensor) -> KeyImportance:
    return KeyImportance(
        in_result_dtype(score, weights),
        in_result_dtype(baseline, weights),
        in_result_dtype(score / baseline, weights),
        queries,
    )
