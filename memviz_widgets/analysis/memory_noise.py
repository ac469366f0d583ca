"""Whether a training run learned rules or learned its examples by heart: labels that are noise tell.

In: what was right at each epoch, and whose label is random. Out: accuracy by epoch on both kinds of examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, described, in_result_dtype, needs_whole


@dataclass(frozen=True, slots=True)
class NoiseFit:
    """How a training run fitted labels that no rule gives.

    Attributes:
        noisy: (E,), 0..1: accuracy per epoch on the examples with random labels, against the labels that were trained
            on. Above ``chance`` is learned by heart.
        clean: (E,), 0..1: the same on all others; NaN where there are none.
        chance: 1 / classes.
        standard_error: Largest that the one of ``noisy`` can be, ``sqrt(.25 / n)``.
        noisy_half: First epoch, from 0, at which ``noisy`` is half-way from chance to 1; NaN when it never is.
        clean_half: The same of ``clean``. Rules are learned before noise: how much later ``noisy_half`` is, is the room
            for stopping early.
        examples: Number of examples with random labels.
    """

    noisy: Tensor
    clean: Tensor
    chance: float
    standard_error: float
    noisy_half: float
    clean_half: float
    examples: int


def noise_fit(correct: Tensor, random_label: Tensor, classes: int) -> NoiseFit:
    """Fit to noise: training accuracy by epoch on examples whose label was drawn at random.

    Zhang et al. 2017, "Understanding deep learning requires rethinking generalization" (arXiv 1611.03530); side by side
    with real labels in one run: Arpit et al. 2017, "A closer look at memorization" (arXiv 1706.05394).

    Args:
        correct: (E, n), bool, or 0..1 as a probability of the label: whether the model gives the label that it was
            trained on; epoch by training example.
        random_label: bool (n,): whose label was drawn at random from all classes.
        classes: number of classes, 2 or more.

    Returns:
        Both curves beside chance. A linear model of d features fits any labels of d examples or fewer.

    Cost:
        ``E n``.

    Raises:
        MeasureError: for axes that do not fit, values out of 0..1, or no example with a random label.
    """
    right = checked(correct, "correct", "E", "n", low=0.0, high=1.0, advice="Give right or wrong, not the loss.")
    chance = 1 / needs_whole("classes", classes, 2)
    checked(random_label, "random_label", "n")
    if random_label.dtype != torch.bool or len(random_label) != right.shape[1] or not bool(random_label.any()):
        raise MeasureError(
            f"expected random_label as bool of shape ({right.shape[1]},), some of them True; got "
            f"{described(random_label)}, {int(random_label.sum())} of them True. Mark the examples whose label "
            "is drawn."
        )
    drawn = random_label.to(right.device)
    noisy, clean = right[:, drawn].mean(1), right[:, ~drawn].mean(1)  # (E,); a mean over nothing is NaN
    return NoiseFit(
        in_result_dtype(noisy, correct),
        in_result_dtype(clean, correct),
        chance,
        math.sqrt(0.25 / int(drawn.sum())),
        _half_way(noisy, chance),
        _half_way(clean, chance),
        int(drawn.sum()),
    )


def _half_way(accuracy: Tensor, chance: float) -> float:
    """First epoch that is half-way from chance to 1."""
    there = (accuracy >= (1 + chance) / 2).nonzero()
    return float(there[0]) if len(there) else math.nan
