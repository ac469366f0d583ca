"""Attention weights over heads and over layers: heads combined, rollout, gradient rollout.

In: weights (..., N, Q, K) of one layer, or (..., N, T, T) of every layer from the first to the last. Out: one map, or
for one query how much of each input token it holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import WeightsError
from .attention_rows import checked_rows, described, in_result_dtype, needs_heads, unfilled
from .numbers import real_numbers

Heads = Literal["mean", "max", "min"]

LIMITS = {
    "rollout": "Follows weights only: no values, no MLP, no sign. Many layers give nearly one row for all queries.",
    "attention_flow": "Follows weights only, as rollout does; paths compete for edges, and the parts do not sum to 1.",
    "gradient_rollout": "Is about one output and one input: the one whose gradient was taken. Negative parts are cut.",
}
"""What each way to join layers does not show, one line per function; a row of a rollout has the limits of rollout."""


def combine_heads(weights: Tensor, how: Heads = "mean") -> Tensor:
    """One map for all heads: mean, largest or smallest weight, among the heads whose query attends to anything.

    Args:
        weights: (..., N, Q, K).
        how: ``"mean"`` (rows sum to 1), ``"max"`` (rows sum to 1 or more) or ``"min"`` (to 1 or less).

    Returns:
        (..., Q, K), 0..1; 0 in the rows of a query that attends to nothing in any head.

    Raises:
        WeightsError: for another ``how``, and for what are no attention weights of at least one head.
    """
    return in_result_dtype(_combined(weights, how), weights)


def head_difference(weights: Tensor, a: int, b: int) -> Tensor:
    """Weights of head ``a`` minus those of head ``b``, signed.

    Args:
        weights: (..., N, Q, K).
        a: head, 0..N-1.
        b: head, 0..N-1.

    Returns:
        (..., Q, K), -1..1; 0 where both are equal.

    Raises:
        WeightsError: for a head that is not there, and for what are no attention weights.
    """
    needs_heads(weights)
    for head in (a, b):
        if not 0 <= head < weights.shape[-3]:
            raise WeightsError(f"no head {head}; they are 0 to {weights.shape[-3] - 1}.")
    difference = unfilled(weights, *weights.shape[:-3], *weights.shape[-2:]).zero_()
    for head, sign in ((a, 1), (b, -1)):
        with _named(f"head {head}"):
            for first, rows, _ in checked_rows(weights.select(-3, head)):
                difference[..., first : first + rows.shape[-2], :].add_(rows, alpha=sign)
    return in_result_dtype(difference, weights)


def rollout(layers: Iterable[Tensor], *, residual: float = 0.5, heads: Heads = "mean") -> Tensor:
    """Attention rollout: the part of each input token in each token after the last layer, if tokens only mixed.

    Abnar & Zuidema 2020 (arXiv 2005.00928), sec. 3 and eq. 1: the product ``A_L ... A_1`` of
    ``A_l = residual * I + (1 - residual) * W_l``, W_l being the layer's heads combined and rows summing to 1 again.
    See ``LIMITS["rollout"]``.

    Args:
        layers: (..., N, T, T) each, from the first layer to the last. An iterator is consumed one layer at a time.
        residual: the part of a token that a layer leaves as it is, 0..1; the paper's is 0.5.
        heads: how the heads of a layer become one map, as in :func:`combine_heads`.

    Returns:
        (..., T, T): row = token after the last layer, column = input token. 0..1, rows sum to 1. A query that attends
        to nothing passes on itself.

    Raises:
        WeightsError: for no layer, layers that are not square or not of one shape, a residual out of range, unknown
            ``heads``, and what are no attention weights.
    """
    product, dtype = None, torch.float32
    for step, layer_dtype in mixing_steps(enumerate(layers), residual, heads):
        product = step if product is None else step @ product
        dtype = torch.promote_types(dtype, layer_dtype)
    return at_least_one(product).to(dtype)


def rollout_row(layers: Sequence[Tensor], query: int, *, residual: float = 0.5, heads: Heads = "mean") -> Tensor:
    """Row ``query`` of :func:`rollout` in O(L * N * T^2): a vector times the layers, from the last to the first.

    Args:
        layers: as in :func:`rollout`, but a sequence.
        query: token after the last layer, 0..T-1; a negative one counts from the end.
        residual: as in :func:`rollout`.
        heads: as in :func:`rollout`.

    Returns:
        (..., T), 0..1, sums to 1.

    Raises:
        WeightsError: as in :func:`rollout`, and for a query that is not there.
    """
    row, dtype = None, torch.float32
    for step, layer_dtype in mixing_steps(reversed(list(enumerate(layers))), residual, heads):
        row = one_row(step, query) if row is None else row @ step  # (..., 1, T)
        dtype = torch.promote_types(dtype, layer_dtype)
    return at_least_one(row).squeeze(-2).to(dtype)


def gradient_rollout(layers: Iterable[Tensor], gradients: Iterable[Tensor]) -> Tensor:
    """Relevance of each input token for one output: attention weighted by how much that output depends on it.

    Chefer, Gur & Wolf 2021 (arXiv 2103.15679), eq. 5 and 6 for self-attention: ``R = I`` at first, then
    ``R = R + mean over heads(relu(G_l * A_l)) @ R`` from the first layer to the last. See
    ``LIMITS["gradient_rollout"]``.

    Args:
        layers: (..., N, T, T) each, from the first layer to the last, without dropout. Consumed one at a time.
        gradients: of the output with respect to each of ``layers``, same shapes.

    Returns:
        (..., T, T): row = token after the last layer, column = input token. 0 or more and *not* normalised: the 1 that
        each token brings for itself is in it, and rows sum to 1 or more. Compare columns within one row only.

    Raises:
        WeightsError: for no layer, a layer without a gradient or the reverse, shapes that differ, NaN or Inf, and what
            are no attention weights.
    """
    relevance, dtype = None, torch.float32
    for number, (layer, gradient) in enumerate(itertools.zip_longest(layers, gradients)):
        with _named(f"layer {number}"):
            step = _weighted(layer, gradient)
            _same_shape(step, relevance)
        relevance = _add_to_diagonal(step, 1.0) if relevance is None else relevance + step @ relevance
        dtype = torch.promote_types(dtype, layer.dtype)
    return at_least_one(relevance).to(dtype)


def mixing_steps(
    numbered: Iterable[tuple[int, Tensor]], residual: float, heads: str
) -> Iterator[tuple[Tensor, torch.dtype]]:
    """``A_l`` of each layer, float64 (..., T, T), and the dtype of its weights."""
    if not 0 <= residual <= 1:
        raise WeightsError(f"residual={residual}; it is the part of a token that a layer leaves as it is, 0..1.")
    before = None
    for number, layer in numbered:
        with _named(f"layer {number}"):
            _needs_square(layer)
            mixed = _combined(layer, heads).mul_(1 - residual)
            _same_shape(mixed, before)
        _add_to_diagonal(mixed, residual)
        _add_to_diagonal(mixed, mixed.sum(-1) == 0)  # residual 0 and nothing attended to: the token stays as it is
        before = mixed.div_(mixed.sum(-1, keepdim=True))
        yield before, layer.dtype


def one_row(matrix: Tensor, query: int) -> Tensor:
    """Row ``query`` of (..., T, T), as (..., 1, T)."""
    tokens = matrix.shape[-2]
    if not -tokens <= query < tokens:
        raise WeightsError(f"no query {query}; there are {tokens} tokens, counted from 0.")
    return matrix.narrow(-2, query % tokens, 1)


def at_least_one(result: Tensor | None) -> Tensor:
    """``result``, which is None if there was no layer."""
    if result is None:
        raise WeightsError("no layers; give the attention weights of at least one.")
    return result


def _combined(weights: Tensor, how: str) -> Tensor:
    """float64 (..., Q, K) of (..., N, Q, K)."""
    if how not in get_args(Heads):
        raise WeightsError(f"no way {how!r} to combine heads; choose one of {', '.join(get_args(Heads))}.")
    needs_heads(weights)
    combined = unfilled(weights, *weights.shape[:-3], *weights.shape[-2:])
    for first, rows, live in checked_rows(weights):
        combined[..., first : first + rows.shape[-2], :] = _over_heads(rows, live, how)
    return combined


def _over_heads(rows: Tensor, live: Tensor, how: str) -> Tensor:
    """(..., q, K) of rows (..., N, q, K), of which heads that attend to nothing (``live`` False) are left out."""
    if how == "max":
        return rows.amax(-3)
    if how == "mean":
        return rows.sum(-3) / live.sum(-2).clamp(min=1).unsqueeze(-1)
    smallest = rows.masked_fill(~live.unsqueeze(-1), torch.inf).amin(-3)
    return smallest.masked_fill_(smallest.isinf(), 0.0)


@contextmanager
def _named(part: str) -> Iterator[None]:
    """Puts the name of the layer or head before the text of an error."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{part}: {error}") from error


def _weighted(layer: Tensor | None, gradient: Tensor | None) -> Tensor:
    """Mean over heads of relu(gradient * weights), float64 (..., T, T)."""
    if layer is None or gradient is None:
        raise WeightsError(f"has no {'weights' if layer is None else 'gradient'}; give as many layers as gradients.")
    _needs_square(layer)
    if layer.shape != gradient.shape:
        raise WeightsError(f"a gradient of shape {tuple(gradient.shape)} for weights of shape {tuple(layer.shape)}.")
    weighted = unfilled(layer, *layer.shape[:-3], *layer.shape[-2:])
    for first, rows, _ in checked_rows(layer):
        queries = slice(first, first + rows.shape[-2])
        slopes = real_numbers(gradient.detach()[..., queries, :])
        if not bool(slopes.isfinite().all()):
            raise WeightsError("the gradient has NaN or Inf. Take it of a finite output, in float32.")
        weighted[..., queries, :] = (slopes * rows).clamp_(min=0).mean(-3)
    return weighted


def _needs_square(layer: Tensor) -> None:
    needs_heads(layer)
    if layer.shape[-1] != layer.shape[-2]:
        raise WeightsError(
            f"expected self-attention of all tokens, (..., N, T, T); got {described(layer)}. "
            "Give the maps of one run without a cache of earlier keys, and no cross-attention."
        )


def _same_shape(step: Tensor, before: Tensor | None) -> None:
    if before is not None and step.shape != before.shape:
        given, wanted = tuple(step.shape), tuple(before.shape)
        raise WeightsError(
            f"is {given} without its heads, the layer before it {wanted}; give layers of one model and run."
        )


def _add_to_diagonal(matrices: Tensor, added: Tensor | float) -> Tensor:
    """``matrices``, (..., T, T), changed in place."""
    matrices.diagonal(dim1=-2, dim2=-1).add_(added)
    return matrices
