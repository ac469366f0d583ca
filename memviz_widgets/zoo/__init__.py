"""Small networks that are known well: the ones of the lessons, trained, in a few lines of PyTorch each.

In: a name. Out: a network in eval mode, with the weights that ``python -m memviz_widgets.zoo.train NAME`` made.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..errors import UnknownOptionError, nearest_hint
from .backcopy import BackcopyTransformer, backcopy_scores, backcopy_text
from .differentiable_computer import DifferentiableComputer
from .digit_memory import DigitMemory
from .digits import digit_pictures
from .digits_cnn import DigitsCNN
from .extras import needed
from .hopfield import HopfieldMemory
from .key_value_cache import KeyValueCache
from .memory_network import MemoryNetwork
from .recall_mamba import RecallMamba
from .recall_networks import RecallLSTM, RecallTransformer
from .recipes import RECIPES, Progress, Recipe, fit
from .stories import Stories, tell
from .turing_machine import TuringMachine, copy_batch
from .vision_transformer import VisionTransformer, digits_on_canvas

__all__ = [
    "RECIPES",
    "BackcopyTransformer",
    "DifferentiableComputer",
    "DigitMemory",
    "DigitsCNN",
    "HopfieldMemory",
    "KeyValueCache",
    "MemoryNetwork",
    "Progress",
    "RecallLSTM",
    "RecallMamba",
    "RecallTransformer",
    "Recipe",
    "Stories",
    "TuringMachine",
    "VisionTransformer",
    "backcopy_scores",
    "backcopy_text",
    "copy_batch",
    "digit_pictures",
    "digits_on_canvas",
    "fit",
    "load",
    "make",
    "tell",
]

WEIGHTS = Path(__file__).parent / "weights"
"""A file of safetensors per network."""


def make(name: str) -> nn.Module:
    """A network of :data:`RECIPES` before training.

    Raises:
        UnknownOptionError: for a name that is not there.
    """
    if name not in RECIPES:
        raise UnknownOptionError(f"no network {name!r}{nearest_hint(name, RECIPES)}. There are {', '.join(RECIPES)}.")
    return RECIPES[name].make()


def load(name: str) -> nn.Module:
    """A trained network of :data:`RECIPES`, in eval mode.

    Raises:
        UnknownOptionError: for a name that is not there.
        MissingExtraError: without the package safetensors.
    """
    model = make(name)
    load_file = needed("safetensors.torch", "safetensors").load_file
    model.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    return model.eval()
