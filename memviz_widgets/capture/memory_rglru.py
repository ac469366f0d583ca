"""The gates of RecurrentGemma's RG-LRU; its states are what the layer returns.

In: one call of a layer. Out: ``state`` (batch, time, channel), its ``keep`` and ``write``, and the gates of recurrence,
``gate.r``, and of the input, ``gate.i``.

Formulas, of De et al., "Griffin: Mixing Gated Linear Recurrences with Local Attention" (2024), section 2.4: with
``a_t = exp(-8 r_t softplus(L))``, ``state_t = a_t state_{t-1} + sqrt(1 - a_t^2) i_t x_t``. At position 0 of a sequence
a_t is 0 and the input is written whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .attention_sdpa import bound
from .memory import MemoryTensor
from .memory_mixer import check_dense, weights_of, wide
from .memory_scan import Before, Content, Given, Part, Seen, Steps, parts_of, refused
from .recurrent_cells import Key, RecurrentError

DIMS = ("batch", "time", "channel")
SHARPNESS = 8.0
"""c in the paper: a_t is the power c r_t of a base in 0..1."""
WEIGHTS = (
    "recurrent_param",
    "input_gate_weight",
    "input_gate_bias",
    "recurrent_gate_weight",
    "recurrent_gate_bias",
)


class RgLruSteps(Steps):
    """The recurrence of one call. The states are given; they are computed again from one another for the residual."""

    def __init__(self, given: Given) -> None:
        first = given["position"] == 0
        given = wide({name: tensor for name, tensor in given.items() if name != "position"})
        x, self.returned = given["input"], given["result"]  # (B, T, C)
        self.length = x.shape[1]
        chosen = _gate(x, given["input_gate_weight"], given["input_gate_bias"])
        recurrence = _gate(x, given["recurrent_gate_weight"], given["recurrent_gate_bias"])
        decay = (-SHARPNESS * recurrence * softplus(given["recurrent_param"])).exp()
        scale = (1 - decay.square()).sqrt()
        fresh = first[..., None]  # (B or 1, T, 1)
        keep, write = decay.masked_fill(fresh, 0.0), x * chosen * scale.masked_fill(fresh, 1.0)
        self.gates = {("gate.r", ""): recurrence, ("gate.i", ""): chosen, ("keep", ""): keep, ("write", ""): write}
        # Without a copy of the state before, it is the one that makes the first step right.
        implied = torch.where(keep[:, 0] > 0, (self.returned[:, 0] - write[:, 0]) / keep[:, 0], 0.0)
        self.initial = {"": given.get("before.state", implied)}
        self.last = {}

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """The states that the layer returned: (B, stop - start, C)."""
        return {("state", ""): self.returned[:, start:stop]}

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """Each state from the one before it: (B, stop - start, C)."""
        previous = torch.cat([content[""][:, None], self.returned[:, start : stop - 1]], 1)
        keep, write = (self.gates[kind, ""][:, start:stop] for kind in ("keep", "write"))
        return torch.addcmul(write, keep, previous)

    def result(self, reads: Tensor) -> Tensor:
        """The states."""
        return reads


class RgLruAdapter:
    """Matches RecurrentGemma's recurrent unit, which keeps its state as an attribute."""

    def __init__(self) -> None:
        self._seen = Seen()

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return "rglru" in kind.__name__.lower()

    def match(self, module: nn.Module) -> bool:
        """By type name and parameters."""
        return self.may_match(type(module)) and all(hasattr(module, name) for name in WEIGHTS)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """The states that it returned, and the gates that made them, computed when looked at."""
        call = bound(("activations", "position_ids"), args, kwargs)
        given = {"input": call.get("activations"), "position": call.get("position_ids"), "result": result}
        try:
            check_dense(given)
            given.update(weights_of(module, {name: name for name in WEIGHTS}))
        except RecurrentError as error:
            return [refused(error)]
        return self._parts(module, given)

    def _parts(self, module: nn.Module, given: dict[str, Tensor]) -> Iterator[MemoryTensor]:
        result, start = given["result"], int(given["position"].reshape(-1)[0])
        before = self._seen.get(module)
        if before is not None and before.steps == start and before.tensors["state"].shape == result[:, 0].shape:
            given["before.state"] = before.tensors["state"]
        self._seen.put(module, Before(start + result.shape[1], {"state": result[:, -1].clone()}))
        yield MemoryTensor("state", result, DIMS, start=start)
        sizes = tuple(result.shape)
        parts = [Part(kind, DIMS, sizes) for kind in ("keep", "write", "gate.r", "gate.i")]
        yield from parts_of(RgLruSteps, given, parts, start)


def _gate(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A sigmoid gate (B, T, C) of a projection that is made of blocks: (N, C / N, C / N)."""
    blocks = x.unflatten(-1, (weight.shape[0], -1))
    return (torch.einsum("btnc,ncd->btnd", blocks, weight) + bias).sigmoid().flatten(2)
