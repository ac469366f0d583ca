"""Catalog: all 107 models of the zoo, and a seeded way to build one.

In: the families; MEMVIZ_TEST_DEVICE of the environment, the device that models are put on. Out: NAMES, build(). Every
model has fewer than 0.5 M parameters and runs in milliseconds; they were made for transformers 5.23. Nothing is
downloaded: the weights are random.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from . import audio, decoders, encoder_decoders, encoders, image_text, series, state_space, vision
from .registry import Builder, Built

FAMILIES = (decoders, state_space, encoders, encoder_decoders, audio, vision, image_text, series)
BUILDERS: dict[str, Builder] = {name: builder for family in FAMILIES for name, builder in family.models.items()}
NAMES = tuple(BUILDERS)
SEED = 0
DEVICE = os.environ.get("MEMVIZ_TEST_DEVICE", "cpu")


def build(name: str) -> Built:
    """A new model in eval mode, with the same weights each time, and the keywords of one forward.

    The random state is the same after each build of a name, so that models that draw numbers in their forward agree.
    """
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own remarks about configs that are small
        model, keywords = BUILDERS[name]()
    torch.manual_seed(SEED)
    return model.to(DEVICE).eval(), tree_map(_there, keywords)


def _there(value: Any) -> Any:
    for layer in getattr(value, "layers", ()):  # of a KV cache
        layer.keys, layer.values = layer.keys.to(DEVICE), layer.values.to(DEVICE)
    return value.to(DEVICE) if isinstance(value, Tensor) else value
