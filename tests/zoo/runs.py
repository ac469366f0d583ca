"""Runs: one model of the zoo, run as it is, under plain hooks, and under capture.

In: a name. Out: what each run gave. Every run has a build of its own, with the same weights, so that the comparison
also holds for models that change themselves or their input when they run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from memviz_widgets import ActivationCache

from ..capture.recording import hook_entries
from .catalog import build
from .reference import Values, tensors_of, watched


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelState:
    """What a capture must leave as it was: parameters, buffers, numbers of hooks."""

    tensors: dict[str, Tensor]
    hooks: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Runs:
    """Results of the three runs.

    Attributes:
        name: Of the model.
        plain: Tensors of the result, by place, when nothing watches.
        reference: What plain hooks saw.
        captured: Tensors of the result under capture.
        cache: The capture, with everything kept.
        before: The model before the capture.
        after: The model after it.
    """

    name: str
    plain: dict[str, Tensor]
    reference: Values
    captured: dict[str, Tensor]
    cache: ActivationCache
    before: ModelState
    after: ModelState


def run_all(name: str) -> Runs:
    """Build and run one model three times."""
    model, keywords = build(name)
    plain = dict(tensors_of(model(**keywords)))

    model, keywords = build(name)
    with watched(model) as reference:
        model(**keywords)

    model, keywords = build(name)
    results: list[Any] = []
    model.register_forward_hook(lambda module, args, result: results.append(result))
    before = _state_of(model)
    cache = ActivationCache.capture(model, keywords)
    return Runs(name, plain, reference, dict(tensors_of(results[0])), cache, before, _state_of(model))


def _state_of(model: nn.Module) -> ModelState:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return ModelState({name: value.clone() for name, value in tensors}, hook_entries(model))
