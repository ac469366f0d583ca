"""How long a gated memory keeps what it holds, and which step wrote it.

In: ``keep`` and ``write`` of a memory with ``M_t = keep_t * M_{t-1} + write_t``, step first: of an LSTM the forget gate
and i * g, of a GRU z and (1 - z) n. Out: time constants, how much survives after each lag, and the share of each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, described, in_result_dtype, needs_whole

TRUSTED_RESIDUAL = 1e-4
"""Convention: a recovered memory that is further than this from the observed one, in float32, is not to be trusted."""

GATE_ADVICE = "Give the gate after its sigmoid; a keep beyond 0..1 has no time constant."


def time_constants(keep: Tensor) -> Tensor:
    """Time constant of each unit, in steps: ``-1 / mean(ln f)``, the lag after which 1/e is left.

    Tallec & Ollivier 2018 (arXiv 1804.11188) and Mahto et al. 2021 (arXiv 2009.12727), of a constant gate. If the gate
    changes, what survives is the *product* of its values, so the logarithm is averaged and not the gate. A state-space
    layer has ``f = exp(dt A)``, with A < 0.

    Args:
        keep: (..., H), 0..1, the part of the memory that each step keeps: an LSTM's forget gate (T, B, H).

    Returns:
        (H,), steps, over all leading axes together; 0 for a unit that is wiped once (f = 0), inf for one that never
        forgets anything (f = 1). PyTorch's initial LSTM has about 1.44.
    """
    return in_result_dtype(_time_constants(keep), keep)


def half_lives(keep: Tensor) -> Tensor:
    """Steps after which half of the memory is left: ``ln 2`` times :func:`time_constants`.

    Args:
        keep: (..., H), 0..1.

    Returns:
        (H,), steps, 0..inf.
    """
    return in_result_dtype(math.log(2) * _time_constants(keep), keep)


def _time_constants(keep: Tensor) -> Tensor:
    """Steps, float64 (H,)."""
    gates = checked(keep, "keep", "...", "H", low=0.0, high=1.0, advice=GATE_ADVICE)
    rate = -gates.flatten(0, -2).log().mean(0) if gates.dim() > 1 else -gates.log()
    return 1 / rate.abs()  # abs turns the -0 of a gate of 1 into 0, so that its time constant is inf and not -inf


@dataclass(frozen=True, slots=True)
class RetentionCurve:
    """What is left of a memory, lag by lag.

    Attributes:
        curve: (L + 1, H), 0..1 for a keep of 0..1: mean survival per unit after 0, 1, ... L steps. Lag 0 is 1.
        horizon: (H,), steps: first lag at which a unit's curve is below 1/e; NaN if it never is within L.
        mean_curve: (L + 1,), mean over the units.
        mean_horizon: First lag at which ``mean_curve`` is below 1/e; NaN if it never is within L.
        samples: (L + 1,), how many starts, over steps and batch items, each lag is a mean of.
    """

    curve: Tensor
    horizon: Tensor
    mean_curve: Tensor
    mean_horizon: float
    samples: Tensor


def retention(keep: Tensor, max_lag: int | None = None) -> RetentionCurve:
    """Mean survival by lag: ``S(s + k, s) = keep_{s+1} ... keep_{s+k}``, averaged over starts s and batch items.

    Our definition; for state-space layers see Ali, Zimerman & Wolf 2024 (arXiv 2403.01590). Products are taken as such,
    so a keep of 0, or below it as in delta rules, is right too.

    Args:
        keep: (T, B, H) or (T, H), the part of the memory that each step keeps.
        max_lag: L, steps, 0..T - 1. None = T - 1. Long lags have few starts: see ``samples``.

    Returns:
        Curves and horizons. A constant keep f has curve f^k.

    Cost:
        ``T L B H`` multiplications, in the memory of ``keep``.

    Raises:
        MeasureError: for other axes, NaN or Inf, and ``max_lag`` out of range.
    """
    gates = checked(keep, "keep", "T", "...", "H")
    steps, units = gates.shape[0], gates.shape[-1]
    gates = gates.reshape(steps, -1, units)  # (T, B, H)
    lags = steps - 1 if max_lag is None else needs_whole("max_lag", max_lag, 0, steps - 1)
    survived = torch.ones_like(gates)
    curve = [survived.mean((0, 1))]
    for lag in range(1, lags + 1):
        survived = survived[:-1] * gates[lag:]
        curve.append(survived.mean((0, 1)))
    by_unit = torch.stack(curve)  # (L + 1, H)
    mean_curve = by_unit.mean(-1)
    return RetentionCurve(
        in_result_dtype(by_unit, keep),
        in_result_dtype(_horizon(by_unit), keep),
        in_result_dtype(mean_curve, keep),
        float(_horizon(mean_curve.unsqueeze(-1))),
        (steps - torch.arange(lags + 1, device="cpu")) * gates.shape[1],
    )


def _horizon(curves: Tensor) -> Tensor:
    """First lag below 1/e, (H,), of curves (L + 1, H); NaN where there is none."""
    below = curves < 1 / math.e
    first = below.to(torch.int64).argmax(0).to(torch.float64)
    return first.masked_fill(~below.any(0), torch.nan)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which step wrote what the memory holds at each step: rows as in an attention map.

    Attributes:
        amount: (B, T, T): norm of what step s wrote and step t still holds, ``|S(t, s) write_s|``; 0 for s > t.
        share: (B, T, T), 0..1: ``amount`` as a part of the sum over all origins, the initial memory among them. A row
            sums to 1 with ``initial_share``; a memory that holds nothing has a row of 0.
        initial_share: (B, T), 0..1: the part of the memory from before the first step.
        residual: Largest ``|recovered - observed|``; above ``TRUSTED_RESIDUAL`` the map is not to be trusted. NaN when
            no content was given to compare with.
    """

    amount: Tensor
    share: Tensor
    initial_share: Tensor
    residual: float


def provenance(
    keep: Tensor, write: Tensor, *, initial: Tensor | None = None, content: Tensor | None = None
) -> Provenance:
    """Who wrote what: ``P[t, s] = S(t, s) write_s`` with ``S(t, s) = keep_{s+1} ... keep_t``.

    Then ``sum_s P[t, s] + keep_0 ... keep_t M_initial`` is the memory at t. Our definition; for state-space layers it
    is the hidden attention of Ali, Zimerman & Wolf 2024 (arXiv 2403.01590). Norms are over all units, or slots and
    widths, of a batch item; give one unit alone to see its own map.

    Args:
        keep: (T, B, ...), or of sizes 1 where it is the same, as ``1 - w e^T`` of slots is not.
        write: (T, B, ...), what each step adds.
        initial: (B, ...), the memory before the first step. None = zeros.
        content: (T, B, ...), the memory after each step as it was observed, for ``residual``.

    Returns:
        A map per batch item. A memory that is never written to has provenance 0.

    Cost:
        ``T^2 B H`` multiplications and ``T B H + T^2 B`` numbers: for up to about 512 steps.

    Raises:
        MeasureError: for axes that do not fit together, NaN or Inf.
    """
    writes = checked(write, "write", "T", "B", "...")
    gates = _fitting(checked(keep, "keep", "T", "B", "..."), "keep", writes.shape)
    steps, batch = writes.shape[:2]
    start = torch.zeros_like(writes[0]) if initial is None else checked(initial, "initial", "B", "...")
    # Parts of the memory by origin: 0 is the initial memory, s + 1 what step s wrote. (T + 1, B, ...)
    parts = torch.zeros_like(writes[:1]).repeat(steps + 1, *[1] * (writes.dim() - 1))
    parts[0] = _fitting(start, "initial", writes.shape[1:])
    observed = (
        None if content is None else _fitting(checked(content, "content", "T", "B", "..."), "content", writes.shape)
    )
    norms = parts.new_zeros(steps, steps + 1, batch)
    residual = math.nan if observed is None else 0.0
    for step in range(steps):
        held = parts[: step + 2]
        held *= gates[step]
        held[-1] = writes[step]
        norms[step, : step + 2] = held.flatten(2).norm(dim=-1) if held.dim() > 2 else held.abs()
        if observed is not None:
            residual = max(residual, float((held.sum(0) - observed[step]).abs().max()))
    norms = norms.movedim(-1, 0)  # (B, T, T + 1)
    whole = norms.sum(-1, keepdim=True)
    shares = norms / whole.masked_fill(whole == 0, 1.0)
    given = (keep, write)
    return Provenance(
        in_result_dtype(norms[..., 1:], *given),
        in_result_dtype(shares[..., 1:], *given),
        in_result_dtype(shares[..., 0], *given),
        residual,
    )


def _fitting(values: Tensor, name: str, shape: torch.Size) -> Tensor:
    """``values``, expanded to a shape that they fit."""
    try:
        return values.expand(shape)
    except RuntimeError as error:
        raise MeasureError(
            f"{name} is {described(values)}; expected the axes of write, {tuple(shape)}, or sizes 1. "
            "Give what belongs to one run, with the same batch."
        ) from error
