"""Runs of small memories for the tests: with closed forms, or random."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, float64."""
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def uniform_inputs(steps: int, seed: int = 0) -> Tensor:
    """Independent, uniform in -1..1, float64 (T,)."""
    return 2 * torch.rand(steps, generator=generator(seed), dtype=torch.float64) - 1


def delay_line(inputs: Tensor, units: int) -> Tensor:
    """Unit n holds the input of n steps ago, (T, N)."""
    padded = torch.cat([inputs.new_zeros(units - 1), inputs])
    return padded.unfold(0, units, 1).flip(-1)


def driven(inputs: Tensor, recurrent: Tensor, entry: Tensor, *, squash: bool = False) -> Tensor:
    """States (T, N) of ``x <- W x + w_in u``, through tanh with ``squash``."""
    state, states = torch.zeros_like(entry), []
    for value in inputs:
        state = recurrent @ state + entry * value
        state = state.tanh() if squash else state
        states.append(state)
    return torch.stack(states)


def reservoir(units: int, radius: float, seed: int = 0) -> Tensor:
    """Random recurrent weights (N, N) with the given spectral radius."""
    weights = noise(units, units, seed=seed)
    return weights * (radius / float(torch.linalg.eigvals(weights).abs().max()))


def unit_rows(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(noise(rows, width, seed=seed), dim=-1)


def signs(rows: int, width: int, seed: int = 0) -> Tensor:
    """Random patterns of -1 and 1, float64."""
    return torch.randint(0, 2, (rows, width), generator=generator(seed)).double() * 2 - 1


def simplex(corners: int) -> Tensor:
    """Corners of a regular simplex about 0, (S, S - 1): any two have cosine -1 / (S - 1)."""
    centred = torch.eye(corners, dtype=torch.float64) - 1 / corners
    vectors: Tensor = torch.linalg.svd(centred)[0][:, : corners - 1] * math.sqrt(corners / (corners - 1))
    return vectors
