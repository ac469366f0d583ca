"""Linear readouts of states: the directions that they span, and what a least-squares fit on them predicts.

In: states of a run, float64 (T, N), one row per time step. Out: an orthonormal basis of the centred states, from which
any number of targets is fitted with one product each.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CONSTANT = 1e-12
"""A unit whose standard deviation is less than this part of its size is constant: the rest is rounding of float64."""


class Readout(NamedTuple):
    """Basis of the states that targets are fitted on.

    Attributes:
        basis: float64 (T, rank), orthonormal columns, each with mean 0.
        mean: (N,) of the states.
        weights: (N, rank); ``(states - mean) @ weights`` is the basis.
    """

    basis: Tensor
    mean: Tensor
    weights: Tensor

    @property
    def rank(self) -> int:
        """Number of directions that the states span about their mean."""
        return self.basis.shape[1]

    def predicted(self, targets: Tensor, states: Tensor) -> Tensor:
        """What the best readout of ``targets`` (T, K) gives on other ``states`` (t, N), up to a constant: (t, K)."""
        return (states - self.mean) @ (self.weights @ (self.basis.mT @ targets))


def fitted(states: Tensor, eps: float) -> Readout:
    """The readout basis of states; cost ``T N^2``, by QR and the singular values of the triangle.

    Args:
        states: float64 (T, N).
        eps: relative rounding of the states as they were recorded. Directions weaker than this part of the strongest
            one, after each unit is scaled to the same variance, are rounding and left out.
    """
    mean = states.mean(0)
    centred = states - mean
    spread = centred.square().mean(0).sqrt()
    lives = spread > CONSTANT * states.abs().amax(0)
    scale = torch.where(lives, 1 / spread.masked_fill(~lives, 1.0), 0.0)  # (N,)
    orthogonal, triangle = torch.linalg.qr(centred * scale)
    left, strength, right = torch.linalg.svd(triangle)
    cutoff = max(eps, max(states.shape) * torch.finfo(torch.float64).eps)
    kept = (strength > strength[:1] * cutoff).nonzero().squeeze(-1)
    weights = scale.unsqueeze(-1) * right[kept].mT / strength[kept]
    return Readout(orthogonal @ left[:, kept], mean, weights)


def rounding(recorded: Tensor) -> float:
    """Relative rounding of the dtype that a tensor was recorded in."""
    return torch.finfo(recorded.dtype if recorded.is_floating_point() else torch.float64).eps
