"""How a memory of slots is used: which slots, how sharply, and what a write destroys.

In: addressing weights (..., S) over slots and contents (..., S, D), as the adapters record them. Out: measures per step
and batch item, or per slot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .attention_rows import SAME_MASS
from .memory_numbers import checked, described, in_result_dtype, needs_whole

WEIGHT_ADVICE = "Give addressing weights, after their softmax."
GATE_ADVICE = "Give the value after its sigmoid."


@dataclass(frozen=True, slots=True)
class SlotUsage:
    """Which slots were addressed at all, and how evenly.

    Attributes:
        mass: (S,): sum of the weights on each slot.
        used: Number of slots with more mass than ``least``.
        share: ``used`` / slots, 0..1.
        kl: Nats, 0 (all slots alike, the chance line) .. ln S (one slot only); NaN when nothing was addressed.
        least: Mass up to which a slot counts as unused.
        slots: S.
        weightings: Number of weightings that were summed: steps, batch items and heads.
    """

    mass: Tensor
    used: int
    share: float
    kl: float
    least: float
    slots: int
    weightings: int


def slot_usage(weights: Tensor, least: float = SAME_MASS) -> SlotUsage:
    """Usage ``#(slots with sum w > least) / S`` and unevenness ``KL = ln S + sum z ln z``, z = mass / sum of mass.

    Lample et al. 2019, "Large memory layers with product keys" (arXiv 1907.05242). A softmax puts some weight
    on every slot, so there choose a larger ``least``, or read the KL: ``S exp(-kl)`` is an effective number of slots.

    Args:
        weights: (..., S), 0..1, read or write weights; a weighting may sum to less than 1. All leading axes are summed.
        least: mass up to which a slot counts as unused; the default is the rounding of float32.

    Returns:
        Usage over all steps and batch items given; give one item to see its own.
    """
    addressed = checked(weights, "weights", "...", "S", low=0.0, high=1.0 + SAME_MASS, advice=WEIGHT_ADVICE)
    slots = addressed.shape[-1]
    mass = addressed.reshape(-1, slots).sum(0)
    total = mass.sum()
    used = int((mass > least).sum())
    spread = float(torch.special.entr(mass / total).sum())
    kl = max(0.0, math.log(slots) - spread) if float(total) else math.nan
    return SlotUsage(in_result_dtype(mass, weights), used, used / slots, kl, least, slots, addressed.numel() // slots)


def read_sharpness(weights: Tensor) -> Tensor:
    """How sharply each weighting picks a slot: ``1 - H(w) / ln S``, with w scaled to sum 1.

    Args:
        weights: (..., S), 0..1, read or write weights.

    Returns:
        (...), 0 (uniform) .. 1 (one slot); NaN for a weighting of zeros, and for a memory of one slot, where there is
        nothing to choose.
    """
    addressed = checked(weights, "weights", "...", "S", low=0.0, high=1.0 + SAME_MASS, advice=WEIGHT_ADVICE)
    shares = addressed / addressed.sum(-1, keepdim=True)
    most = math.log(addressed.shape[-1]) or math.nan
    return in_result_dtype((1 - torch.special.entr(shares).sum(-1) / most).clamp(0, 1), weights)


def erased_mass(memory: Tensor, write_weights: Tensor, erase: Tensor) -> Tensor:
    """What part of the memory a write erases: ``|M * (w e^T)|^2 / |M|^2``, norms over slots and width.

    Our measure of the erase step of the neural Turing machine (Graves, Wayne & Danihelka 2014, arXiv 1410.5401, eq. 3).
    The memory is the one *before* the write: of a trace, ``memory[:-1]`` with ``write_weights[1:]`` and ``erase[1:]``.

    Args:
        memory: (..., S, D), before the write.
        write_weights: (..., S), 0..1.
        erase: (..., D), 0..1.

    Returns:
        (...), 0 (nothing; also for an empty memory, in which there is nothing to erase) .. 1 (a full overwrite).

    Raises:
        MeasureError: for axes that do not fit together, NaN or Inf, and weights out of range.
    """
    content = checked(memory, "memory", "...", "S", "D")
    weights = checked(write_weights, "write_weights", "...", "S", low=0.0, high=1.0 + SAME_MASS, advice=WEIGHT_ADVICE)
    gate = checked(erase, "erase", "...", "D", low=0.0, high=1.0, advice=GATE_ADVICE)
    _needs_shape("write_weights", weights, content.shape[:-1])
    _needs_shape("erase", gate, (*content.shape[:-2], content.shape[-1]))
    content = content / _or_one(content.abs().amax((-2, -1), keepdim=True))  # so that squares do not overflow
    erased = (content * weights.unsqueeze(-1) * gate.unsqueeze(-2)).square().sum((-2, -1))
    whole = content.square().sum((-2, -1))
    return in_result_dtype(erased / _or_one(whole), memory, write_weights, erase)


def write_overlap(write_weights: Tensor, usage: Tensor) -> Tensor:
    """How much of a write goes to slots that are in use: ``sum_s w_t[s] u_{t-1}[s]``.

    Our measure, with the usage of the DNC (Graves et al. 2016, "Hybrid computing using a neural network with dynamic
    external memory"). The usage is the one *before* the write.

    Args:
        write_weights: (..., S), 0..1, whose sums are at most 1.
        usage: (..., S), 0..1, before the write.

    Returns:
        (...), 0 (only free slots) .. 1 (only slots in use).

    Raises:
        MeasureError: for other axes, NaN or Inf, and values out of range.
    """
    weights = checked(write_weights, "write_weights", "...", "S", low=0.0, high=1.0 + SAME_MASS, advice=WEIGHT_ADVICE)
    in_use = checked(usage, "usage", "...", "S", low=0.0, high=1.0 + SAME_MASS, advice="Give the usage vector.")
    _needs_shape("usage", in_use, weights.shape)
    return in_result_dtype((weights * in_use).sum(-1), write_weights, usage)


@dataclass(frozen=True, slots=True)
class Coherence:
    """How alike the two most alike slots are.

    Attributes:
        coherence: (...), 0..1: largest ``|cos|`` between two slots; NaN with fewer than two slots that hold anything.
        bound: (...): what no set of as many directions can stay below, the Welch bound; 0 for as many slots as width
            or fewer.
        occupied: (...), number of slots that are not zero: only those have a direction.
    """

    coherence: Tensor
    bound: Tensor
    occupied: Tensor


def coherence(memory: Tensor) -> Coherence:
    """Mutual coherence of the slots: ``max |cos(M_i, M_j)|`` over i != j, beside the Welch bound.

    Welch 1974, "Lower bounds on the maximum cross correlation of signals": ``sqrt((S - D) / (D (S - 1)))``.

    Args:
        memory: (..., S, D).

    Returns:
        Per step and batch item.

    Cost:
        ``S^2 D`` per memory, and ``S^2`` numbers.
    """
    content = checked(memory, "memory", "...", "S", "D")
    width = content.shape[-1]
    content = content / _or_one(content.abs().amax(-1, keepdim=True))
    directions = content / _or_one(content.norm(dim=-1, keepdim=True))
    alike = (directions @ directions.mT).abs()
    alike.diagonal(dim1=-2, dim2=-1).zero_()
    occupied = (content != 0).any(-1).sum(-1)
    largest = alike.amax((-2, -1)).clamp(max=1.0).masked_fill(occupied < 2, torch.nan)
    many = occupied.to(torch.float64)
    bound = ((many - width).clamp(min=0) / (width * (many - 1).clamp(min=1))).sqrt()
    return Coherence(in_result_dtype(largest, memory), in_result_dtype(bound, memory), occupied)


def welch_bound(slots: int, width: int) -> float:
    """Lowest coherence that ``slots`` directions of ``width`` dimensions can have; see :func:`coherence`.

    Args:
        slots: S, 2 or more.
        width: D, 1 or more.

    Returns:
        0..1; 0 for as many slots as width or fewer.
    """
    needs_whole("slots", slots, 2)
    needs_whole("width", width, 1)
    return math.sqrt(max(0, slots - width) / (width * (slots - 1)))


def _or_one(values: Tensor) -> Tensor:
    """``values`` to divide by, 1 in place of 0."""
    return values.masked_fill(values == 0, 1.0)


def _needs_shape(name: str, values: Tensor, shape: tuple[int, ...]) -> None:
    """Refuses an argument that does not fit the first one."""
    if values.shape != shape:
        raise MeasureError(
            f"{name} is {described(values)}; expected shape {tuple(shape)}, to fit the argument before it. "
            "Give the same steps, batch items and slots of one run."
        )
