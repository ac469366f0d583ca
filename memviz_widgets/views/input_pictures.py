"""Pictures in the forms in which users have them, as PNG files for the browser.

In: what was given as ``image=``: tensor, array, PIL image, or a list. Out: one InputPicture each; or InputError.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError

MOST_SIDE_PX = 512
"""Longest side that is sent; a larger picture is averaged down."""

MOST_PIXELS = 2**22
"""Most pixels of all pictures together, some 12 MB before compression: a batch of 64 has sides of at most 256."""

EXPECTED = (
    "expected a picture of shape (C, H, W), (H, W, C) or (H, W) with 1, 3 or 4 channels, as tensor, array or PIL "
    "image, or several: a list of them, or a batch (B, C, H, W)"
)
_CHANNELS = (1, 3, 4)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class InputPicture:
    """A PNG file; width and height of what was given, px; what was done to its values, "" = nothing."""

    png: bytes
    width: int
    height: int
    note: str


def input_pictures(image: object) -> list[InputPicture]:
    """One picture per sample; none for None.

    Whole numbers in 0 .. 255 are taken as they are, others in 0 .. 1 as shares of white; values outside of that are
    stretched from the smallest to the largest of the picture, which its ``note`` says. A fourth channel (opacity) is
    left out.

    Raises:
        InputError: for anything else, with what was expected.
    """
    if image is None:
        return []
    given = list(image) if isinstance(image, (list, tuple)) else [image]
    if not given:
        raise InputError(f"image is an empty {type(image).__name__}; {EXPECTED}.")
    arrays = [picture for entry in given for picture in _arrays(entry)]
    most_side_px = min(MOST_SIDE_PX, math.isqrt(MOST_PIXELS // len(arrays)))
    return [_picture(array, most_side_px) for array in arrays]


def _arrays(given: Any) -> list[NDArray[Any]]:
    """Arrays (H, W, channels) of one entry: several for a batch."""
    array = _array(given)
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise InputError(f"image has shape {array.shape}; {EXPECTED}.")
    first = not isinstance(given, np.ndarray)  # what to take where both ends could be channels: torch's way, or numpy's
    rows = array if array.ndim == 4 else array[None]
    return [_channels_last(row, array.shape, first) for row in rows]


def _array(given: Any) -> NDArray[Any]:
    """An array of numbers from a tensor, an array or a PIL image."""
    if isinstance(given, Tensor):
        tensor = given.detach().cpu()
        if tensor.is_complex():
            raise InputError(f"image is a tensor of {tensor.dtype}; give real values, image.abs() say.")
        numbers: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        return numbers
    if callable(getattr(given, "convert", None)) and hasattr(given, "size"):
        return np.asarray(given.convert("RGB"))
    if isinstance(given, np.ndarray) and given.dtype.kind in "buif":
        return given
    what = f"an array of {given.dtype}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"
    raise InputError(f"image is {what}; {EXPECTED}.")


def _channels_last(array: NDArray[Any], shape: Sequence[int], first: bool) -> NDArray[Any]:
    """(H, W, 1 or 3) of (H, W), (C, H, W) or (H, W, C)."""
    if array.ndim == 2:
        return array[..., None]
    ends = [array.shape[0] in _CHANNELS, array.shape[-1] in _CHANNELS]
    if not any(ends):
        raise InputError(f"image has shape {tuple(shape)}: no end of it is 1, 3 or 4 channels; {EXPECTED}.")
    turned = np.moveaxis(array, 0, -1) if ends[0] and (first or not ends[1]) else array
    return turned[..., :3] if turned.shape[-1] >= 3 else turned


def _picture(array: NDArray[Any], most_side_px: int) -> InputPicture:
    height, width = array.shape[:2]
    pixels, note = _pixels(_shrunk(array, most_side_px))
    return InputPicture(_png(np.broadcast_to(pixels, (*pixels.shape[:2], 3))), width, height, note)


def _shrunk(array: NDArray[Any], most_side_px: int) -> NDArray[Any]:
    """Averaged over squares, so that no side is longer."""
    factor = -(-max(array.shape[:2]) // max(1, most_side_px))
    if factor == 1:
        return array
    height, width, channels = array.shape
    padded = np.pad(array, ((0, -height % factor), (0, -width % factor), (0, 0)), mode="edge")
    squares = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor, channels)
    mean: NDArray[Any] = squares.mean(axis=(1, 3))
    return mean.astype(array.dtype) if array.dtype != np.bool_ else mean


def _pixels(array: NDArray[Any]) -> tuple[Pixels, str]:
    """Values as 0 .. 255, and what was done to them."""
    if array.dtype.kind in "ui" and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8), ""
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    note = ""
    if low < 0 or high > 1:
        note = f"picture values {low:.3g} .. {high:.3g} stretched to black .. white"
        values = (values - low) / (high - low or 1.0)
    clean = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(clean.clip(0, 1) * 255).astype(np.uint8), note


def _png(pixels: Pixels) -> bytes:
    """A PNG file of pixels (H, W, 3): https://www.w3.org/TR/png-3/."""
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
