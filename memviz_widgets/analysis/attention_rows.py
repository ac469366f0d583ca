"""The rows of attention weights, checked: what every measure of attention reads, and the positions of its queries.

In: weights (..., Q, K) as they were given. Out: rows in float64, a bounded number of queries at once, or WeightsError.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import WeightsError
from .numbers import PIECE_CELLS, real_numbers

ROW_SUM_TOLERANCE = 1e-3
"""How far a row of weights may be from a sum of 1; a dtype whose own steps near 1 are wider (bfloat16) gets those."""

SAME_MASS = 1e-6
"""Mass up to this is rounding of float32."""


def checked_rows(weights: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The rows of attention weights, checked, a bounded number of queries at once.

    Each row is divided by its sum, so that what bfloat16 rounds away does not leave the range of a measure.

    Args:
        weights: (..., Q, K), any real dtype; never written to.

    Returns:
        An iterator of: position of the first query; rows, float64 (..., q, K), each with sum 1 or all 0; which queries
        attend to anything, bool (..., q). On the weights' device, or the CPU where that has no float64 (MPS).

    Raises:
        WeightsError: for fewer than 2 axes or complex values, at once; when the rows are read, for NaN, Inf, a negative
            weight and a row whose sum is neither 1 nor 0.
    """
    if weights.dim() < 2 or weights.is_complex():
        raise WeightsError(
            f"attention weights are real and have the axes (..., query, key); got {described(weights)}. "
            "Give the weights after the softmax, with both axes."
        )
    return _rows(weights.detach())


def unfilled(weights: Tensor, *shape: int) -> Tensor:
    """NaN, float64, on the device where :func:`checked_rows` of these weights has its rows."""
    return real_numbers(weights.detach()[..., :0]).new_full(shape, torch.nan)


def in_result_dtype(values: Tensor, weights: Tensor) -> Tensor:
    """What leaves a measure: float32, float64 for float64 weights."""
    return values.to(torch.promote_types(torch.float32, weights.dtype))


def needs_heads(weights: Tensor) -> None:
    """Refuses weights without a head axis, or without a head on it."""
    if weights.dim() < 3 or not weights.shape[-3]:
        raise WeightsError(f"expected weights (..., head, query, key) of one head or more; got {described(weights)}.")


def positions(first: int, rows: Tensor, weights: Tensor, at: Tensor | None = None) -> Tensor:
    """Positions (q, 1) among the keys of a block of queries, of which ``first`` is the first.

    ``at``: those of all queries, (Q,), where they are not the last ones.
    """
    if at is not None:
        if at.shape != weights.shape[-2:-1] or at.is_floating_point():
            raise WeightsError(
                f"expected at as integers ({weights.shape[-2]},), the position of each query; got {described(at)}."
            )
        return at[first : first + rows.shape[-2]].to(rows.device).unsqueeze(-1)
    start = first + weights.shape[-1] - weights.shape[-2]
    return torch.arange(start, start + rows.shape[-2], device=rows.device).unsqueeze(-1)


def keys_of(rows: Tensor) -> Tensor:
    """Positions (K,) of the keys."""
    return torch.arange(rows.shape[-1], device=rows.device)


def may_attend(at: Tensor, keys: Tensor, causal: bool) -> Tensor:
    """Which keys a query may attend to, bool (q, K)."""
    return (keys <= at) | (not causal)


def described(tensor: Tensor) -> str:
    """Dtype and shape, for the text of an error."""
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def _rows(weights: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    queries = weights.shape[-2]
    at_once = max(1, PIECE_CELLS * queries // max(weights.numel(), 1))
    own_steps = torch.finfo(weights.dtype).eps if weights.is_floating_point() else 0.0
    for first in range(0, queries, at_once):
        rows = real_numbers(weights[..., first : first + at_once, :])
        sums = rows.sum(-1)
        live = sums != 0
        lowest = rows.amin(-1) if rows.shape[-1] else sums
        wrong = live & ((sums - 1).abs() > max(ROW_SUM_TOLERANCE, own_steps))
        _refuse(~sums.isfinite(), first, sums, "holds NaN or Inf (sum {:.3g})", "Look for the layer where they begin")
        _refuse(lowest < 0, first, lowest, "has a weight of {:.3g}", "Give the weights after the softmax")
        _refuse(wrong, first, sums, "sums to {:.4g}", "Give the weights after the softmax and before dropout")
        yield first, rows / sums.masked_fill(~live, 1.0).unsqueeze(-1), live


def _refuse(wrong: Tensor, first: int, values: Tensor, what: str, advice: str) -> None:
    """Raises for the first query of ``wrong``, bool (..., q), that is True, with its entry of ``values``."""
    if bool(wrong.any()):
        place = tuple(wrong.nonzero()[0].tolist())
        where = f" of map {place[:-1]}" if place[:-1] else ""
        raise WeightsError(
            f"row {first + place[-1]}{where} {what.format(values[place].item())}; attention weights are 0..1 and each "
            f"row sums to 1, or is 0 where a query may attend to nothing. {advice}."
        )
