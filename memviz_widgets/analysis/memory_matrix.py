"""How well a matrix memory, such as the state of linear attention, still gives back the values that were stored.

In: the matrix, and the keys and values that were written. Out: one error per pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .memory_numbers import checked, in_result_dtype, needs_same


@dataclass(frozen=True, slots=True)
class Crosstalk:
    """How far each stored value is from what its key gives back.

    Attributes:
        error: (..., n), 0 or more: squared relative error of each pair, in the order of the keys; NaN for a value of
            zeros. Reading zeros is an error of 1.
        mean: (...), over the pairs that have an error.
        random_keys: (n - 1) / D: what a sum of ``v k^T`` with random unit keys has on average, to compare with.
        pairs: n.
    """

    error: Tensor
    mean: Tensor
    random_keys: float
    pairs: int


def matrix_crosstalk(memory: Tensor, keys: Tensor, values: Tensor) -> Crosstalk:
    """Crosstalk ``|S k_j - v_j|^2 / |v_j|^2`` of each stored pair.

    Hebbian storage and its crosstalk: Kohonen 1972, "Correlation matrix memories"; fast weights and the delta rule:
    Schlag, Irie & Schmidhuber 2021 (arXiv 2102.11174).

    Args:
        memory: S, (..., V, D), used as ``S @ key``; for a state stored as (D, V), as in transformers, its ``.mT``.
        keys: (..., n, D), as they are used for reading: after normalisation and feature map.
        values: (..., n, V).

    Returns:
        Errors per pair. Orthonormal keys have 0.

    Cost:
        ``n V D`` per memory.

    Raises:
        MeasureError: for axes that do not fit together, NaN or Inf.
    """
    matrix = checked(memory, "memory", "...", "V", "D")
    asked, stored = checked(keys, "keys", "...", "n", "D"), checked(values, "values", "...", "n", "V")
    needs_same("D", memory=matrix.shape[-1], keys=asked.shape[-1])
    needs_same("V", memory=matrix.shape[-2], values=stored.shape[-1])
    needs_same("n", keys=asked.shape[-2], values=stored.shape[-2])
    read = asked @ matrix.mT  # (..., n, V)
    size = stored.square().sum(-1)
    error = (read - stored).square().sum(-1) / size.masked_fill(size == 0, torch.nan)
    pairs, width = asked.shape[-2:]
    given = (memory, keys, values)
    return Crosstalk(
        in_result_dtype(error, *given), in_result_dtype(error.nanmean(-1), *given), (pairs - 1) / width, pairs
    )
