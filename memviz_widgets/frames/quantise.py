"""Values to codes of one byte, frame by frame.

In: a few frames of a tensor of any dtype. Out: codes 0..252 with the range they stand for, and three codes for what is
no number, each drawn in a loud colour of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..analysis.numbers import PIECE_CELLS, real_numbers

TOP_CODE = 252
NEG_INF_CODE, POS_INF_CODE, NAN_CODE = 253, 254, 255


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """Codes of n frames, uint8 ``(n, rows, cols)``, and the finite range of each, float64 ``(n,)``; on the CPU.

    ``lo`` and ``hi`` of a frame without a finite value are NaN.
    """

    codes: npt.NDArray[np.uint8]
    lo: npt.NDArray[np.float64]
    hi: npt.NDArray[np.float64]


def quantise(values: Tensor) -> Quantised:
    """Codes of each frame over the frame's own finite range.

    ``code = round((v - lo) / (hi - lo) * 252)`` in float64, so that `dequantise` is within ``(hi - lo) / 504`` of every
    finite value. Complex values count as ``|z|``. Works on the tensor's device; only bytes come back.

    Args:
        values: ``(n, rows, cols)`` of any dtype. Temporaries are a few float64 copies of as many frames as fit
            ``PIECE_CELLS``, of one frame at least.
    """
    n, rows, cols = values.shape
    codes = np.empty((n, rows, cols), np.uint8)
    lo, hi = np.full(n, np.nan), np.full(n, np.nan)
    at_once = max(1, PIECE_CELLS // max(1, rows * cols))
    for start in range(0, n if rows and cols else 0, at_once):
        part = slice(start, start + at_once)
        numbers = real_numbers(values[part]).reshape(-1, rows * cols)  # (k, cells)
        part_codes, part_lo, part_hi = _quantise_rows(numbers)
        codes[part] = part_codes.reshape(-1, rows, cols).cpu().numpy()
        lo[part], hi[part] = part_lo.cpu().numpy(), part_hi.cpu().numpy()
    return Quantised(codes, lo, hi)


def dequantise(quantised: Quantised) -> npt.NDArray[np.float64]:
    """The values that the codes stand for, float64 ``(n, rows, cols)``.

    ``lo + code / 252 * (hi - lo)``, not beyond ``lo .. hi``; -Inf, Inf and NaN for their codes.
    """
    lo, hi = (edge[:, None, None] for edge in (quantised.lo, quantised.hi))
    codes = quantised.codes
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.where(np.isinf(hi - lo), 0.5, 1.0)  # a range beyond float64 is reckoned in halves
        values = (lo * scale + codes / TOP_CODE * (hi * scale - lo * scale)) / scale
        values = np.clip(values, lo, hi)
    for code, value in ((NEG_INF_CODE, -np.inf), (POS_INF_CODE, np.inf), (NAN_CODE, np.nan)):
        values[codes == code] = value
    return values


def _quantise_rows(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, lo and hi of float64 ``(k, cells)``, a row being a frame."""
    lo, hi = torch.aminmax(numbers, dim=1)  # NaN goes through, so one look at k numbers tells whether all are finite
    if bool((lo.isfinite() & hi.isfinite()).all()):
        return _codes(numbers, lo, hi), lo, hi
    finite = numbers.isfinite()
    lo = torch.where(finite, numbers, torch.inf).amin(1)
    hi = torch.where(finite, numbers, -torch.inf).amax(1)
    nothing = lo > hi
    lo, hi = lo.masked_fill(nothing, 0.0), hi.masked_fill(nothing, 0.0)
    codes = _codes(torch.where(finite, numbers, lo[:, None]), lo, hi)
    codes.masked_fill_(numbers == -torch.inf, NEG_INF_CODE)
    codes.masked_fill_(numbers == torch.inf, POS_INF_CODE)
    codes.masked_fill_(numbers.isnan(), NAN_CODE)
    return codes, lo.masked_fill(nothing, torch.nan), hi.masked_fill(nothing, torch.nan)


def _codes(numbers: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """uint8 ``(k, cells)`` of finite numbers within ``lo .. hi``, both ``(k,)``."""
    # hi - lo may overflow float64; halves cannot. Halving is exact where it matters: such a range has no denormals.
    scale = torch.where((hi - lo).isinf(), 0.5, 1.0).to(numbers.dtype)
    low = lo * scale
    span = hi * scale - low
    span = torch.where(span > 0, span, 1.0)  # constant frame: code 0 everywhere
    share = (numbers * scale[:, None]).sub_(low[:, None]).div_(span[:, None])
    return share.mul_(TOP_CODE).round_().to(torch.uint8)
