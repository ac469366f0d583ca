"""States of gated delta nets (Qwen3-Next, Qwen3.5, OLMo Hybrid) at every step: a matrix from keys to values per head.

In: one call of a layer. Out: ``state`` (batch, time, head, channel, state), where channel counts places of the key and
state those of the value, and its ``write``; a number per head are its ``keep``, ``dt``, and ``gate.write``, how
strongly it writes.

Formulas, of Yang, Kautz & Hatamizadeh, "Gated Delta Networks" (2024), section 3: with ``kept = keep_t state_{t-1}``,
``state_t = kept + k_t (beta_t (v_t - k_t^T kept))^T`` and ``y_t = state_t^T q_t / sqrt(K)``. So what a step writes
depends on the state: a part of it takes back what the key had held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu, softplus

from .memory import MemoryTensor
from .memory_mixer import Call, MixerAdapter, activation_of, convolved, eps_of, masked, rms_norm, wide
from .memory_scan import Content, Given, Part, Steps, parts_of
from .recurrent_cells import Key

DIMS = ("batch", "time", "head", "channel", "state")
NOTE = "channel counts places of the key, state those of the value; keep is the decay alone, write takes back as well"
PROJECTIONS = ("qkvz", "ba", "qkv", "q", "k", "v", "z", "b", "a")
"""What is projected together or apart: Qwen3-Next has the first two, Qwen3.5 qkv, z, b, a, OLMo all apart."""
UNIT_EPS = 1e-6
"""Added to the squared length of keys and queries, as in all of these layers."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a layer is, besides its weights.

    Attributes:
        act: What follows the convolution.
        keys: Heads of keys and queries.
        heads: H, heads of values, a multiple of those.
        key_width: K.
        value_width: V.
        strongest: Largest beta: 1, or 2 where eigenvalues may be negative.
        eps: Of the norm of the output.
    """

    act: Callable[[Tensor], Tensor]
    keys: int
    heads: int
    key_width: int
    value_width: int
    strongest: float
    eps: float


class DeltaSteps(Steps):
    """The recurrence of one call."""

    def __init__(self, form: Form, given: Given) -> None:
        given = wide(given)
        self._given, self._form, self.length = given, form, given["input"].shape[1]
        self.returned = given["result"]
        mixed, self._gate, b, a = self._projected(masked(given["input"], given))
        widths = [form.keys * form.key_width] * 2 + [form.heads * form.value_width]
        query, key, value = convolved(mixed, given, form.act).split(widths, -1)
        self._q = self._unit(query) / form.key_width**0.5
        self._k, self._v = self._unit(key), value.unflatten(-1, (form.heads, form.value_width))
        self._beta = b.sigmoid() * form.strongest  # (B, T, H)
        dt = softplus(a + given["dt_bias"])
        keep = (-given["A_log"].exp() * dt).exp()[..., None, None]  # (B, T, H, 1, 1)
        self.gates = {("keep", ""): keep, ("gate.write", ""): b.sigmoid(), ("dt", ""): dt}
        zeros = key.new_zeros(len(key), form.heads, form.key_width, form.value_width)
        self.initial = {"": given.get("before.state", zeros)}
        self.last = {"": given["after.state"]} if "after.state" in given else {}

    def _projected(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys and values before the convolution; the output gate (B, T, H, V); b and a (B, T, H)."""
        form, found = self._form, {}
        for name in PROJECTIONS:
            if name in self._given:
                found[name] = linear(inputs, self._given[name])
        if "qkvz" in found:  # sorted by the head of the key
            share = form.heads // form.keys
            widths = [form.key_width] * 2 + [share * form.value_width] * 2
            parts = found["qkvz"].unflatten(-1, (form.keys, -1)).split(widths, -1)
            q, k, v, found["z"] = (part.flatten(2) for part in parts)
            found["qkv"] = torch.cat([q, k, v], -1)
            b, a = found["ba"].unflatten(-1, (form.keys, -1)).split([share, share], -1)
            found["b"], found["a"] = b.flatten(2), a.flatten(2)
        elif "qkv" not in found:
            found["qkv"] = torch.cat([found["q"], found["k"], found["v"]], -1)
        return found["qkv"], found["z"].unflatten(-1, (form.heads, form.value_width)), found["b"], found["a"]

    def _unit(self, x: Tensor) -> Tensor:
        """Keys or queries of length 1, per head of values: (B, T, H, K)."""
        x = x.unflatten(-1, (self._form.keys, self._form.key_width))
        x = x * torch.rsqrt(x.square().sum(-1, keepdim=True) + UNIT_EPS)
        return x.repeat_interleave(self._form.heads // self._form.keys, 2)

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """State and write: (B, stop - start, H, K, V)."""
        state, states, writes = content[""], [], []
        for step in range(start, stop):
            kept = self.gates["keep", ""][:, step] * state
            key = self._k[:, step]  # (B, H, K)
            error = self._v[:, step] - torch.einsum("bhk,bhkv->bhv", key, kept)
            write = key[..., None] * (self._beta[:, step, :, None] * error)[:, :, None]
            state = kept + write
            states.append(state)
            writes.append(write)
        return {("state", ""): torch.stack(states, 1), ("write", ""): torch.stack(writes, 1)}

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """state_t^T q_t: (B, stop - start, H, V)."""
        return torch.einsum("bthkv,bthk->bthv", found["state", ""], self._q[:, start:stop])

    def result(self, reads: Tensor) -> Tensor:
        """The layer's output."""
        read = rms_norm(reads, self._given["norm.weight"], self._form.eps) * silu(self._gate)
        return linear(read.flatten(2), self._given["out"])


class DeltaAdapter(MixerAdapter):
    """Matches layers whose state is written by the gated delta rule."""

    dims = DIMS

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return "gateddelta" in kind.__name__.lower()

    def match(self, module: nn.Module) -> bool:
        """By the type name, and the sizes that all of them have."""
        parts = ("A_log", "dt_bias", "conv1d", "num_v_heads", "num_k_heads", "head_k_dim", "head_v_dim")
        return self.may_match(type(module)) and all(hasattr(module, part) for part in parts)

    def weight_paths(self, module: Any) -> Mapping[str, str]:
        """By the names of the two ways that they are called."""
        apart = hasattr(module, "q_proj")
        paths = {name: f"{name}_proj.weight" if apart else f"in_proj_{name}.weight" for name in PROJECTIONS}
        ends = ("o_norm", "o_proj") if apart else ("norm", "out_proj")
        paths |= {"norm.weight": f"{ends[0]}.weight", "out": f"{ends[1]}.weight"}
        if apart:
            paths["z"] = "g_proj.weight"
        same = ("A_log", "dt_bias", "conv1d.weight", "conv1d.bias")
        return {**{name: name for name in same}, **paths}

    def parts(self, module: Any, call: Call) -> Iterable[MemoryTensor]:
        """state, write, keep, dt and the strength of writing of one call."""
        norm = getattr(module, "norm", None) or module.o_norm
        strongest = 2.0 if getattr(module, "allow_neg_eigval", False) else 1.0
        form = Form(
            activation_of(module),
            module.num_k_heads,
            module.num_v_heads,
            module.head_k_dim,
            module.head_v_dim,
            strongest,
            eps_of(norm),
        )
        sizes = (call.batch, call.steps, form.heads, form.key_width, form.value_width)
        doubled = "the layer writes with twice this strength" if strongest == 2 else ""
        parts = [Part(kind, DIMS, sizes, note=NOTE) for kind in ("state", "write")]
        parts += [Part("keep", DIMS, (*sizes[:3], 1, 1), note=NOTE), Part("dt", DIMS[:3], sizes[:3])]
        parts.append(Part("gate.write", DIMS[:3], sizes[:3], note=doubled))
        return parts_of(partial(DeltaSteps, form), call.given, parts, call.start)
