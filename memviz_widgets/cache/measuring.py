"""Measuring: when the statistics of a value are taken: while it is alive, or of its copy when somebody asks.

In: live values and what is held of them. Out: their stats.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..capture import tensor_stats
from .held import Value
from .holdings import Holdings

MEASURED_LATER = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
"""Dtypes of which statistics are certain to exist; of others it is known at once whether they have any."""


class Measuring:
    """Takes statistics of the values of one store.

    Between a model's operations as few as possible: a copy can be measured later, in a loop over all copies, which
    takes half the time, and none at all as long as nobody looks. Holdings measure what they give up before.
    """

    def __init__(self, held: Holdings) -> None:
        self._held = held
        self._copies: list[Value] = []

    def take(self, value: Value, live: Tensor) -> None:
        """A value that is to be measured; ``live`` may change right after this returns."""
        if value.looked_at:
            return
        value.looked_at = True
        if value.dense and value.tensor is not None and value.tensor.dtype in MEASURED_LATER:
            self._copies.append(value)
        else:
            self._measure(value, live)

    def finish(self) -> None:
        """Measure the copies that are held."""
        for value in self._copies:
            if value.tensor is not None and value.stats is None:
                self._measure(value, value.tensor)
        self._copies.clear()

    def clear(self) -> None:
        """Forget what was not measured."""
        self._copies.clear()

    def _measure(self, value: Value, live: Tensor) -> None:
        """Statistics of a value. Of the copy if there is one, since it is contiguous, but not of a stand-in."""
        source = value.tensor if value.tensor is not None and value.dense else live
        try:
            value.stats = tensor_stats(source)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            dtype = str(live.dtype).removeprefix("torch.")
            value.note = f"no arithmetic for {dtype} in this torch, shape only ({error})"
            self._held.give_up(value)
