"""States of MiniMax's lightning attention at every step: a matrix from keys to values per head, which fades evenly.

In: one call of a layer. Out: ``state`` (batch, time, head, channel, state), where channel counts places of the key and
state those of the value, its ``write``, and its ``keep``, a number per head that is the same at every step.

Formulas, of MiniMax, "MiniMax-01: Scaling Foundation Models with Lightning Attention" (2025), and with the decay that
the layer holds as ``slope_rate``: ``state_t = exp(-slope) state_{t-1} + k_t v_t^T`` and ``y_t = state_t^T q_t``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .attention_sdpa import bound
from .memory import MemoryTensor
from .memory_mixer import ACTIVATIONS, check_dense, eps_of, masked, rms_norm, weights_of, wide
from .memory_scan import Before, Content, Given, Part, Seen, Steps, cache_of, parts_of, refused, scan
from .recurrent_cells import Key, RecurrentError

DIMS = ("batch", "time", "head", "channel", "state")
NOTE = "channel counts places of the key, state those of the value"
WEIGHTS = {
    "qkv": "qkv_proj.weight",
    "out": "out_proj.weight",
    "gate": "output_gate.weight",
    "norm": "norm.weight",
    "slope": "slope_rate",
}
ARGUMENTS = ("hidden_states", "position_embeddings", "attention_mask", "past_key_values")


@dataclass(frozen=True, slots=True)
class Form:
    """What a layer is, besides its weights: the activation of queries, keys and values, H, and the eps of its norm."""

    act: Callable[[Tensor], Tensor]
    heads: int
    eps: float


class LightningSteps(Steps):
    """The recurrence of one call."""

    def __init__(self, form: Form, given: Given) -> None:
        given = wide(given)
        self._given, self._form, self.length = given, form, given["input"].shape[1]
        self.returned = given["result"]
        mixed = masked(form.act(linear(given["input"], given["qkv"])), given).unflatten(-1, (form.heads, -1))
        self._q, self._k, self._v = mixed.chunk(3, -1)  # each (B, T, H, D)
        keep = (-given["slope"]).exp().reshape(1, 1, -1, 1, 1)
        self.gates = {("keep", ""): keep.expand(*mixed.shape[:3], 1, 1)}
        after = given["after.state"]
        implied = torch.zeros_like(after)
        if self.length == 1:  # also of a recording that begins at a filled cache
            implied = (after - self._k[:, 0, ..., None] * self._v[:, 0, :, None]) / keep[:, 0]
        self.initial = {"": given.get("before.state", implied)}
        self.last = {"": after}

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """State and write: (B, stop - start, H, D, D)."""
        write = self._k[:, start:stop, ..., None] * self._v[:, start:stop, :, None]
        keep = self.gates["keep", ""][:, start:stop]
        return {("state", ""): scan(keep, write, content[""]), ("write", ""): write}

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """state_t^T q_t: (B, stop - start, H, D)."""
        return torch.einsum("bthkv,bthk->bthv", found["state", ""], self._q[:, start:stop])

    def result(self, reads: Tensor) -> Tensor:
        """The layer's output."""
        given = self._given
        read = rms_norm(reads.flatten(2), given["norm"], self._form.eps)
        return linear(linear(given["input"], given["gate"]).sigmoid() * read, given["out"])


class LightningAdapter:
    """Matches attention that has a state in place of a cache of keys and values."""

    def __init__(self) -> None:
        self._seen = Seen()

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return "lightningattention" in kind.__name__.lower()

    def match(self, module: nn.Module) -> bool:
        """By type name and parts."""
        parts = ("qkv_proj", "out_proj", "output_gate", "norm", "slope_rate", "act_fn", "num_attention_heads")
        return self.may_match(type(module)) and all(hasattr(module, part) for part in parts)

    def read(
        self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """The states of one call, recovered when they are looked at."""
        call = bound(ARGUMENTS, args, kwargs)
        output, after = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        given = {"input": call.get("hidden_states"), "result": output, "after.state": after}
        try:
            check_dense(given)
            given.update(weights_of(module, WEIGHTS))
            form = Form(_activation(module.act_fn), module.num_attention_heads, eps_of(module.norm))
        except RecurrentError as error:
            return [refused(error)]
        if isinstance(mask := call.get("attention_mask"), Tensor) and mask.dim() == 2:
            given["mask"] = mask
        batch, steps, _ = given["input"].shape
        start, cache, layer = 0, cache_of(call), module.layer_idx
        if cache is not None:
            given["after.state"] = given["after.state"].clone()
            before = self._seen.get(cache, layer)
            if before is not None:
                start, given["before.state"] = before.steps, before.tensors["state"]
            self._seen.put(cache, Before(start + steps, {"state": given["after.state"]}), layer)
        sizes = (batch, steps, form.heads, *given["after.state"].shape[-2:])
        parts = [Part(kind, DIMS, sizes, note=NOTE) for kind in ("state", "write")]
        parts.append(Part("keep", DIMS, (*sizes[:3], 1, 1)))
        return parts_of(partial(LightningSteps, form), given, parts, start)


def _activation(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The function of an activation module, by its type name: SiLU, SiLUActivation."""
    name = type(module).__name__.lower().removesuffix("activation")
    if name not in ACTIVATIONS:
        raise RecurrentError(
            f"the activation {type(module).__name__} is not known; known are {', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[name]
