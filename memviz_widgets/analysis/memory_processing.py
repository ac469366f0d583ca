"""What a state computes from past inputs, by the degree of the computation.

In: states (T, N) of one run and the input (T,) that drove it, uniform in -1..1. Out: capacity per degree.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, in_result_dtype, needs_same, needs_share, needs_whole
from .memory_readout import fitted, rounding

MOST_PRODUCTS = 50_000
"""More products of past inputs than this are refused: their number grows with the delay to the power of the degree."""

CHUNK_CELLS = 2**21
"""Cells of products at once: 16 MiB of float64."""

FAR_FROM_UNIFORM = 6.0
"""Standard deviations by which a moment of the input may miss that of independent uniform numbers."""

Factors = tuple[tuple[int, int], ...]
"""(degree, delay) of each Legendre polynomial in a product."""


@dataclass(frozen=True, slots=True)
class ProcessingCapacity:
    """How much of its rank a state spends on functions of past inputs of each degree.

    Attributes:
        by_degree: (D,), degrees 1..D: sum of the capacities above ``threshold``. Degree 1 is linear memory.
        total: Sum of ``by_degree``, 0 to about ``rank``; what is missing to the rank is noise, or functions beyond the
            degrees and delays that were tried.
        rank: Number of independent directions of the states: the bound.
        threshold: Capacity that a product needs to be counted. Capacities below it are not told from chance.
        floor: Capacity that a product unrelated to the states has on average: rank / samples. The chance line.
        products: Per degree, how many products were tried.
        counted: Per degree, how many of them were above ``threshold``.
        samples: Number of steps used.
    """

    by_degree: Tensor
    total: float
    rank: int
    threshold: float
    floor: float
    products: tuple[int, ...]
    counted: tuple[int, ...]
    samples: int


def information_processing_capacity(
    states: Tensor,
    inputs: Tensor,
    max_delays: Sequence[int] = (30, 15, 8),
    *,
    washout: int = 0,
    family_error: float = 0.01,
) -> ProcessingCapacity:
    """Information processing capacity: ``C[z] = 1 - min_w <(z - w x)^2> / <z^2>``, summed over products z of a degree.

    Dambre, Verstraeten, Schrauwen & Massar 2012, "Information processing capacity of dynamical systems" (Scientific
    Reports 2:514), with z the products of normalised Legendre polynomials of delayed inputs, and a bias in the
    readout. Capacity is measured on the steps of the fit, where a product unrelated to the states has ``T C``
    distributed as chi-squared with as many degrees of freedom as the states have dimensions; a product counts when its
    C is so large that the chance that *any* of those tried gets it without memory is ``family_error``.

    Args:
        states: (T, N), state after each step.
        inputs: (T,), independent and uniform in -1..1: for others the products overlap and capacities count twice.
        max_delays: largest delay, in steps from 0, for degree 1, 2, ...; one entry per degree.
        washout: first steps that are left out.
        family_error: see above; between 0 and 1.

    Returns:
        Capacities per degree. States that never change have capacity 0.

    Cost:
        ``T N^2`` and ``T N`` per product, of which degree d with delays to K has ``binomial(K + d, d)``;
        ``D T K`` numbers for D degrees.

    Raises:
        MeasureError: for other axes, NaN or Inf, inputs that are not independent and uniform in -1..1, fewer steps than
            N units need, or more than ``MOST_PRODUCTS`` products.
    """
    numbers = checked(states, "states", "T", "N")
    signal = checked(inputs, "inputs", "T", low=-1.0, high=1.0, advice="Scale the input before you drive the network.")
    needs_same("T", states=len(numbers), inputs=len(signal))
    needs_share("family_error", family_error)
    products = _numbers_of_products(max_delays)
    delayed = _delayed(signal, max_delays, needs_whole("washout", washout, 0), numbers.shape[1])
    samples = delayed.shape[1]
    table = _legendre(delayed, len(max_delays))
    _refuse_what_is_not_uniform(table)
    readout = fitted(numbers[-samples:], rounding(states))
    threshold = _chi_squared_quantile(readout.rank, family_error / sum(products)) / samples
    sums, counted = [], []
    for degree, max_delay in enumerate(max_delays, 1):
        capacities = _capacities(table, degree, max_delay, readout.basis)
        over = capacities[capacities > threshold]
        sums.append(over.sum())
        counted.append(len(over))
    by_degree = torch.stack(sums)
    return ProcessingCapacity(
        in_result_dtype(by_degree, states, inputs),
        float(by_degree.sum()),
        readout.rank,
        threshold,
        readout.rank / samples,
        products,
        tuple(counted),
        samples,
    )


def _numbers_of_products(max_delays: Sequence[int]) -> tuple[int, ...]:
    """How many products each degree has."""
    if not len(max_delays):
        raise MeasureError("max_delays is empty; expected one largest delay per degree, such as (30, 15, 8).")
    found = tuple(
        math.comb(needs_whole(f"max_delays[{degree - 1}]", delay, 0) + degree, degree)
        for degree, delay in enumerate(max_delays, 1)
    )
    if sum(found) > MOST_PRODUCTS:
        raise MeasureError(
            f"max_delays={tuple(max_delays)} makes {sum(found):,} products; expected {MOST_PRODUCTS:,} at most. "
            "Give the higher degrees shorter delays."
        )
    return found


def _delayed(signal: Tensor, max_delays: Sequence[int], washout: int, units: int) -> Tensor:
    """Input of 0, 1, ... K steps before, (K + 1, samples), for the steps that have them all."""
    longest = max(max_delays)
    first = max(washout, longest)
    samples = len(signal) - first
    if samples < units + 2:
        raise MeasureError(
            f"{len(signal)} steps are too few: with {first} left out at the start, {max(samples, 0)} are left for "
            f"{units} units; expected {units + 2} or more, better 100 times as many. Record a longer run."
        )
    return signal.unfold(0, longest + 1, 1).flip(-1)[first - longest :].mT


def _legendre(delayed: Tensor, degrees: int) -> Tensor:
    """Legendre polynomials of degree 0..D with mean square 1 for uniform inputs, (D + 1, K + 1, T)."""
    plain = [torch.ones_like(delayed), delayed]
    for degree in range(1, degrees):
        plain.append(((2 * degree + 1) * delayed * plain[-1] - degree * plain[-2]) / (degree + 1))
    return torch.stack([math.sqrt(2 * degree + 1) * polynomial for degree, polynomial in enumerate(plain)])


def _refuse_what_is_not_uniform(table: Tensor) -> None:
    """Raises when a polynomial's mean, or the product of two inputs, is not 0 as for independent uniform inputs."""
    most = FAR_FROM_UNIFORM / math.sqrt(table.shape[-1])
    means = table[1:, 0].mean(-1)  # (D,)
    neighbours = (table[1, :1] * table[1, 1:]).mean(-1)  # (K,)
    if float(means.abs().max()) > most:
        degree = int(means.abs().argmax()) + 1
        raise MeasureError(
            f"inputs are not uniform in -1..1: their normalised Legendre polynomial of degree {degree} has mean "
            f"{float(means[degree - 1]):.3g}, expected 0 within {most:.2g}. "
            "Drive the network with 2 * torch.rand(T) - 1."
        )
    if len(neighbours) and float(neighbours.abs().max()) > most:
        lag = int(neighbours.abs().argmax()) + 1
        raise MeasureError(
            f"inputs are not independent: those {lag} steps apart have correlation {float(neighbours[lag - 1]):.3g}, "
            f"expected 0 within {most:.2g}. Drive the network with 2 * torch.rand(T) - 1."
        )


def _capacities(table: Tensor, degree: int, max_delay: int, basis: Tensor) -> Tensor:
    """C of every product of a degree, float64 (products,)."""
    at_once = max(1, CHUNK_CELLS // (degree * table.shape[-1]))
    products = _factors(degree, max_delay)
    found = []
    while chunk := list(itertools.islice(products, at_once)):
        wanted = torch.tensor(chunk, device=table.device)  # (products, degree, 2)
        values = table[wanted[..., 0], wanted[..., 1]].prod(1)  # (products, T)
        values -= values.mean(-1, keepdim=True)
        explained = (values @ basis).square().sum(-1)
        found.append((explained / values.square().sum(-1)).clamp(max=1.0))
    return torch.cat(found)


def _factors(degree: int, max_delay: int) -> Iterator[Factors]:
    """Every way to give ``degree`` to the delays 0..K, filled up to ``degree`` factors with polynomials of degree 0."""
    for delays in itertools.combinations_with_replacement(range(max_delay + 1), degree):
        factors = tuple((power, delay) for delay, power in Counter(delays).items())
        yield factors + ((0, 0),) * (degree - len(factors))


def _chi_squared_quantile(freedom: int, tail: float) -> float:
    """The value that a chi-squared number of so many degrees of freedom exceeds with probability ``tail``."""
    if not freedom:
        return 0.0
    half = torch.tensor(freedom / 2, dtype=torch.float64, device="cpu")
    low, high = 0.0, freedom + 10 * math.sqrt(freedom) + 1e4
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        over = float(torch.special.gammaincc(half, half.new_tensor(middle / 2)))
        low, high = (middle, high) if over > tail else (low, middle)
    return high
