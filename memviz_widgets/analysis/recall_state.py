"""How much a model carries from step to step: what recall is plotted against.

In: the tensors of a state. Out: their elements and bytes per sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import needs_whole


@dataclass(frozen=True, slots=True)
class StateSize:
    """How much a model carries from one step to the next, per sequence.

    Attributes:
        elements: numbers.
        held_bytes: bytes of them in their dtypes.
    """

    elements: int
    held_bytes: int


def state_size(state: object, sequences: int = 1) -> StateSize:
    """Size of what a model carries: the axis on which models of unlike kinds are compared on associative recall.

    As in Arora et al. 2023 (arXiv 2312.04927). A cache of keys and values grows with the sequence: give the one at the
    step that asks.

    Args:
        state: a tensor, or tuples, lists and dicts of tensors, such as ``(h, c)``; None counts nothing. Every tensor
            counts in full, also one that is given twice.
        sequences: how many sequences the state is of, its batch size.

    Returns:
        Elements and bytes per sequence.

    Raises:
        MeasureError: for what holds something else, and a size that is no multiple of ``sequences``.
    """
    tensors = list(_tensors(state))
    elements = sum(tensor.numel() for tensor in tensors)
    needs_whole("sequences", sequences, 1)
    if any(tensor.numel() % sequences for tensor in tensors):
        raise MeasureError(
            f"the state has tensors of {', '.join(str(tuple(tensor.shape)) for tensor in tensors)}, not all a multiple "
            f"of sequences={sequences}. Give the batch size that it is of."
        )
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return StateSize(elements // sequences, held // sequences)


def _tensors(state: object) -> Iterator[Tensor]:
    """Every tensor of nested tuples, lists and dicts."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        yield from _tensors(list(state.values()))
    elif isinstance(state, (tuple, list)):
        for part in state:
            yield from _tensors(part)
    elif state is not None:
        raise MeasureError(
            f"the state holds a {type(state).__name__}; expected tensors in tuples, lists and dicts. "
            "Give the tensors that it carries."
        )
