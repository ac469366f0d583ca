"""Prices: what captures cost, remembered, so that the next one knows from the start whether everything fits.

In: a model and its input. Out: the bytes that an earlier capture with inputs of these shapes recorded.
A capture that knows too late gives up values that it has copied already, to make room for saved inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import nn

from ..capture import tensors_of

MOST_PRICES = 32
"""Input shapes that are remembered per model."""


@dataclass(slots=True)
class Price:
    """Bytes of all values of a capture, 0 = not known."""

    nbytes: int = 0


_PRICES: WeakKeyDictionary[nn.Module, dict[object, Price]] = WeakKeyDictionary()


def known_price(model: nn.Module, x: object, layers: object) -> Price:
    """The price of such a capture; its taker writes into it what it was."""
    shapes = tuple(tuple(tensor.shape) for tensor in tensors_of(x) if not tensor.is_nested)
    if not shapes:
        return Price()
    prices = _PRICES.setdefault(model, {})
    if len(prices) >= MOST_PRICES:
        prices.clear()
    return prices.setdefault((shapes, str(layers)), Price())
