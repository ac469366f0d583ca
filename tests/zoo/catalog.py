"""Catalog: all 107 models of the zoo, and a seeded way to build one.

In: the families. Out: NAMES, build(). Every model has fewer than 0.5 M parameters and runs in milliseconds; they were
made for transformers 5.23. Nothing is downloaded: the weights are random.
"""

from __future__ import annotations

import warnings

import torch

from . import audio, decoders, encoder_decoders, encoders, image_text, series, state_space, vision
from .registry import Builder, Built

FAMILIES = (decoders, state_space, encoders, encoder_decoders, audio, vision, image_text, series)
BUILDERS: dict[str, Builder] = {name: builder for family in FAMILIES for name, builder in family.models.items()}
NAMES = tuple(BUILDERS)
SEED = 0


def build(name: str) -> Built:
    """A new model in eval mode, with the same weights each time, and the keywords of one forward.

    The random state is the same after each build of a name, so that models that draw numbers in their forward agree.
    """
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own remarks about configs that are small
        model, keywords = BUILDERS[name]()
    torch.manual_seed(SEED)
    return model.eval(), keywords
