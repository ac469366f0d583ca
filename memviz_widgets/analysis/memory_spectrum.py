"""How many directions a memory uses.

In: states or slots (..., T, N). Out: an effective number of dimensions per matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .memory_numbers import checked, in_result_dtype
from .memory_readout import CONSTANT


def effective_rank(states: Tensor) -> Tensor:
    """Effective rank: ``exp(H(p))`` with ``p = sigma / sum sigma``, the singular values as shares.

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality" (EUSIPCO), def. 1. The mean is not
    taken off: subtract it before if the directions about the mean are meant.

    Args:
        states: (..., T, N), states of a run, or the slots (..., S, D) of one step.

    Returns:
        (...), 1..min(T, N): n for n orthogonal rows of the same length, 1 for rank 1; NaN for zeros, which have no
        direction.

    Cost:
        Singular values of each matrix: ``T N min(T, N)``.
    """
    strength = torch.linalg.svdvals(checked(states, "states", "...", "T", "N"))  # (..., min(T, N))
    shares = strength / strength.sum(-1, keepdim=True)
    return in_result_dtype(torch.special.entr(shares).sum(-1).exp(), states)


@dataclass(frozen=True, slots=True)
class ParticipationRatio:
    """Over how many dimensions the states spread, and what states without any structure would give.

    Attributes:
        ratio: (...), 1..min(T - 1, N); NaN for states that do not change.
        isotropic: What independent noise of N equal dimensions gives with as many samples, ``1 / (1/N + 1/T)``: few
            samples make the ratio small whatever the states are.
        samples: T.
        units: N.
    """

    ratio: Tensor
    isotropic: float
    samples: int
    units: int


def participation_ratio(states: Tensor) -> ParticipationRatio:
    """Participation ratio of the covariance: ``(sum l)^2 / sum l^2`` over its eigenvalues l.

    Gao et al. 2017, "A theory of multineuronal dimensionality, dynamics and measurement" (bioRxiv 214262). From
    traces, without eigenvalues.

    Args:
        states: (..., T, N), states of a run; the mean over T is taken off.

    Returns:
        The ratio with its value for noise.

    Cost:
        ``T N min(T, N)``.
    """
    numbers = checked(states, "states", "...", "T", "N")
    samples, units = numbers.shape[-2:]
    centred = numbers - numbers.mean(-2, keepdim=True)
    largest = numbers.abs().amax((-2, -1), keepdim=True)
    centred = centred / largest.masked_fill(largest == 0, 1.0)  # so that squares of squares do not overflow
    gram = centred @ centred.mT if samples < units else centred.mT @ centred
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    ratio = trace.square() / gram.square().sum((-2, -1))
    still = trace <= CONSTANT**2 * samples * units
    return ParticipationRatio(
        in_result_dtype(ratio.masked_fill(still, torch.nan), states), 1 / (1 / units + 1 / samples), samples, units
    )
