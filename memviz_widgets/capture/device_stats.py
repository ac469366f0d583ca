"""Statistics of tensors on an accelerator, without waiting for it: sums that stay there until they are read.

In: live tensors of devices that compute on their own time. Out: Sums, which become TensorStats later, those of all
tensors with one transfer. Many small tensors are laid side by side and summed at once: a device is told as often what
to do for a thousand of them as for one, and telling it is what takes the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.cuda import OutOfMemoryError

from ..records import TensorStats
from .fingerprint import read_together
from .moments import SAFE_SQUARES, Tally, stats_of
from .stats import chunks, doubles
from .tensors import on_host, plain_mode, stream_of, tensor_kind, without_repeats

NO_DOUBLES = ("mps",)
"""Devices without float64."""
BLOCK = 1 << 19
"""Elements that are summed at once: 4 MiB of float64, and twice as much for what is computed of them."""
ROW = 1 << 13
"""Elements of a row at most; each row is summed by itself, and belongs to one tensor."""
_AS_THEY_ARE = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(slots=True, eq=False)
class Sums:
    """What will be known of one tensor.

    Attributes:
        repeat: How often each element stands in the tensor.
        rows: Where its sums are: (block, first row, number of rows, elements that only fill the last row).
        stats: The statistics, once they are read.
    """

    repeat: int
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    stats: TensorStats | None = None


class Summing:
    """Sums up tensors of accelerators, which it reads when it is asked to."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[torch.device, torch.dtype, int], _Waiting] = {}
        self._blocks: list[Tensor] = []
        self._unread: list[Sums] = []

    def add(self, tensor: Tensor, *, changes: bool) -> Sums | None:
        """Sums of a plain tensor on an accelerator; None where they cannot be had without waiting.

        Args:
            tensor: Of any shape and strides.
            changes: Whether it may be written to after this returns.
        """
        if on_host(tensor) or tensor.device.type in NO_DOUBLES or tensor_kind(tensor) != "dense":
            return None
        with plain_mode():
            values = without_repeats(tensor.detach())
            if not values.numel():
                return None
            sums = Sums(tensor.numel() // values.numel())
            for chunk in chunks(values, BLOCK):
                self._take(chunk, sums, changes)
        self._unread.append(sums)
        return sums

    def read(self) -> None:
        """Give all Sums their statistics, with one transfer per device."""
        with plain_mode():
            for waiting in self._waiting.values():
                self._sum_up(waiting)
        tables = [table.tolist() for table in read_together(self._blocks)]
        for sums in self._unread:
            rows = [
                [*row, padding if place == count - 1 else 0]
                for block, first, count, padding in sums.rows
                for place, row in enumerate(tables[block][first : first + count])
            ]
            sums.stats = _stats(rows, sums.repeat)
        self.clear()

    def clear(self) -> None:
        """Forget what was not read."""
        self._waiting.clear()
        self._blocks.clear()
        self._unread.clear()

    def _take(self, chunk: Tensor, sums: Sums, changes: bool) -> None:
        """A flat piece, of at most BLOCK elements, of what ``sums`` will be of."""
        fresh = chunk.dtype not in _AS_THEY_ARE
        if fresh:
            chunk = doubles(chunk)
        waiting = self._waiting.setdefault((chunk.device, chunk.dtype, stream_of(chunk.device)), _Waiting())
        full = waiting.elements + chunk.numel() >= BLOCK
        if changes and not full and not fresh:
            try:
                chunk = chunk.clone()
            except OutOfMemoryError:
                full = True  # summed now, it needs no copy
        waiting.pieces.append((chunk, sums))
        waiting.elements += chunk.numel()
        if full:
            self._sum_up(waiting)

    def _sum_up(self, waiting: _Waiting) -> None:
        """Have the pieces summed; on the CPU where the device has no room left for it."""
        if not waiting.pieces:
            return
        pieces, first = [piece for piece, _ in waiting.pieces], 0
        width = min(ROW, max(map(len, pieces)))
        try:
            block = _sums_of(_in_rows(pieces, width))
        except OutOfMemoryError:
            block = _sums_of(_in_rows([piece.cpu() for piece in pieces], width))
        for piece, sums in waiting.pieces:
            padding = -len(piece) % width
            count = (len(piece) + padding) // width
            sums.rows.append((len(self._blocks), first, count, padding))
            first += count
        self._blocks.append(block)
        waiting.pieces.clear()
        waiting.elements = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    """Pieces of one dtype that are summed once there are enough."""

    pieces: list[tuple[Tensor, Sums]] = field(default_factory=list)
    elements: int = 0


def _in_rows(pieces: Sequence[Tensor], width: int) -> Tensor:
    """All pieces in a table of so many columns, each from the begin of a row on; nan fills its last one."""
    filler = pieces[0].new_full((width,), math.nan)
    parts: list[Tensor] = []
    for piece in pieces:
        padding = -len(piece) % width
        parts += [piece, filler[:padding]] if padding else [piece]
    return torch.cat(parts).view(-1, width)


def _sums_of(table: Tensor) -> Tensor:
    """Of each row: zeros, nan, +inf, -inf, finite, min, max, mean, squared deviations, exponent: (rows, 10) float64.

    The exponent is of the power of two by which the last two are divided.
    """
    values = table.to(torch.float64)
    finite = values.abs() < math.inf  # not of nan
    kinds = (values == 0, values.isnan(), values == math.inf, values == -math.inf, finite)
    counts = [each.sum(1, dtype=torch.float64) for each in kinds]
    lo = values.masked_fill(~finite, math.inf).amin(1)
    hi = values.masked_fill(~finite, -math.inf).amax(1)
    safe = values.masked_fill_(~finite, 0.0)
    exponent = torch.zeros_like(lo)
    if table.dtype == torch.float64:  # squares of others are within its range
        safe, exponent = _scaled(safe)
    mean = safe.sum(1) / counts[-1].clamp(min=1)
    deviations = (safe - mean[:, None]).masked_fill_(~finite, 0.0)
    squares = deviations.mul_(deviations).sum(1)
    return torch.stack((*counts, lo, hi, mean, squares, exponent.to(torch.float64)), 1)


def _scaled(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rows divided by a power of two where their squares would leave float64, and the exponents (rows,)."""
    largest = values.abs().amax(1)
    low, high = SAFE_SQUARES
    inside = (largest == 0) | ((largest > low) & (largest < high))
    exponent = (torch.frexp(largest).exponent - 1).masked_fill(inside, 0)
    # Twice by half of it: the power itself may leave float64.
    half = torch.div(exponent, 2, rounding_mode="floor")
    return torch.ldexp(torch.ldexp(values, -half[:, None]), (half - exponent)[:, None]), exponent


def _stats(rows: Sequence[Sequence[float]], repeat: int) -> TensorStats:
    """Merge the rows; moments are taken to the largest of their scales. What fills a row is nan."""
    tally = Tally()
    largest = max((int(row[9]) for row in rows if row[4] and (row[5] or row[6])), default=0)
    for zero, nan, posinf, neginf, finite, lo, hi, mean, squares, exponent, padding in rows:
        shift = int(exponent) - largest
        tally.count += int(finite + nan - padding + posinf + neginf) * repeat
        tally.zero += int(zero) * repeat
        tally.nan += int(nan - padding) * repeat
        tally.posinf += int(posinf) * repeat
        tally.neginf += int(neginf) * repeat
        tally.add(int(finite) * repeat, lo, hi, math.ldexp(mean, shift), math.ldexp(squares, 2 * shift) * repeat)
    return stats_of(tally, math.ldexp(1.0, largest))
