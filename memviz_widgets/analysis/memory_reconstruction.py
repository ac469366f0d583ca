"""How much of the input a layer still holds: what a linear readout of its activations can rebuild.

In: activations and inputs of the same items. Out: R^2 on held-out items, as one number and per input value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, in_result_dtype, needs_same, needs_share, needs_whole
from .memory_readout import CONSTANT, rounding

RIDGES = tuple(10.0**power for power in range(-10, 5))
"""Ridge penalties that are tried, as parts of the mean squared singular value of the activations."""

TINY = 1e-14
"""An item alone in its direction has no error to be read off when it is left out; no division by 0 there."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What a layer holds of its input, as far as a linear readout can tell.

    Attributes:
        r2: 1 is an exact copy, 0 no better than the mean input, negative worse: on the held-out items, over all input
            values together.
        per_value: shape of one input: R^2 of each value, a picture of what is held; NaN where a value does not vary.
        chance: R^2 of the same readout when the inputs are paired with other items' activations, mean of ``shuffles``
            draws; 0 or a little below.
        reconstructed: (test, ...), the held-out inputs as the readout rebuilds them.
        test_items: (test,), which items those are.
        ridge: Penalty that was chosen, on the items of the fit, as a part of the mean squared singular value.
        rank: Number of directions that the activations of the items of the fit have.
        train: Number of items that the readout was fitted on.
        test: Number of items held out.
    """

    r2: float
    per_value: Tensor
    chance: float
    reconstructed: Tensor
    test_items: Tensor
    ridge: float
    rank: int
    train: int
    test: int


def linear_reconstruction(
    activations: Tensor, inputs: Tensor, *, test_share: float = 0.3, shuffles: int = 4, seed: int = 0
) -> Reconstruction:
    """R^2 of the best linear reconstruction of the input from a layer, ``1 - sum (x - x_hat)^2 / sum (x - mean)^2``.

    A linear probe in the sense of Alain & Bengio 2016 (arXiv 1610.01644), by ridge regression with a bias. The penalty
    is one for all input values, chosen by leave-one-out error on the items of the fit (Allen 1974); the mean is theirs
    too. A fit on few items misses some of what is there, most with fewer items than activations, so R^2 is a lower
    bound: compare layers on the same items, many of them.

    Args:
        activations: (items, ...), of one layer; all axes after the first are its features.
        inputs: (items, ...), such as images; the same items in the same order.
        test_share: part of the items that is held out, drawn at random, between 0 and 1.
        shuffles: how many draws ``chance`` is the mean of, 1 or more.
        seed: of the draws; no other random numbers are touched.

    Returns:
        R^2 with its chance line. Activations that never change have 0.

    Cost:
        ``m n min(m, n)`` for m items of the fit and n features, and ``m^2 shuffles`` per input value; float64 copies of
        both.

    Raises:
        MeasureError: for items that do not match, fewer than 4 of them, NaN or Inf, and inputs that do not vary.
    """
    held, shown = checked(activations, "activations", "items", "..."), checked(inputs, "inputs", "items", "...")
    needs_same("items", activations=len(held), inputs=len(shown))
    needs_whole("shuffles", shuffles, 1)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    train, test = _split(len(held), needs_share("test_share", test_share), generator, held.device)
    features, targets = held.reshape(len(held), -1), shown.reshape(len(held), -1)
    fit = _decomposed(features[train], features[test], rounding(activations))
    mean = targets[train].mean(0)
    centred, wanted = targets[train] - mean, targets[test] - mean
    spread = _spread(wanted, targets)
    short = _shortened(centred)
    ridge = _ridge(fit, short)
    guess = _guess(fit, centred, ridge)
    parts = (wanted - guess).square().sum(0) / spread  # (values,), unexplained
    chances = []
    for _ in range(shuffles):
        mixed = torch.randperm(len(train), generator=generator, device="cpu").to(held.device)
        other = _guess(fit, centred[mixed], _ridge(fit, short[mixed]))
        chances.append(_r2(wanted, other, spread))
    return Reconstruction(
        _r2(wanted, guess, spread),
        in_result_dtype((1 - parts).reshape(shown.shape[1:]), inputs),
        sum(chances) / shuffles,
        in_result_dtype((guess + mean).reshape(len(test), *shown.shape[1:]), inputs),
        test,
        ridge,
        len(fit.strength),
        len(train),
        len(test),
    )


def _split(items: int, test_share: float, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which items to fit on, 3 or more, and which to measure on, drawn at random."""
    if items < 4:
        raise MeasureError(f"{items} items; expected 4 or more, better hundreds, to fit on some and measure on others.")
    order = torch.randperm(items, generator=generator, device="cpu").to(device)
    test = min(max(round(items * test_share), 1), items - 3)
    return order[test:], order[:test]


def _spread(wanted: Tensor, targets: Tensor) -> Tensor:
    """Sum of squares of each value of the held-out items about the mean; NaN for a value that does not vary."""
    spread = wanted.square().sum(0)
    still = spread <= len(wanted) * (CONSTANT * targets.abs().amax(0)).square()
    if bool(still.all()):
        raise MeasureError("inputs are the same for all items; expected items that differ. Give other images or texts.")
    return spread.masked_fill(still, torch.nan)


def _r2(wanted: Tensor, guess: Tensor, spread: Tensor) -> float:
    """R^2 over all values that vary."""
    wrong = (wanted - guess).square().sum(0)
    return 1 - float(wrong[~spread.isnan()].sum() / spread.nansum())


class _Decomposed(NamedTuple):
    """Activations of the fit as ``left * strength * right``, and the others in the same directions."""

    left: Tensor  # (train, rank)
    strength: Tensor  # (rank,)
    others: Tensor  # (test, rank)


def _decomposed(train: Tensor, test: Tensor, eps: float) -> _Decomposed:
    mean = train.mean(0)
    left, strength, right = torch.linalg.svd(train - mean, full_matrices=False)
    # Rounding of the activations as they were recorded is no direction, and neither is that of a constant.
    size = float(train.abs().max()) * max(train.shape) ** 0.5
    lives = (strength > strength[0] * eps) & (strength > size * CONSTANT)
    return _Decomposed(left[:, lives], strength[lives], (test - mean) @ right[lives].mT)


def _shortened(targets: Tensor) -> Tensor:
    """Targets (train, values) turned to no more values than items: sums of squared errors of fits stay the same."""
    return targets if targets.shape[1] <= len(targets) else torch.linalg.qr(targets.mT, mode="r")[1].mT


def _ridge(fit: _Decomposed, targets: Tensor) -> float:
    """The penalty with the least leave-one-out error on centred targets; 0 where there is nothing to fit on."""
    if not len(fit.strength):
        return 0.0
    squares = fit.strength.square()
    along = fit.left.mT @ targets  # (rank, values)
    # What no penalty reaches. Rank train - 1 leaves nothing but rounding, which would pass for a small error below.
    full = len(squares) == len(targets) - 1
    beyond = torch.zeros_like(targets) if full else targets - fit.left @ along
    free = torch.zeros_like(targets[:, :1]) if full else 1 - 1 / len(targets) - fit.left.square().sum(-1, keepdim=True)
    best = (torch.inf, RIDGES[0])
    for ridge in RIDGES:
        given_up = ridge * squares.mean() / (squares + ridge * squares.mean())  # (rank,), 1 - leverage of a direction
        wrong = beyond + fit.left @ (given_up.unsqueeze(-1) * along)
        left_out = wrong / (free + (fit.left.square() * given_up).sum(-1, keepdim=True)).clamp(min=TINY)
        best = min(best, (float(left_out.square().sum()), ridge))
    return best[1]


def _guess(fit: _Decomposed, targets: Tensor, ridge: float) -> Tensor:
    """What the fit on centred targets predicts for the other items, (test, values)."""
    squares = fit.strength.square()
    weights = fit.strength / (squares + ridge * squares.mean())
    return fit.others @ (weights.unsqueeze(-1) * (fit.left.mT @ targets))
