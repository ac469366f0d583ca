"""Why an answer is not in memory: never written, decayed, overwritten (by which step), or never read.

In: ``keep`` and ``write`` of one run and item, with ``M_t = keep_t * M_{t-1} + write_t``, read weights where there are
any, and the steps in question. Out: which of the four, with the numbers that say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import MeasureError
from .attention_rows import SAME_MASS
from .memory_law import PHASES
from .memory_numbers import checked, described, needs_whole

WRITTEN_LEAST = 0.1
"""Convention: a write below this part of the run's largest write did not take place."""
KEPT_LEAST = 1 / math.e
"""Convention, that of the retention horizon: below this part of what was written, it is lost."""
ERASED_LEAST = 0.5
"""Convention: a step overwrites what a memory holds if it alone erases this part of it (erased mass), or more."""
REPLACED_LEAST = 0.5
"""Convention: and if it writes this much, or more, in the same places, as a part of what it erases there."""
READ_LEAST = 0.1
"""Convention: below this weight on the places where it is held, it was not read."""

Verdict = Literal["never written", "decayed", "overwritten", "never read", "none of the four"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What became of what one step wrote. Later numbers are NaN, and steps None, where they have no meaning.

    Attributes:
        verdict: the first of the four that applies, else "none of the four".
        reason: the same as a sentence with its numbers and thresholds.
        by_step: the step that overwrote it; None for any other verdict.
        written: 0..1, norm of the write as a part of the run's largest; below ``WRITTEN_LEAST`` never written.
        survival: norm of what is left at the first read, as a part of what was written (survival x write); below
            ``KEPT_LEAST`` lost. Above 1 only where a keep is beyond -1..1.
        lost_step: first step after which less than ``KEPT_LEAST`` was left.
        worst_step: of the steps up to the one that lost it, or else up to the read, the one that erased most of it;
            None when nothing was erased.
        erased: erased mass of what was left, by that step: ``|(1 - keep) H|^2 / |H|^2``, 0..1 for a keep of 0..1.
        replaced: what that step wrote in the same places, as a part of what it erased there, 0 or more.
        read: 0..1, largest weight of a head and read on the places that hold it, each by its part of what is left;
            below ``READ_LEAST`` never read. NaN without read weights.
    """

    verdict: Verdict
    reason: str
    by_step: int | None
    written: float
    survival: float
    lost_step: int | None
    worst_step: int | None
    erased: float
    replaced: float
    read: float


def diagnose(
    keep: Tensor,
    write: Tensor,
    read_weights: Tensor | None = None,
    *,
    asked_step: int,
    written_step: int,
    read_step: int | None = None,
    phase: str = "after_write",
) -> Diagnosis:
    """Follows what one step wrote up to the read that should have found it.

    Our definition, of the parts that the package measures elsewhere: survival (provenance), erased mass (the erase step
    of Graves et al. 2014, arXiv 1410.5401, eq. 3), read weights. In this order: *never written* if the write is weak
    beside the run's largest; when it is lost before the read, *overwritten* if one step up to then erased at least half
    of what was left and wrote in the same places, else *decayed*, be it bit by bit or by a reset; *never read* if no
    read looks at the places that hold it. The thresholds are conventions, the module's constants.

    It follows amounts: whether the right thing was written, or was told apart by what reads it, is beyond these
    numbers. Nor do they show writes that pile up where nothing is erased (see :func:`read_provenance`), or an answer
    that one step shows and a later step writes.

    Args:
        keep: (T, P, ...), what each step keeps, of one batch item; sizes 1 where it is the same.
        write: (T, P, ...), what each step adds. P are the places: units of a vector (T, H), slots (T, S, D), rows.
        read_weights: (T, P) or (T, N, P), 0..1, weights of the reads. None = the memory has none: no "never read".
        asked_step: step of the answer, the last read that counts.
        written_step: step that showed the answer.
        read_step: first read that counts. None = ``asked_step``.
        phase: "after_write": a read sees what its own step wrote; "before_write": what the step before left.

    Returns:
        The verdict with its numbers.

    Cost:
        A few passes over ``T P D`` numbers.

    Raises:
        MeasureError: for axes that do not fit, NaN, Inf, weights out of range, steps out of order, another phase.
    """
    writes = checked(write, "write", "T", "P", "...")
    keeps = _fitting(checked(keep, "keep", "T", "P", "..."), writes)
    reads = None if read_weights is None else _checked_reads(read_weights, writes)
    steps = len(writes)
    if phase not in PHASES:
        raise MeasureError(f"phase={phase!r}; expected 'after_write' or 'before_write': which content a read sees.")
    late = int(phase == "before_write")
    needs_whole("asked_step", asked_step, 0, steps - 1)
    needs_whole("written_step", written_step, 0, asked_step - late)
    first_read = asked_step if read_step is None else read_step
    needs_whole("read_step", first_read, written_step + late, asked_step)
    reads = reads if reads is None else reads[first_read : asked_step + 1]
    return _followed(keeps, writes, reads, written_step, first_read - late, asked_step - late)


def _followed(keeps: Tensor, writes: Tensor, reads: Tensor | None, start: int, first: int, last: int) -> Diagnosis:
    """What became of the write of step ``start`` in the contents of the steps ``first``..``last``, which are read."""
    writes = writes / (writes.abs().max() or 1)  # so that squares do not overflow
    sizes = _norms(writes)
    written = float(sizes[start] / (sizes.max() or 1))
    if written < WRITTEN_LEAST:
        reason = f"step {start} wrote {written:.2g} of the run's largest write, below {WRITTEN_LEAST:g}."
        return _diagnosis("never written", reason, written=written)
    writes = writes / sizes[start]
    held = _held(keeps, writes, start, last)  # (t, P, ...)
    survival = float(_norms(held)[first - start])
    loss = _worst_loss(held[: first - start + 1], keeps, writes, start)
    if survival < KEPT_LEAST:
        return _lost(written, survival, loss)
    read = math.nan if reads is None else _read(reads, held[first - start :])
    left = f"{survival:.2g} of what step {start} wrote is left at the read, and"
    if read < READ_LEAST:
        reason = f"{left} the reads have weight {read:.2g} where it is, below {READ_LEAST:g}."
        return _diagnosis("never read", reason, loss, written=written, survival=survival, read=read)
    seen = "no read weights were given" if reads is None else f"the reads have weight {read:.2g} where it is"
    reason = f"{left} {seen}: look at what comes after the read."
    return _diagnosis("none of the four", reason, loss, written=written, survival=survival, read=read)


@dataclass(frozen=True, slots=True)
class _Loss:
    """The step that erased most, see :class:`Diagnosis`; ``overwrote``: whether it replaced what it erased."""

    lost_step: int | None = None
    worst_step: int | None = None
    erased: float = math.nan
    replaced: float = math.nan

    @property
    def overwrote(self) -> bool:
        """Whether the step alone erased enough, and wrote enough in its place."""
        return self.erased >= ERASED_LEAST and self.replaced >= REPLACED_LEAST


def _diagnosis(
    verdict: Verdict,
    reason: str,
    loss: _Loss | None = None,
    *,
    by_step: int | None = None,
    written: float,
    survival: float = math.nan,
    read: float = math.nan,
) -> Diagnosis:
    """With NaN and None for what has no meaning."""
    of = loss or _Loss()
    return Diagnosis(
        verdict, reason, by_step, written, survival, of.lost_step, of.worst_step, of.erased, of.replaced, read
    )


def _lost(written: float, survival: float, loss: _Loss) -> Diagnosis:
    """Overwritten by one step, or decayed."""
    most = f"step {loss.worst_step}, which erased most, took {loss.erased:.2g} of what was left"
    reason = (
        f"{survival:.2g} is left at the read, below {KEPT_LEAST:.2g}; {most} and wrote {loss.replaced:.2g} of that "
        f"anew (overwritten: from {ERASED_LEAST:g} and {REPLACED_LEAST:g})."
    )
    if loss.overwrote:
        return _diagnosis("overwritten", reason, loss, by_step=loss.worst_step, written=written, survival=survival)
    return _diagnosis("decayed", reason, loss, written=written, survival=survival)


def _held(keeps: Tensor, writes: Tensor, start: int, last: int) -> Tensor:
    """What step ``start`` wrote, as held after it and each step up to ``last``, (last - start + 1, P, ...)."""
    held = [writes[start]]
    for step in range(start + 1, last + 1):
        held.append(keeps[step] * held[-1])
    return torch.stack(held)


def _worst_loss(held: Tensor, keeps: Tensor, writes: Tensor, start: int) -> _Loss:
    """The step that erased most of ``held`` (t, P, ...), which begins after step ``start``."""
    sizes = _norms(held)
    below = (sizes < KEPT_LEAST).nonzero()
    lost = int(below[0]) if len(below) else None
    last = len(held) - 1 if lost is None else lost
    if not last:
        return _Loss()
    keeps, writes = keeps[start + 1 : start + last + 1], writes[start + 1 : start + last + 1]
    erased = (1 - keeps) * held[:last]
    worst = int(_norms(erased).argmax())
    found, gone = held[worst].square().sum(), erased[worst]
    if not gone.any():
        return _Loss()
    share = float(gone.square().sum() / found)
    return _Loss(None if lost is None else start + lost, start + 1 + worst, share, _replaced(gone, writes[worst]))


def _replaced(gone: Tensor, write: Tensor) -> float:
    """Norm of a write in the places of what it erased, as a part of that; places count by what they lost."""
    lost, new = _by_place(gone), _by_place(write)  # (P,), squared
    return float(((lost * new).sum() / lost.square().sum()).sqrt())


def _read(reads: Tensor, held: Tensor) -> float:
    """Largest weight of a read (t, N, P) on the places of what is held (t, P, ...)."""
    parts = _by_place(held, leading=2).sqrt()  # (t, P)
    whole = parts.sum(-1, keepdim=True)
    parts = parts / whole.where(whole > 0, torch.ones_like(whole))
    return float(torch.einsum("tnp,tp->tn", reads, parts).max())


def _norms(values: Tensor) -> Tensor:
    """Norm over everything but the steps, (T,)."""
    norms: Tensor = values.flatten(1).norm(dim=-1)
    return norms


def _by_place(values: Tensor, leading: int = 1) -> Tensor:
    """Sum of squares over what a place holds; the places are the last of the leading axes."""
    squares: Tensor = values.square().reshape(*values.shape[:leading], -1).sum(-1)
    return squares


def _fitting(keep: Tensor, write: Tensor) -> Tensor:
    """``keep``, expanded to the axes of the write."""
    try:
        return keep.expand(write.shape)
    except RuntimeError as error:
        raise MeasureError(
            f"keep is {described(keep)}; expected the axes of write, {tuple(write.shape)}, or sizes 1. "
            "Give those of one memory, run and batch item."
        ) from error


def _checked_reads(read_weights: Tensor, write: Tensor) -> Tensor:
    """Read weights with an axis of heads, (T, N, P)."""
    advice = "Give the weights of the reads, after their softmax."
    reads = checked(read_weights, "read_weights", "T", "...", "P", low=0.0, high=1.0 + SAME_MASS, advice=advice)
    reads = reads.unsqueeze(1) if reads.dim() == 2 else reads
    if reads.dim() != 3 or (reads.shape[0], reads.shape[2]) != tuple(write.shape[:2]):
        raise MeasureError(
            f"read_weights is {described(read_weights)}; expected ({write.shape[0]}, P) or ({write.shape[0]}, N, P) "
            f"with the {write.shape[1]} places of write. Give those of one memory, run and batch item."
        )
    return reads
