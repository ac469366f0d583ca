"""Registry: what a family of zoo models is, and the inputs and sizes that most of them share.

In: nothing. Out: Family, a mapping of names to builders; token ids, pictures and noise that are always the same.
Inputs come from generators of their own, so that a builder's weights depend on the caller's seed only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import Tensor, nn

hf: Any = transformers
"""Untyped: its configs take more keywords than they declare, and which they declare changes between releases."""

Keywords = dict[str, Any]
Built = tuple[nn.Module, Keywords]
"""A model, and the keywords of one forward: ``model(**keywords)``."""
Builder = Callable[[], Built]

VOCABULARY = 99
LANGUAGE: Keywords = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
"""Sizes that most text configs take by these names."""
GROUPED: Keywords = LANGUAGE | {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
"""The same with two heads of queries per head of keys."""
VISION: Keywords = {
    "image_size": 32,
    "patch_size": 8,
    "num_channels": 3,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


class Family(dict[str, Builder]):
    """Builders by the name of their function."""

    def add(self, builder: Builder) -> Builder:
        """Decorator: take a builder in."""
        self[builder.__name__] = builder
        return builder


def token_ids(samples: int = 2, length: int = 12, end: int = VOCABULARY) -> Tensor:
    """Random tokens 3 .. end - 1, (B, T); the first three are special in most models."""
    return torch.randint(3, end, (samples, length), generator=torch.Generator().manual_seed(1))


def noise(*shape: int) -> Tensor:
    """Normal noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def text() -> Keywords:
    """Input of a plain text model: 2 samples of 12 tokens."""
    return {"input_ids": token_ids()}


def pictures(side: int = 32) -> Keywords:
    """Input of a vision model: 2 square pictures (2, 3, side, side)."""
    return {"pixel_values": noise(2, 3, side, side)}
