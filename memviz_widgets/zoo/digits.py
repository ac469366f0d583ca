"""The handwritten digits of scikit-learn (UCI, Alpaydin & Kaynak 1998), as tensors.

In: which part. Out: pictures (B, 1, 8, 8), 0..1, and digits (B,).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from .extras import needed

TRAINED = 1400
"""Pictures of the training part, of 1,797; the rest are the test part."""


@lru_cache(maxsize=2)
def digit_pictures(split: str) -> tuple[Tensor, Tensor]:
    """Pictures and digits of "train" or "test", in an order that mixes the writers.

    Raises:
        MissingExtraError: without scikit-learn.
    """
    data = needed("sklearn.datasets", "scikit-learn").load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    rows = order[:TRAINED] if split == "train" else order[TRAINED:]
    pictures = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1)[rows] / 16
    return pictures, torch.tensor(data.target)[rows]
