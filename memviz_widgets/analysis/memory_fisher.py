"""What a noisy linear network still tells about its past input, in the sense of Fisher information.

In: recurrent weights (N, N) and input weights (N,). Out: information per delay, and its sum beside its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, in_result_dtype, needs_same, needs_whole

MOST_DOUBLINGS = 60
"""Sums over 2^60 steps: a network whose noise has not settled by then never forgets."""

SETTLED = 1e-15
"""A sum has settled when all later terms together are smaller than this part of the terms that are there."""

WEAKEST = 1e-6
"""Noise in a direction weaker than this part of that in its units is rounding of float64: 1e-12 in variance."""

TOO_STRONG = (
    "the noise of these weights has directions too strong and too weak for float64 to hold both; expected weights that "
    "amplify less. Scale recurrent down."
)


@dataclass(frozen=True, slots=True)
class FisherMemory:
    """Fisher information about each past input that the state of a noisy linear network has.

    Attributes:
        curve: (K + 1,): information about the input of k steps ago, delay 0 first; in units of 1 / noise variance.
        total: Sum over all delays, those beyond K too.
        normal: ``|v|^2``: what every network with normal weights has in total, whatever they are. The line to compare
            with: above it, weights are amplified on their way through the network before they are forgotten.
        bound: ``N |v|^2``: what no linear network is above. (Of units that saturate it is about sqrt(N).)
    """

    curve: Tensor
    total: float
    normal: float
    bound: float


def fisher_memory(recurrent: Tensor, entry: Tensor, max_delay: int | None = None) -> FisherMemory:
    """Fisher memory ``J_k = v^T W^k' C^-1 W^k v`` of ``x_t = W x_{t-1} + v u_t + noise``, with C the sum of W^k W^k'.

    Ganguli, Huh & Sompolinsky 2008, "Memory traces in dynamical systems" (PNAS 105:18970): noise of variance 1 in each
    unit at each step; C is its covariance in the state. A measure of weights, not of a run. For a network with a
    nonlinearity give its Jacobian at the state where it rests.

    Args:
        recurrent: W, (N, N), all eigenvalues inside the unit circle.
        entry: v, (N,).
        max_delay: K, steps. None = 2 N.

    Returns:
        The curve, its whole sum and the bounds of that.

    Cost:
        ``N^3`` per doubling of the number of steps summed, about 10 to 20 of them, and ``N^2`` per delay.

    Raises:
        MeasureError: for other axes, NaN or Inf, and weights whose noise grows without end.
    """
    weights, signal = checked(recurrent, "recurrent", "N", "N"), checked(entry, "entry", "N")
    units = len(signal)
    needs_same("N", recurrent=weights.shape[0], columns=weights.shape[1], entry=units)
    delays = 2 * units if max_delay is None else needs_whole("max_delay", max_delay, 0)
    noise = _summed(weights, torch.eye(units).to(weights))
    scale = noise.diagonal().rsqrt()  # noise of every unit to 1, so that units of any size are as exact
    factor, failed = torch.linalg.cholesky_ex(noise * scale * scale.unsqueeze(-1))
    if int(failed) or float(factor.diagonal().min()) < WEAKEST:
        raise MeasureError(TOO_STRONG)
    trace, found = signal, []
    for _ in range(delays + 1):
        seen = torch.linalg.solve_triangular(factor, (scale * trace).unsqueeze(-1), upper=False)
        found.append(seen.square().sum())
        trace = weights @ trace
    whole = _summed(weights, torch.outer(signal, signal)) * scale * scale.unsqueeze(-1)
    total = torch.cholesky_solve(whole, factor).trace()
    size = float(signal.square().sum())
    return FisherMemory(in_result_dtype(torch.stack(found), recurrent, entry), float(total), size, units * size)


def _summed(weights: Tensor, start: Tensor) -> Tensor:
    """Sum over k of ``W^k start W^k'``, by twice as many terms with each step (Smith 1968)."""
    total, power = start, weights
    for _ in range(MOST_DOUBLINGS):
        total = total + power @ total @ power.mT
        if not bool(total.isfinite().all()):
            break
        power = power @ power
        if float(power.square().sum()) <= SETTLED:  # what is missing is at most this part of the total
            return (total + total.mT) / 2
    radius = float(torch.linalg.eigvals(weights).abs().max())
    if radius < 1 - WEAKEST:
        raise MeasureError(TOO_STRONG)
    raise MeasureError(
        f"recurrent has spectral radius {radius:.4g}; expected below 1. Noise in this network grows without end: "
        "scale the weights down."
    )
