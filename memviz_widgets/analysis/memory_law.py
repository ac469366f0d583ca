"""The law of a memory: what each step keeps of it and what it writes, from the parts that were recorded.

In: contents, gates, weights over slots, erase and add vectors of one run, batch and time first. Out: ``keep`` and
``write`` with ``content_t = keep_t * content_{t-1} + write_t``; which step wrote what is held, and what is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import checked, described, in_result_dtype

CONTENTS = ("memory", "cell", "state", "hidden")
"""Kinds of records that are the content of a memory; of two in one memory the first is."""

_FORMS = {"vector": ("cell", "state", "hidden"), "slots": ("memory",), "matrix": ("state", "memory")}
PHASES = ("after_write", "before_write")
"""Which content a read sees: that of its own step (DNC), or that of the step before (NTM)."""


@dataclass(frozen=True, slots=True)
class MemoryLaw:
    """Which parts say what a step keeps and writes. ``text``: the same as a formula."""

    content: str
    keep: tuple[str, ...]
    write: tuple[str, ...]
    text: str

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every part that is needed for keep and write."""
        return tuple(dict.fromkeys((*self.keep, *self.write)))


_LAWS = (
    MemoryLaw("cell", ("gate.f",), ("gate.i", "gate.g"), "cell_t = f_t · cell_{t-1} + i_t · g_t"),
    MemoryLaw("hidden", ("gate.z",), ("gate.z", "gate.n"), "hidden_t = z_t · hidden_{t-1} + (1 - z_t) · n_t"),
    MemoryLaw(
        "memory",
        ("write_weights", "erase"),
        ("write_weights", "erase", "add"),
        "memory_t = (1 - w_t e_tᵀ) · memory_{t-1} + w_t a_tᵀ",
    ),
)


def law_of(content: str, kinds: Collection[str]) -> MemoryLaw | None:
    """The law of a content of this kind, when its memory has parts of these kinds; None when they do not say it."""
    if {"keep", "write"} <= set(kinds):
        text = f"{content}_t = keep_t · {content}_{{t-1}} + write_t"
        return MemoryLaw(content, ("keep",), ("write",), text)
    return next((law for law in _LAWS if law.content == content and set(law.kinds) <= set(kinds)), None)


def keep_and_write(parts: Mapping[str, Tensor], form: str = "") -> tuple[Tensor, Tensor, Tensor]:
    """What each step keeps and writes, and the content: ``content_t = keep_t * content_{t-1} + write_t``.

    An LSTM's cell has keep f and write i * g (Hochreiter & Schmidhuber 1997; Gers et al. 2000), a GRU's hidden state
    z and (1 - z) n as PyTorch has it (Cho et al. 2014). Slots (Graves et al. 2014, arXiv 1410.5401, eq. 3 and 4) have
    ``1 - w e^T`` and ``w a^T``; of several heads each writes into what the head before it left.

    Args:
        parts: by kind, as recorded, with batch and time first: "cell" with "gate.f", "gate.i", "gate.g"; "hidden" with
            "gate.z", "gate.n", each (B, T, C); "memory" (B, T, S, D) with "write_weights" (B, T, N, S), "erase" and
            "add" (B, T, N, D); or any content with "keep" and "write" of its axes, sizes 1 where they are the same.
        form: "vector", "slots" or "matrix" says which content is meant; "" = the first of memory, cell, state, hidden.

    Returns:
        keep, write and content; float32, or float64 where a part is float64; keep and write fit the content.

    Raises:
        MeasureError: when the parts do not say what is kept (of a plain RNN nothing does), or do not fit each other.
    """
    content = next((kind for kind in _FORMS.get(form, CONTENTS) if kind in parts), None)
    law = None if content is None else law_of(content, parts)
    if content is None or law is None:
        raise MeasureError(_no_law(parts, content, form))
    numbers = {kind: checked(parts[kind], kind, "B", "T", "...") for kind in (content, *law.kinds)}
    try:
        keep, write = kept_part(numbers), written_part(numbers)
        torch.broadcast_shapes(keep.shape, write.shape, numbers[content].shape)
    except RuntimeError as error:
        shapes = ", ".join(f"{kind} {tuple(part.shape)}" for kind, part in numbers.items())
        raise MeasureError(f"the parts do not fit each other: {shapes}. Give those of one memory and run.") from error
    given = tuple(parts[kind] for kind in numbers)
    # Copies: a part that is float64 already would else be handed out as it was given.
    keep, write, held = (in_result_dtype(part, *given).clone() for part in (keep, write, numbers[content]))
    return keep, write, held


def kept_part(parts: Mapping[str, Tensor]) -> Tensor:
    """``keep`` of the parts that a law needs for it, by kind; slots (..., N, S) and (..., N, D) give (..., S, D)."""
    if "keep" in parts:
        return parts["keep"]
    if "write_weights" in parts:
        return _kept_slots(parts["write_weights"], parts["erase"]).prod(-3)
    return parts["gate.f"] if "gate.f" in parts else parts["gate.z"]


def written_part(parts: Mapping[str, Tensor]) -> Tensor:
    """``write`` of the parts that a law needs for it, by kind."""
    if "write" in parts:
        return parts["write"]
    if "write_weights" in parts:
        weights, add = parts["write_weights"], parts["add"]
        kept = _kept_slots(weights, parts["erase"])
        written = torch.zeros_like(kept[..., 0, :, :])
        for head in range(kept.shape[-3]):
            written = written * kept[..., head, :, :] + weights[..., head, :, None] * add[..., head, None, :]
        return written
    if "gate.f" in parts:
        return parts["gate.i"] * parts["gate.g"]
    return (1 - parts["gate.z"]) * parts["gate.n"]


def _kept_slots(weights: Tensor, erase: Tensor) -> Tensor:
    """``1 - w e^T`` per head, (..., N, S, D)."""
    return 1 - weights.unsqueeze(-1) * erase.unsqueeze(-2)


def surviving(keep: Tensor, write: Tensor, initial: Tensor) -> Iterator[Tensor]:
    """What the memory holds by origin, before the first step and after each: T + 1 times, one origin more each time.

    Origin 0 is the initial memory, s + 1 what step s wrote: ``S(t, s) write_s``. Products are taken as such, so that a
    keep of 0, or below it as in delta rules, is right too.

    Args:
        keep: (T, ...), sizes 1 where it is the same.
        write: (T, ...), also so.
        initial: (...), the memory before the first step, of full size.

    Yields:
        (t + 1, ...) for t = 0 .. T: a view of one tensor, which the next step overwrites.
    """
    held = initial.new_zeros(len(write) + 1, *initial.shape)
    held[0] = initial
    yield held[:1]
    for step in range(len(write)):
        held[: step + 1] *= keep[step]
        held[step + 1] = write[step]
        yield held[: step + 2]


@dataclass(frozen=True, slots=True)
class ReadProvenance:
    """Which step wrote what is read: an attention-like map for any memory of slots.

    Attributes:
        amount: (B, N, T, T): norm over the width of what step s wrote in what head n reads at step t.
        share: (B, N, T, T), 0..1: ``amount`` as a part of the sum over all origins, the initial memory among them.
        initial_share: (B, N, T), 0..1: the part of the memory from before the first step. A row of ``share`` sums to 1
            with it; where nothing is read both are 0.
    """

    amount: Tensor
    share: Tensor
    initial_share: Tensor


def read_provenance(
    read_weights: Tensor, keep: Tensor, write: Tensor, phase: str, *, initial: Tensor | None = None
) -> ReadProvenance:
    """Who wrote what is read: ``A[t, s] = |sum_n r_t[n] S(t, s)[n] write_s[n]|``, n over the slots. Our definition.

    Args:
        read_weights: (B, T, N, S).
        keep: (B, T, S, D), or sizes 1 where it is the same; as :func:`keep_and_write` gives it.
        write: (B, T, S, D).
        phase: "after_write": a read sees what its own step wrote; "before_write": S up to the step before.
        initial: (B, S, D), the memory before the first step. None = zeros.

    Returns:
        A map per batch item and read head.

    Cost:
        ``T^2 B S D`` multiplications, and ``T S D + T^2 B N`` numbers: for up to about 512 steps.

    Raises:
        MeasureError: for axes that do not fit together, NaN, Inf, and another phase.
    """
    if phase not in PHASES:
        raise MeasureError(f"phase={phase!r}; expected 'after_write' or 'before_write': which content a read sees.")
    reads = checked(read_weights, "read_weights", "B", "T", "N", "S")
    writes = checked(write, "write", "B", "T", "S", "D")
    keeps = checked(keep, "keep", "B", "T", "S", "D")
    start = torch.zeros_like(writes[:, 0]) if initial is None else checked(initial, "initial", "B", "S", "D")
    if (*reads.shape[:2], reads.shape[3]) != tuple(writes.shape[:3]) or start.shape != writes[:, 0].shape:
        raise MeasureError(
            f"read_weights is {described(reads)}, write {described(writes)} and initial {described(start)}; expected "
            "(B, T, N, S), (B, T, S, D) and (B, S, D). Give those of one memory and run."
        )
    amounts = torch.stack([read_amounts(reads[b], keeps[b], writes[b], start[b], phase) for b in range(len(reads))])
    shares = shares_of(amounts)
    given = (read_weights, keep, write)
    return ReadProvenance(
        in_result_dtype(amounts[..., 1:], *given),
        in_result_dtype(shares[..., 1:], *given),
        in_result_dtype(shares[..., 0], *given),
    )


def read_amounts(reads: Tensor, keep: Tensor, write: Tensor, initial: Tensor, phase: str) -> Tensor:
    """Norms by origin of what each head reads, (N, T, T + 1), of one batch item; origin 0 is the initial memory.

    ``reads`` (T, N, S), ``keep`` and ``write`` (T, S, D), ``initial`` (S, D).
    """
    steps, heads, _ = reads.shape
    amounts = reads.new_zeros(heads, steps, steps + 1)
    late = int(phase == "after_write")
    for done, held in enumerate(surviving(keep, write, initial)):
        step = done - late
        if 0 <= step < steps:
            amounts[:, step, : len(held)] = torch.einsum("ns,ksd->nkd", reads[step], held).norm(dim=-1)
    return amounts


def shares_of(amounts: Tensor) -> Tensor:
    """Each row as parts of its sum; a row of 0 stays 0."""
    whole = amounts.sum(-1, keepdim=True)
    return amounts / whole.masked_fill(whole == 0, 1.0)


def _no_law(parts: Mapping[str, Tensor], content: str | None, form: str) -> str:
    """Why there is no keep and write, and what to do."""
    if content is None:
        wanted = ", ".join(_FORMS.get(form, CONTENTS))
        return f"got the parts {', '.join(parts) or 'none'}; expected a content among them: {wanted}."
    if content == "hidden":
        return (
            "got a hidden state without gates of its own: expected 'gate.z' and 'gate.n' (a GRU), or 'keep' and "
            "'write'. A plain RNN keeps nothing as it was: ask its gradients, mv.analysis.memory.gradient_horizon."
        )
    needs = [law.kinds for law in _LAWS if law.content == content] + [("keep", "write")]
    return (
        f"{content!r} with {', '.join(kind for kind in parts if kind != content) or 'nothing else'} does not say what "
        f"a step keeps; expected {' or '.join(', '.join(kinds) for kinds in needs)}."
    )
