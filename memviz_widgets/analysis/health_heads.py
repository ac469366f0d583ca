"""Heads that look at one key whatever the query is: attention sinks, and collapsed heads.

In: records of attention weights, of which some samples and runs of queries are read. Out: findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..records import TensorRecord
from .head_kinds import LEAST_OVER_UNIFORM, LEAST_SHARE
from .health_findings import Finding, counted, finding, named
from .health_samples import Reader, as_numbers, is_clean, places, runs, spread_out

DIMS = ("batch", "head", "query", "key")

COLLAPSED = 0.9
"""Convention: a head has collapsed when one key has at least this share of the attention of all queries."""

LEAST_QUERIES = 8
"""Convention: fewer queries with a choice of keys than this are no evidence."""

ATTENTION_CELLS = 2**18
"""Most weights that are read of one attention, all heads and keys of some queries of ``MOST_SAMPLES`` samples."""

MOST_SAMPLES = 4
MOST_CALLS = 4
"""Most calls of one attention that are looked at, at even distances."""

Array = npt.NDArray[np.float64]


class _Focus(NamedTuple):
    """Per head: the share of its favourite key, what uniform attention has there, that key; queries looked at."""

    share: Array
    uniform: Array
    key: npt.NDArray[np.intp]
    n: int


def head_findings(records: Sequence[TensorRecord], reader: Reader) -> Iterator[list[Finding]]:
    """Collapsed heads and sinks of every attention, compared with uniform attention over the keys that are open.

    The measure is the mean over queries, per sample, of the weight on the key that gets most, and the mean of that over
    samples. Queries that may attend to one key only are left out. Which keys are open is not recorded: those up to the
    query's own where no query looks ahead, without keys that no query of any head attends to.
    """
    for group in places(records, "attention"):
        fit = [each for each in group if each.dims == DIMS and is_clean(each) and each.shape[2] >= LEAST_QUERIES]
        focuses = [focus for each in spread_out(fit, MOST_CALLS) if (focus := _read_focus(each, reader))]
        if focuses and len({len(focus.share) for focus in focuses}) == 1:
            yield _of_attention(fit[0], focuses)


def _of_attention(record: TensorRecord, focuses: list[_Focus]) -> list[Finding]:
    share = np.min([focus.share for focus in focuses], axis=0)  # (N,): in every call
    beyond = np.all([focus.share >= LEAST_OVER_UNIFORM * focus.uniform for focus in focuses], axis=0)
    n = sum(focus.n for focus in focuses)
    collapsed = np.flatnonzero(beyond & (share >= COLLAPSED))
    sinks = np.flatnonzero(beyond & (share >= LEAST_SHARE) & (share < COLLAPSED))
    found = []
    for kind, heads, bound in (("collapsed head", collapsed, COLLAPSED), ("attention sink", sinks, LEAST_SHARE)):
        if len(heads):
            worst = heads[int(np.argmax(share[heads]))]
            key = int(focuses[0].key[worst])
            text = _sentence(kind, record, heads.tolist(), len(share), float(share[worst]), key, n)
            one_key = bool((focuses[0].key[heads] == key).all())
            found.append(
                finding(
                    *(kind, record, float(share[worst]), bound, n, text),
                    heads=heads.tolist(),
                    sample=0,
                    key=key if one_key else None,
                )
            )
    return found


def _sentence(kind: str, record: TensorRecord, heads: list[int], of: int, share: float, key: int, n: int) -> str:
    what = f"{len(heads)} of {counted(of, 'head')} of {record.path or '(model)'!r} ({named(heads)})"
    if kind == "collapsed head":
        return (
            f"{what} look at one key whatever the query is: up to {share:.0%} of the attention of {n} queries, on key "
            f"{key} in the first sample. Look for very large queries or keys; such a head selects nothing."
        )
    return (
        f"{what} rest on one key: up to {share:.0%} of the attention of {n} queries, on key {key} in the first sample. "
        "On a first token or a separator that is usual in trained models: the head has nothing to say there."
    )


def _read_focus(record: TensorRecord, reader: Reader) -> _Focus | None:
    """The focus of each head, from all heads and keys of some queries of some samples."""
    value = reader.value(record)
    if value is None or len(value.shape) != 4:
        return None
    batch, heads, queries, keys = value.shape
    samples = min(batch, MOST_SAMPLES)
    spans = runs(queries, max(LEAST_QUERIES, ATTENTION_CELLS // max(1, samples * heads * keys)))
    try:
        parts = [_read(value, (slice(0, samples), slice(0, heads), slice(*span), slice(0, keys))) for span in spans]
    except Exception as error:  # weights may be computed by functions of the user, such as a score_mod
        reader.unread[record.index] = f"{type(error).__name__}: {error}"
        return None
    at = np.concatenate([np.arange(*span) for span in spans]) + keys - queries
    return focus_of(np.concatenate(parts, 2).astype(np.float64), at)


def _read(value: object, index: tuple[slice, ...]) -> npt.NDArray[np.float32]:
    return as_numbers(value[index] if isinstance(value, Tensor) else value.read(index))  # type: ignore[attr-defined]


def focus_of(weights: Array, at: npt.NDArray[np.intp]) -> _Focus | None:
    """The favourite key of each head.

    Args:
        weights: (B, N, Q, K), rows that sum to 1 or are 0.
        at: (Q,), position of each query among the keys.

    Returns:
        None when there are not ``LEAST_QUERIES`` queries with a choice, or the weights hold NaN or Inf.
    """
    if not np.isfinite(weights).all() or not weights.size:
        return None
    later = np.greater.outer(np.arange(weights.shape[-1]), at).T  # (Q, K)
    causal = not bool((weights * later).any())
    used = np.asarray(weights.any((1, 2)))  # (B, K)
    open_keys = used[:, None] & ~(later & causal)  # (B, Q, K)
    count = open_keys.sum(-1)  # (B, Q)
    chooses = (count > 1) & weights.any((1, 3))
    number = chooses.sum(-1)  # (B,)
    if number.min() < LEAST_QUERIES:
        return None
    mean = np.einsum("bnqk,bq->bnk", weights, chooses / number[:, None])  # (B, N, K)
    even = np.einsum("bqk,bq->bk", open_keys, chooses / count.clip(1) / number[:, None])  # (B, K)
    key = mean.argmax(-1)  # (B, N)
    uniform = np.take_along_axis(even, key, 1)
    return _Focus(mean.max(-1).mean(0), uniform.mean(0), key[0], int(number.sum()))
