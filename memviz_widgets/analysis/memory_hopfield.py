"""Hopfield networks: the energy of a state, the path of a retrieval, and how much noise a pattern survives.

In: stored patterns (S, D) and queries (..., D). Out: energies, paths and success rates, for the modern network
(softmax) and the classical one (signs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, described, in_result_dtype, needs_positive, needs_same, needs_whole

RETRIEVED = 0.95
"""Convention: a pattern is retrieved when the cosine between it and the end of the path is above this."""


def hopfield_energy(patterns: Tensor, states: Tensor, beta: float) -> Tensor:
    """Energy ``-lse(beta, X xi) + xi.xi / 2 + ln S / beta + M^2 / 2`` of states, M the largest norm of a pattern.

    Ramsauer et al. 2020, "Hopfield networks is all you need" (arXiv 2008.02217, eq. 2), with
    ``lse(beta, z) = ln(sum exp(beta z)) / beta``.

    Args:
        patterns: X, (S, D).
        states: xi, (..., D).
        beta: inverse temperature, above 0.

    Returns:
        (...): 0..2 M^2 for states that are no longer than the longest pattern. Retrieval never raises it.

    Cost:
        ``S D`` per state.

    Raises:
        MeasureError: for axes that do not fit together, NaN, Inf, and a beta that is not above 0.
    """
    stored, state = _patterns_and_states(patterns, states)
    return in_result_dtype(_energy(stored, state, needs_positive("beta", beta)), patterns, states)


@dataclass(frozen=True, slots=True)
class RetrievalPath:
    """How a query moved, and what it ended at.

    Attributes:
        states: (steps + 1, ..., D); the first one is the query.
        energies: (steps + 1, ...), never rising; for the classical network ``-xi.W xi / 2``.
        attention: (..., S), softmax(beta X xi) at the last state, which pattern it is made of; None for the classical
            network.
        settled: Whether the last step changed nothing more than the tolerance; if not, give more steps.
    """

    states: Tensor
    energies: Tensor
    attention: Tensor | None
    settled: bool


def hopfield_retrieval(
    patterns: Tensor, query: Tensor, beta: float, steps: int = 50, tolerance: float = 1e-9
) -> RetrievalPath:
    """Path of a query in the modern Hopfield network: ``xi <- X^T softmax(beta X xi)``.

    Ramsauer et al. 2020 (arXiv 2008.02217, eq. 3). One step is attention with the patterns as keys and values.

    Args:
        patterns: X, (S, D).
        query: (..., D).
        beta: inverse temperature, above 0; small ones end at a mean of many patterns.
        steps: most steps, 1 or more.
        tolerance: stops after a step in which no number moves by more than this.

    Returns:
        The path, as long as there was movement.

    Cost:
        ``S D`` per state and step; all states of the path are kept.

    Raises:
        MeasureError: as :func:`hopfield_energy`, and for fewer steps than 1.
    """
    stored, state = _patterns_and_states(patterns, query)
    needs_positive("beta", beta)
    path, settled = [state], False
    for _ in range(needs_whole("steps", steps, 1)):
        path.append((beta * path[-1] @ stored.mT).softmax(-1) @ stored)
        settled = float((path[-1] - path[-2]).abs().max()) <= tolerance
        if settled:
            break
    states = torch.stack(path)
    attention = (beta * path[-1] @ stored.mT).softmax(-1)
    given = (patterns, query)
    return RetrievalPath(
        in_result_dtype(states, *given),
        in_result_dtype(_energy(stored, states, beta), *given),
        in_result_dtype(attention, *given),
        settled,
    )


def classical_retrieval(patterns: Tensor, query: Tensor, sweeps: int = 20) -> RetrievalPath:
    """Path of a query in the classical Hopfield network: signs, one unit at a time, Hebbian weights without diagonal.

    Hopfield 1982, "Neural networks and physical systems with emergent collective computational abilities". With random
    patterns retrieval breaks down at a load S / D of about 0.138 (Amit, Gutfreund & Sompolinsky 1985).

    Args:
        patterns: (S, D), of -1 and 1.
        query: (..., D), of -1 and 1.
        sweeps: most sweeps over all units, in their order; 1 or more.

    Returns:
        The state after each sweep, until none changes anything.

    Cost:
        ``D^2`` per query and sweep, and ``D`` small steps.

    Raises:
        MeasureError: for axes that do not fit together, and for values other than -1 and 1.
    """
    stored, state = _patterns_and_states(patterns, query)
    for name, values in (("patterns", stored), ("query", state)):
        if not bool((values.abs() == 1).all()):
            raise MeasureError(
                f"{name} holds other values than -1 and 1; expected signs. Give {name}.sign(), without zeros."
            )
    couplings = stored.mT @ stored / stored.shape[-1]
    couplings.fill_diagonal_(0.0)
    path, settled = [state], False
    for _ in range(needs_whole("sweeps", sweeps, 1)):
        moved = path[-1].clone()
        for unit in range(stored.shape[-1]):
            field = moved @ couplings[unit]
            moved[..., unit] = torch.where(field == 0, moved[..., unit], field.sign())
        path.append(moved)
        settled = torch.equal(moved, path[-2])
        if settled:
            break
    states = torch.stack(path)
    energies = -((states @ couplings) * states).sum(-1) / 2
    given = (patterns, query)
    return RetrievalPath(in_result_dtype(states, *given), in_result_dtype(energies, *given), None, settled)


def hopfield_separation(patterns: Tensor) -> Tensor:
    """How well each pattern stands apart: ``x_i.x_i - max_{j != i} x_i.x_j``.

    Ramsauer et al. 2020 (arXiv 2008.02217, def. 2): patterns with a large separation are stored with small error.

    Args:
        patterns: (S, D), two or more.

    Returns:
        (S,); 0 for a pattern that is there twice, negative where another, longer one is in the way.

    Cost:
        ``S^2 D``, and ``S^2`` numbers.
    """
    stored = checked(patterns, "patterns", "S", "D")
    if len(stored) < 2:
        raise MeasureError("patterns has one pattern; expected two or more. One alone is apart from nothing.")
    products = stored @ stored.mT
    own = products.diagonal().clone()
    return in_result_dtype(own - products.fill_diagonal_(-math.inf).amax(-1), patterns)


@dataclass(frozen=True, slots=True)
class Basin:
    """How much noise the patterns survive.

    Attributes:
        flip_rates: (F,), probability with which each number of a pattern has its sign turned, rising.
        success: (F,), 0..1: part of the trials that ended at their own pattern.
        width: Flip rate at which ``success`` first falls to 0.5, between the rates tried; NaN if it does not.
        chance: What ending at any pattern gives, 1 / S.
        trials: Number of trials per flip rate: trials per pattern times patterns.
    """

    flip_rates: Tensor
    success: Tensor
    width: float
    chance: float
    trials: int


def hopfield_basin(
    patterns: Tensor,
    beta: float,
    flip_rates: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    *,
    trials: int = 10,
    steps: int = 50,
    seed: int = 0,
) -> Basin:
    """Part of noisy patterns that the modern network leads back, by how noisy they are.

    Every number of a pattern has its sign turned with the given probability. A trial succeeds when the cosine between
    the end of its path and its pattern is above ``RETRIEVED``.

    Args:
        patterns: (S, D), best of one length: beta counts in units of 1 / length^2.
        beta: inverse temperature, above 0.
        flip_rates: rising, each 0..1.
        trials: per pattern, 1 or more.
        steps: most steps of a path.
        seed: of the noise; no other random numbers are touched.

    Returns:
        The curve and the width of the basin.

    Cost:
        ``F trials S^2 D`` per step.

    Raises:
        MeasureError: as :func:`hopfield_retrieval`, for flip rates that do not rise within 0..1, and patterns of zeros.
    """
    stored = checked(patterns, "patterns", "S", "D")
    needs_whole("trials", trials, 1)
    rates = list(flip_rates)
    if not rates or rates != sorted(set(rates)) or rates[0] < 0 or rates[-1] > 1:
        raise MeasureError(f"flip_rates={rates}; expected rising probabilities, 0 to 1, such as [0, 0.1, 0.2].")
    if bool((stored == 0).all(-1).any()):
        raise MeasureError("patterns holds a pattern of zeros; expected a direction in each. Leave it out.")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    found = []
    for rate in rates:
        turned = torch.rand(trials, *stored.shape, generator=generator, dtype=torch.float64, device="cpu") < rate
        noisy = torch.where(turned.to(stored.device), -stored, stored)  # (trials, S, D)
        end = hopfield_retrieval(stored, noisy, beta, steps).states[-1]
        found.append(float((torch.cosine_similarity(end, stored, dim=-1) > RETRIEVED).double().mean()))
    return Basin(
        in_result_dtype(stored.new_tensor(rates), patterns),
        in_result_dtype(stored.new_tensor(found), patterns),
        _half_way(rates, found),
        1 / len(stored),
        trials * len(stored),
    )


def _half_way(rates: list[float], success: list[float]) -> float:
    """Rate at which success first falls to 0.5, on the straight line between two rates."""
    for place in range(1, len(rates)):
        before, after = success[place - 1], success[place]
        if before > 0.5 >= after:
            return rates[place - 1] + (rates[place] - rates[place - 1]) * (before - 0.5) / (before - after)
    return math.nan


def _energy(stored: Tensor, states: Tensor, beta: float) -> Tensor:
    """float64 (...)."""
    longest = stored.square().sum(-1).amax()
    pull = (beta * states @ stored.mT).logsumexp(-1) / beta
    return -pull + states.square().sum(-1) / 2 + math.log(len(stored)) / beta + longest / 2


def _patterns_and_states(patterns: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64, with the same width."""
    stored, state = checked(patterns, "patterns", "S", "D"), checked(states, "the state", "...", "D")
    needs_same("D", patterns=stored.shape[-1], state=state.shape[-1])
    if stored.device != state.device:
        raise MeasureError(f"the state is on {state.device}, the patterns ({described(stored)}) on {stored.device}.")
    return stored, state
