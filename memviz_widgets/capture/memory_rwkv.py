"""States of RWKV-4 at every step: the numerator and the denominator of a weighted mean of the values.

In: one call of a layer's time mixing. Out: two memories, "num" and "den": ``state`` (batch, time, channel), its
``keep`` and its ``write``.

Formulas, of Peng et al., "RWKV: Reinventing RNNs for the Transformer Era" (2023), appendix on numerical stability: both
are kept divided by ``exp(m_t)``, where m is the largest exponent so far: ``keep_t = exp(m_{t-1} + w - m_t)`` and
``write_t = exp(k_t - m_t) (v_t, 1)``. The layer reads their quotient, in which m cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .attention_sdpa import bound
from .memory import MemoryTensor
from .memory_mixer import BEGUN, check_dense, weights_of, wide
from .memory_scan import Before, Content, Given, Part, Seen, Steps, parts_of, refused, scan
from .recurrent_cells import Key, RecurrentError

DIMS = ("batch", "time", "channel")
ITEMS = ("num", "den")
HELD = ("shift", "num", "den", "max")
"""What the model's list of states holds from its second place on: the last input, and the three states."""
NOTE = "divided by exp(m), the largest exponent so far, as the layer keeps it"
MIXED = ("key", "value", "receptance")
NOTHING = -1e38
"""The exponent of a state that holds nothing, as in the layer."""


class RwkvSteps(Steps):
    """The recurrence of one call."""

    def __init__(self, given: Given) -> None:
        given = wide(given)
        self._given, self.length = given, given["input"].shape[1]
        self.returned = given["result"]
        x = given["input"]
        shift = given.get("before.shift", torch.zeros_like(x[:, 0]))
        shifted = torch.cat([shift[:, None], x[:, :-1]], 1)
        key, value, receptance = (self._mixed(name, x, shifted) for name in MIXED)
        self._k, self._v, self._r = key, value, receptance.sigmoid()
        decay, zeros = -given["time_decay"].exp(), torch.zeros_like(key[:, 0])
        largest = given.get("before.max", zeros + NOTHING)
        exponents = [largest]
        for step in range(self.length):
            largest = torch.maximum(largest + decay, key[:, step])
            exponents.append(largest)
        self._before = torch.stack(exponents[:-1], 1)  # (B, T, C), m before each step
        after = torch.stack(exponents[1:], 1)
        keep, share = (self._before + decay - after).exp(), (key - after).exp()
        writes = {"num": share * value, "den": share}
        self.gates = {("keep", item): keep for item in ITEMS} | {("write", item): writes[item] for item in ITEMS}
        self.initial = {item: given.get(f"before.{item}", zeros) for item in ITEMS}
        self.last = {item: given[f"after.{item}"] for item in ITEMS if f"after.{item}" in given}

    def _mixed(self, name: str, x: Tensor, shifted: Tensor) -> Tensor:
        share = self._given[f"time_mix_{name}"]
        return linear(x * share + shifted * (1 - share), self._given[f"{name}.weight"])

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """Both states: (B, stop - start, C)."""
        parts = {key: value[:, start:stop] for key, value in self.gates.items()}
        return {("state", item): scan(parts["keep", item], parts["write", item], content[item]) for item in ITEMS}

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """The quotient of the states before each step and of the step's own value, which counts more: (B, t, C)."""
        key, value, largest = (each[:, start:stop] for each in (self._k, self._v, self._before))
        own = key + self._given["time_first"]
        most = torch.maximum(largest, own)
        old, new = (largest - most).exp(), (own - most).exp()
        num, den = (torch.cat([content[item][:, None], found["state", item][:, :-1]], 1) for item in ITEMS)
        return (old * num + new * value) / (old * den + new)

    def result(self, reads: Tensor) -> Tensor:
        """The layer's output."""
        return linear(self._r * reads, self._given["output.weight"])


class RwkvAdapter:
    """Matches the time mixing of RWKV-4, whose states are five tensors that all layers share."""

    weights = (
        "time_decay",
        "time_first",
        "output.weight",
        *(f"time_mix_{name}" for name in MIXED),
        *(f"{name}.weight" for name in MIXED),
    )

    def __init__(self) -> None:
        self._seen = Seen()

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return "rwkv" in kind.__name__.lower()

    def match(self, module: nn.Module) -> bool:
        """By type name and parameters."""
        parts = ("time_decay", "time_first", "time_mix_key", "time_mix_receptance", "layer_id")
        return self.may_match(type(module)) and all(hasattr(module, name) for name in parts)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """Both states of one call, recovered when they are looked at."""
        call = bound(("hidden", "state"), args, kwargs)
        given = {"input": call.get("hidden"), "result": result[0] if isinstance(result, tuple) else result}
        try:
            check_dense(given)
            if given["result"].shape != given["input"].shape:
                # transformers 5.23 does so when several sequences go on by one token: it mixes the samples.
                shapes = (tuple(given[name].shape) for name in ("result", "input"))
                raise RecurrentError("the layer returned {} for an input of {}.".format(*shapes))
            given.update(weights_of(module, {name: name for name in self.weights}))
        except RecurrentError as error:
            return [refused(error)]
        batch, steps, _ = given["input"].shape
        start, state = 0, call.get("state")
        if isinstance(state, Sequence) and len(state) == 1 + len(HELD):
            start, known = self._cached(state, int(module.layer_id), steps, given)  # type: ignore[arg-type]
            if not known:
                return [
                    MemoryTensor("state", given[f"after.{item}"][:, None], DIMS, item, item, BEGUN, None, start)
                    for item in ITEMS
                ]
        sizes = (batch, steps, given["time_decay"].shape[0])
        parts = [Part(kind, DIMS, sizes, item, NOTE) for item in ITEMS for kind in ("state", "keep", "write")]
        return parts_of(RwkvSteps, given, parts, start)

    def _cached(self, state: Sequence[Tensor], layer: int, steps: int, given: dict[str, Tensor]) -> tuple[int, bool]:
        """Adds what the layer held before and holds after the call; the steps before it, and whether that is known."""
        after = {name: tensor[:, :, layer].clone() for name, tensor in zip(HELD, state[1:], strict=True)}
        before = self._seen.get(state[2], layer)
        start = 0 if before is None else before.steps
        self._seen.put(state[2], Before(start + steps, after), layer)
        given.update((f"after.{item}", after[item]) for item in ITEMS)
        if before is not None:
            given.update((f"before.{name}", tensor) for name, tensor in before.tensors.items())
        # After a first step the denominator is the step's own weight, exp(0), everywhere.
        return start, before is not None or steps > 1 or bool((after["den"] == 1).all())
