"""The input's tokens and picture, in the form in which they are saved.

In: what was given to capture as tokens and image. Out: names of sequences; tensors that hold the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def token_names(tokens: object) -> list[str]:
    """The name of each sequence, all different; [] where there is one without a name, or none."""
    if not isinstance(tokens, Mapping):
        return []
    names = [str(name) for name in tokens]
    return names if len(set(names)) == len(names) else [f"{place}: {name}" for place, name in enumerate(names)]


def pictures_of(image: object) -> list[tuple[Tensor, bool]]:
    """Each picture as a tensor, and whether it was one: of an array, channels may be last.

    Raises:
        TypeError: when it is no tensor, array or PIL image.
    """
    if image is None:
        return []
    given = list(image) if isinstance(image, (list, tuple)) else [image]
    return [_picture(each) for each in given]


def _picture(given: Any) -> tuple[Tensor, bool]:
    if isinstance(given, Tensor):
        return given.detach(), True
    if callable(getattr(given, "convert", None)) and hasattr(given, "size"):
        given = np.asarray(given.convert("RGB"))
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "buif":
        raise TypeError(f"it is a {type(given).__name__}, and no tensor, array or PIL image")
    array = given.astype(np.float64) if given.dtype.itemsize > 8 else given
    return torch.from_numpy(np.array(array, order="C").astype(array.dtype.newbyteorder("="))), False
