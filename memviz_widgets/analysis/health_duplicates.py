"""Which channels are copies of each other: equal, or the same up to a factor and an offset.

In: a sample of all channels, (C, n). Out: pairs of channel numbers. The cost is ``C n`` and not ``C^2 n``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Pair = tuple[int, int]
"""(lower, higher) channel number."""

DISTINCT_VALUES = 16
"""Two channels with two values each, such as one spike at the same place, correlate to 1 whatever made them: so many
values must be told apart, in steps of a thousandth of the largest, before a correlation says anything."""

SAME_CORRELATION = 1e-12
"""1 minus the correlation up to which it is 1 by the rounding of float32."""

CANDIDATE_STEP = 2e-5
"""How far the projections of two equal channels may be apart by the rounding of float32."""

PAIRS_AT_ONCE = 64
"""Pairs that are compared at once: a few MiB of float64."""


def equal_pairs(
    sample: npt.NDArray[np.float32], still: npt.NDArray[np.bool_], *, exact: bool = False
) -> tuple[list[Pair], list[Pair]]:
    """Pairs of channels that are equal, and pairs whose correlation is 1 within rounding.

    Channels scaled to mean 0 and length 1 are projected onto one random direction and sorted by it; only neighbours
    are compared in full.

    Args:
        sample: (C, n), finite.
        still: (C,), channels that never change and are left out.
        exact: Whether only equal channels are looked for, as in float16, where a correlation of 1 may be rounding.

    Returns:
        Two ascending lists. The second is empty where it would hold more than half of the channels: then they follow
        one number, such as a single input, and no channel is a copy.
    """
    units = np.flatnonzero(~still)
    if len(units) < 2:
        return [], []
    near = np.sort(units[_neighbours(_scaled(sample[units]))], axis=1)  # (P, 2)
    same = np.array([np.array_equal(sample[one], sample[other]) for one, other in near], dtype=np.bool_)
    equal = sorted((int(one), int(other)) for one, other in near[same])
    if exact or same.all():
        return equal, []
    alike = near[~same]
    alike = alike[_correlation(sample, alike) >= 1 - SAME_CORRELATION]
    if 2 * len(np.unique(alike)) > len(sample):
        return equal, []
    return equal, sorted((int(one), int(other)) for one, other in alike if _is_varied(sample[one]))


def _scaled(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows with mean 0 and length 1. Divided by their largest number first, so that no square overflows or vanishes."""
    rows = rows / np.abs(rows).max(-1, keepdims=True)
    rows -= rows.mean(-1, keepdims=True)
    rows /= np.sqrt(np.einsum("...n,...n->...", rows, rows))[..., None]
    return rows


def _neighbours(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Pairs (P, 2) of rows at most two places apart by their projection, whose projections are next to the same."""
    projected = rows @ _direction(rows.shape[1])
    order = np.argsort(projected, kind="stable")
    found = []
    for apart in (1, 2):
        near = np.flatnonzero(projected[order[apart:]] - projected[order[:-apart]] <= CANDIDATE_STEP)
        found.append(np.stack([order[near], order[near + apart]], 1))
    return np.concatenate(found)


def _correlation(sample: npt.NDArray[np.float32], pairs: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Pearson's correlation of pairs (P, 2) of channels, (P,)."""
    found = [np.empty(0)]
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        both = _scaled(sample[pairs[start : start + PAIRS_AT_ONCE]].astype(np.float64))  # (p, 2, n)
        found.append(np.einsum("pn,pn->p", both[:, 0], both[:, 1]))
    return np.concatenate(found)


def _is_varied(channel: npt.NDArray[np.float32]) -> bool:
    """Whether a channel takes more than a few values."""
    centred = channel.astype(np.float64) - channel.mean(dtype=np.float64)
    return len(np.unique(np.round(1e3 * centred / np.abs(centred).max()))) >= DISTINCT_VALUES


@lru_cache(maxsize=32)
def _direction(n: int) -> npt.NDArray[np.float32]:
    """The same random direction each time, (n,)."""
    return np.random.default_rng(0).standard_normal(n, np.float32)
