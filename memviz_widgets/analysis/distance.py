"""How far two tensors of the same shape are apart: relative L2, cosine distance, linear CKA.

In: two tensors, or values that are read piece by piece. Out: numbers in float64, whatever the dtypes. A lazy value is
never asked for all of itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..capture import LazyValue
from .health_samples import lazy_part

BLOCK_CELLS = 2**20
"""Elements of each side that are read at once: 8 MiB of float64."""

CKA_ROWS = 1024
"""Most examples that CKA looks at: of 768 features that takes some 0.1 s."""

CKA_CELLS = 2**21
"""Most elements of each side that CKA looks at."""

Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far b is from a. A number is NaN where it does not apply.

    Attributes:
        relative_l2: ``|a - b| / |a|``, 0 .. inf; inf when a is all zero and b is not, or when ``unlike`` is not 0.
        cosine: ``1 - cos(a, b)``, 0 .. 2; NaN when a side is all zero.
        cka: ``1 - CKA``, 0 .. 1; NaN with fewer than two examples, or when a side is the same for all of them.
        rows: Examples that CKA looked at.
        unlike: Positions that are finite on one side only, or infinite with another sign.
        skipped: Positions that are not finite on either side, in the same way: they are left out of all numbers.
    """

    relative_l2: float
    cosine: float
    cka: float
    rows: int
    unlike: int = 0
    skipped: int = 0


def relative_l2(a: Tensor, b: Tensor) -> float:
    """``|a - b| / |a|``, 0 .. inf, over all elements; of ``b = (1 + e) a`` it is ``|e|``. See :class:`Distance`."""
    return _Norms.of(a, b).relative_l2


def cosine_distance(a: Tensor, b: Tensor) -> float:
    """``1 - cos(a, b)`` of the two as vectors, 0 .. 2; exactly 0 for equal ones, NaN when a side is all zero.

    From the three sides of the triangle (law of cosines), so that nearly parallel vectors keep their digits:
    ``(|a - b|^2 - (|a| - |b|)^2) / (2 |a| |b|)``. Of a complex tensor, its real and imaginary parts are the vector.
    """
    return _Norms.of(a, b).cosine


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment of two sets of features, 0 .. 1; 1 when one is a rotation of the other, scaled.

    ``|Y'X|^2 / (|X'X| |Y'Y|)``, Frobenius norms, columns centred: Kornblith et al. (2019), "Similarity of neural
    network representations revisited", section 3. With fewer rows than features it is biased towards 1 (Nguyen et al.
    2021, "Do wide and deep networks learn the same things?").

    Args:
        x: (n, p), a row per example.
        y: (n, q), the same examples. Rows with a NaN or Inf on either side are left out.

    Returns:
        NaN with fewer than two rows, or when the rows of a side are all the same.
    """
    one, other = _rows(x), _rows(y)
    finite = one.isfinite().all(1) & other.isfinite().all(1)
    one, other = one[finite], other[finite]
    if one.shape[0] < 2:
        return math.nan
    one, other = _centred(one), _centred(other)
    if max(one.shape[1], other.shape[1]) > one.shape[0]:  # the same by (n, n) matrices, which are smaller
        first, second = one @ one.T, other @ other.T
        shared = float((first * second).sum())
    else:
        first, second = one.T @ one, other.T @ other
        shared = float(torch.linalg.matrix_norm(other.T @ one)) ** 2
    sizes = float(torch.linalg.matrix_norm(first)) * float(torch.linalg.matrix_norm(second))
    return min(1.0, max(0.0, shared / sizes)) if sizes > 0.0 else math.nan


def distance(a: Tensor | LazyValue, b: Tensor | LazyValue, features: int | None = None) -> Distance:
    """All three measures of two values of one shape, read a block at a time.

    Args:
        a: The reference.
        b: Of the shape of a; its dtype and device may be others.
        features: Axis of the features of CKA, every other position being an example; None: the last.
    """
    norms = _Norms()
    one, other = _readable(a), _readable(b)
    for box in _boxes(a.shape):
        norms.add(_numbers(one.read(box)), _numbers(other.read(box)))
    cka, rows = _cka_distance(one, other, features, same=norms.apart == 0.0 and not norms.unlike)
    return Distance(norms.relative_l2, norms.cosine, cka, rows, norms.unlike, norms.skipped)


def cka_cost(shape: Sequence[int], features: int | None) -> int:
    """Multiplications that the CKA of a value of this shape takes, about."""
    wide = shape[-1 if features is None else features] if shape else 1
    rows = min(CKA_ROWS, math.prod(shape) // max(1, wide), CKA_CELLS // max(1, wide))
    return 3 * min(rows, wide) ** 2 * max(rows, wide)


@dataclass(slots=True)
class _Norms:
    """Lengths of a, of b and of a - b, and how many positions are not finite."""

    a: float = 0.0
    b: float = 0.0
    apart: float = 0.0
    count: int = 0
    unlike: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, a: Tensor, b: Tensor) -> _Norms:
        norms = cls()
        norms.add(_numbers(a), _numbers(b))
        return norms

    def add(self, a: Tensor, b: Tensor) -> None:
        """One more block, float64, of one shape."""
        difference = a - b
        if not bool(difference.isfinite().all()):
            finite = a.isfinite() & b.isfinite()
            alike = ~finite & ((a == b) | (a.isnan() & b.isnan()))
            self.skipped += int(alike.sum())
            self.unlike += int((~finite & ~alike).sum())
            a, b, difference = a[finite], b[finite], difference[finite]
        self.count += a.numel()
        self.a = math.hypot(self.a, _length(a))
        self.b = math.hypot(self.b, _length(b))
        self.apart = math.hypot(self.apart, _length(difference))

    @property
    def relative_l2(self) -> float:
        if self.unlike:
            return math.inf
        if not self.count:
            return math.nan
        return self.apart / self.a if self.a > 0.0 else 0.0 if self.b == 0.0 else math.inf

    @property
    def cosine(self) -> float:
        if self.a == 0.0 or self.b == 0.0:
            return math.nan
        # In shares of |a|, |b|: squares of very long or short vectors are out of range.
        apart, longer = self.apart / math.sqrt(self.a) / math.sqrt(self.b), math.sqrt(self.a / self.b)
        return min(2.0, max(0.0, (apart**2 - (longer - 1.0 / longer) ** 2) / 2.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A tensor that is read like a lazy value."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    def read(self, index: tuple[int | slice, ...]) -> Tensor:
        return self.tensor[index]

    def load(self) -> Tensor:
        return self.tensor


def _readable(value: Tensor | LazyValue) -> LazyValue:
    return _Held(value.detach()) if isinstance(value, Tensor) else value


def _boxes(shape: Sequence[int]) -> Iterator[Box]:
    """Blocks that cover a value; outer axes are cut first: part of a row of attention weights costs as much as all."""
    if 0 in shape:
        return
    sizes = list(shape)
    for axis, size in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        sizes[axis] = min(size, max(1, BLOCK_CELLS // inner))
        if inner * size <= BLOCK_CELLS:
            break
    steps = [range(0, full, size) for full, size in zip(shape, sizes, strict=True)]
    for starts in _places(steps):
        yield tuple(
            slice(start, min(start + size, full)) for start, size, full in zip(starts, sizes, shape, strict=True)
        )


def _places(steps: Sequence[range]) -> Iterator[tuple[int, ...]]:
    if not steps:
        yield ()
        return
    for first in steps[0]:
        for rest in _places(steps[1:]):
            yield (first, *rest)


def _cka_distance(a: LazyValue, b: LazyValue, features: int | None, *, same: bool) -> tuple[float, int]:
    """1 - CKA of a sample of the examples, and how many they were."""
    shape = a.shape
    if not shape or 0 in shape:
        return math.nan, 0
    kept = len(shape) - 1 if features is None else features
    most = min(CKA_CELLS, CKA_ROWS * shape[kept])
    x, y = (lazy_part(each, kept, most).movedim(kept, -1).reshape(-1, shape[kept]) for each in (a, b))
    similarity = linear_cka(x, y)
    return 0.0 if same and not math.isnan(similarity) else 1.0 - similarity, x.shape[0]


def _numbers(values: Tensor) -> Tensor:
    """float64 on the CPU; of complex values both parts."""
    values = values.detach().cpu()
    if values.is_complex():
        return torch.view_as_real(values.resolve_conj().to(torch.complex128))
    if values.is_floating_point() and values.dtype.itemsize == 1:
        values = values.to(torch.float32)  # float8 converts to float32 only
    return values.to(torch.float64)


def _rows(values: Tensor) -> Tensor:
    """(n, p) float64; of complex values, real parts beside imaginary ones."""
    return _numbers(values).reshape(values.shape[0], -1)


def _centred(values: Tensor) -> Tensor:
    """Columns with mean 0, in shares of the largest value: CKA has no scale, and squares must not overflow."""
    values = values - values.mean(0)
    largest = float(values.abs().max()) if values.numel() else 0.0
    return values / largest if largest > 0.0 else values


def _length(values: Tensor) -> float:
    """Euclidean length, also where squares leave the range of float64."""
    if not values.numel():
        return 0.0
    length = float(torch.linalg.vector_norm(values))
    if 0.0 < length < math.inf:
        return length
    largest = float(values.abs().max())
    return largest * float(torch.linalg.vector_norm(values / largest)) if largest > 0.0 else 0.0
