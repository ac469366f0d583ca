"""Which training examples a model remembers: by training without them, or by its loss on seen and unseen ones.

In: outcomes of models and who was trained on what, or two sets of losses. Out: one score per example, or one AUC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, described, in_result_dtype, needs_share, needs_whole


def training_subsets(models: int, examples: int, share: float = 0.7, seed: int = 0) -> Tensor:
    """Random subsets to train on, one per model: what :func:`memorisation` takes as ``trained_with``.

    Feldman & Zhang 2020 (arXiv 2008.03703) use 70 %.

    Args:
        models: M, 2 or more.
        examples: n, 2 or more.
        share: part of the examples in each subset, between 0 and 1.
        seed: of the draw; no other random numbers are touched.

    Returns:
        bool (M, n), ``round(share n)`` True in each row, but at least one and not all.
    """
    needs_share("share", share)
    needs_whole("examples", examples, 2)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    draws = torch.rand(needs_whole("models", models, 2), examples, generator=generator, device="cpu")
    taken = min(max(round(share * examples), 1), examples - 1)
    return torch.zeros(models, examples, dtype=torch.bool, device="cpu").scatter_(1, draws.argsort(1)[:, :taken], True)


@dataclass(frozen=True, slots=True)
class Memorisation:
    """How much each example was learned by heart.

    Attributes:
        score: (n,), -1..1: 0 for an example that others explain, or nobody gets; near 1 for one that is right only when
            it was trained on. NaN for an example that was in every subset or in none.
        standard_error: (n,): largest that it can be with as many models, ``sqrt(.25 / with + .25 / without)``. Scores
            within twice this of 0, the chance line, are not told from it.
        right_with: (n,), 0..1: part of the models trained with the example that get it right.
        right_without: (n,), 0..1: the same of those trained without.
        models_with: (n,), how many models were trained with the example.
        models_without: (n,), how many were not.
    """

    score: Tensor
    standard_error: Tensor
    right_with: Tensor
    right_without: Tensor
    models_with: Tensor
    models_without: Tensor


def memorisation(correct: Tensor, trained_with: Tensor) -> Memorisation:
    """Memorisation score: ``P(right | trained with i) - P(right | trained without i)``, over models on random subsets.

    Feldman & Zhang 2020, "What neural networks memorize and why" (arXiv 2008.03703).

    Args:
        correct: (M, n), bool, or 0..1 as a probability of the right answer: model by example, all examples.
        trained_with: bool (M, n): whether the example was in the model's training subset; see
            :func:`training_subsets`.

    Returns:
        One score per example. A constant classifier has 0, and so has every exact duplicate under 1-NN.

    Cost:
        ``M n``; training the M models is the caller's.

    Raises:
        MeasureError: for shapes that differ, a ``trained_with`` that is not bool, and values out of 0..1.
    """
    right = checked(correct, "correct", "M", "n", low=0.0, high=1.0, advice="Give right or wrong, not the loss.")
    checked(trained_with, "trained_with", "M", "n")
    if trained_with.dtype != torch.bool or trained_with.shape != right.shape:
        raise MeasureError(
            f"expected trained_with as bool of shape {tuple(right.shape)}, as correct; got {described(trained_with)}. "
            "Draw it with training_subsets(), and train each model on its row."
        )
    inside = trained_with.to(right.device, torch.float64)
    models_with = inside.sum(0)
    models_without = len(right) - models_with
    right_with = (right * inside).sum(0) / models_with  # 0 / 0 is NaN: no model, no rate
    right_without = (right * (1 - inside)).sum(0) / models_without
    error = (0.25 / models_with + 0.25 / models_without).sqrt()
    error = error.masked_fill(error.isinf(), torch.nan)
    return Memorisation(
        in_result_dtype(right_with - right_without, correct),
        in_result_dtype(error, correct),
        in_result_dtype(right_with, correct),
        in_result_dtype(right_without, correct),
        models_with.to(torch.int64),
        models_without.to(torch.int64),
    )


@dataclass(frozen=True, slots=True)
class SeenUnseen:
    """Whether a loss tells seen from unseen examples.

    Attributes:
        auc: 0..1: probability that an unseen example has the larger loss, ties counting half; 1 for a lookup table.
        chance: 0.5, a model without memory.
        chance_spread: Standard deviation of the AUC of such a model with as many examples,
            ``sqrt((n + m + 1) / (12 n m))``.
        seen: n, number of seen examples.
        unseen: m.
    """

    auc: float
    chance: float
    chance_spread: float
    seen: int
    unseen: int


def seen_unseen_auc(seen_losses: Tensor, unseen_losses: Tensor) -> SeenUnseen:
    """AUC of ``loss(unseen) > loss(seen)``: does the model remember these examples?

    Membership by a threshold on the loss: Yeom et al. 2018 (arXiv 1709.01604); the AUC is the Mann-Whitney
    statistic divided by n m. It says something about memory only if both sets come from one distribution.

    Args:
        seen_losses: (n,), losses of the examples in question.
        unseen_losses: (m,), losses of like examples that were not trained on.

    Returns:
        The AUC beside its chance line and spread.

    Cost:
        One sort.

    Raises:
        MeasureError: for other axes, NaN or Inf.
    """
    seen = checked(seen_losses, "seen_losses", "n")
    unseen = checked(unseen_losses, "unseen_losses", "m").to(seen.device)
    ordered = seen.sort().values
    below = torch.searchsorted(ordered, unseen)
    up_to = torch.searchsorted(ordered, unseen, right=True)
    pairs = len(seen) * len(unseen)
    auc = int((below + up_to).sum()) / (2 * pairs)
    return SeenUnseen(auc, 0.5, math.sqrt((len(seen) + len(unseen) + 1) / (12 * pairs)), len(seen), len(unseen))


@dataclass(frozen=True, slots=True)
class Exposure:
    """How far canaries stand out among secrets that could have been planted in their place.

    Attributes:
        bits: (n,), 0..``most_bits``: ``log2 R - log2 rank`` of each canary.
        rank: (n,), 1..R: place of the canary by its loss among all R, the smallest first; ties count half.
        most_bits: log2 R: the canary has the smallest loss of all. More candidates can tell more.
        chance: What canaries that were never trained on have on average, ``log2 R - log2(R!) / R``: about 1 / ln 2 =
            1.44 bits and not 0.
        chance_spread: Standard deviation of that; of the mean of n canaries it is this / sqrt(n).
        candidates: R, the other secrets and the canary itself.
    """

    bits: Tensor
    rank: Tensor
    most_bits: float
    chance: float
    chance_spread: float
    candidates: int


def exposure(canary_losses: Tensor, other_losses: Tensor) -> Exposure:
    """Exposure of canaries, ``log2 R - log2 rank``: did the model learn by heart what was planted in its training data?

    Carlini et al. 2019, "The secret sharer" (arXiv 1802.08232), def. 2.

    Args:
        canary_losses: (n,), loss of each canary: a random secret that was put into the training data.
        other_losses: (R - 1,), losses of secrets drawn in the same way that were not.

    Returns:
        Bits per canary beside their chance line. A model that gives all secrets the same loss has ``log2(2 R / (R +
        1))``, just below 1.

    Cost:
        One sort of R numbers, and R more for the chance line.

    Raises:
        MeasureError: for other axes, NaN or Inf.
    """
    canaries = checked(canary_losses, "canary_losses", "n")
    others = checked(other_losses, "other_losses", "R - 1").to(canaries.device)
    ordered = others.sort().values
    ahead = torch.searchsorted(ordered, canaries) + torch.searchsorted(ordered, canaries, right=True)
    rank = 1 + ahead.double() / 2
    candidates = len(others) + 1
    all_bits = math.log2(candidates) - torch.arange(1, candidates + 1, dtype=torch.float64, device="cpu").log2()
    return Exposure(
        in_result_dtype(math.log2(candidates) - rank.log2(), canary_losses, other_losses),
        in_result_dtype(rank, canary_losses, other_losses),
        math.log2(candidates),
        float(all_bits.mean()),
        float(all_bits.std(correction=0)),
        candidates,
    )
