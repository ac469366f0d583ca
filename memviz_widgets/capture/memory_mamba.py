"""States of Mamba layers (Mamba, FalconMamba, Jamba, Zamba; mambapy's and mamba-ssm's blocks) at every step.

In: one call of a layer. Out: ``state`` (batch, time, channel, state), its ``keep`` and ``write``, and ``dt``.

Formulas, of Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (2023), sections 2 and 3:
``state_t = exp(dt_t A) state_{t-1} + dt_t B_t x_t`` and ``y_t = C_t state_t + D x_t``; x is the input after the short
convolution, and dt, B and C are projections of it. Zamba has the same for each of its heads.
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
from .memory_scan import Content, Given, Part, Steps, parts_of, scan
from .recurrent_cells import Key

DIMS = ("batch", "time", "channel", "state")
NORMS = {"dt": ("dt_layernorm",), "B": ("b_layernorm", "B_layernorm"), "C": ("c_layernorm", "C_layernorm")}
"""Names of the norms of dt, B and C, in transformers and in mambapy. Plain Mamba has none."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a layer is, besides its weights.

    Attributes:
        act: What follows the convolution.
        eps: Of the norm of dt, of B and of C, where there is one.
        interleaved: Whether input and output gate alternate in the projection (Zamba), or one follows the other.
    """

    act: Callable[[Tensor], Tensor]
    eps: Mapping[str, float]
    interleaved: bool


class MambaSteps(Steps):
    """The recurrence of one call. H is 1 but for Zamba, P is the channels of a head, C = H P, N the state's size."""

    def __init__(self, form: Form, given: Given) -> None:
        given = wide(given)
        self._given, self.length = given, given["input"].shape[1]
        self.returned = given["result"]
        rate = -given["A_log"].exp()
        self._rate = rate if rate.dim() == 3 else rate[None]  # (H, P, N)
        heads, width, _ = self._rate.shape
        projected = linear(masked(given["input"], given), given["in_proj.weight"], given.get("in_proj.bias"))
        if form.interleaved:
            inputs, self._gate = projected.unflatten(-1, (-1, 2)).unbind(-1)  # each (B, T, C)
        else:
            inputs, self._gate = projected.chunk(2, -1)
        self._x = convolved(inputs, given, form.act).unflatten(-1, (heads, width))  # (B, T, H, P)
        self._select(form)
        self.gates = {("dt", ""): self._dt.flatten(2)}
        zeros = self._rate.new_zeros(len(inputs), heads * width, self._rate.shape[-1])
        # A call of several steps starts from zero, also when the cache holds a state: so do the kernels.
        before = given.get("before.state") if self.length == 1 else None
        self.initial = {"": zeros if before is None else before.reshape(zeros.shape)}
        after = given.get("after.state")
        self.last = {} if after is None else {"": after.reshape(zeros.shape)}

    def _select(self, form: Form) -> None:
        """dt (B, T, H, P), and B and C (B, T, H, N) of every step."""
        given, size = self._given, self._rate.shape[-1]
        weight, step = given["x_proj"], given["dt_proj"]
        weight = weight if weight.dim() == 3 else weight[None]  # (H, R + 2 N, P)
        step = step if step.dim() == 3 else step[None]  # (H, P, R)
        chosen = torch.einsum("bthp,hrp->bthr", self._x, weight)
        parts = dict(zip(("dt", "B", "C"), chosen.split([step.shape[-1], size, size], -1), strict=True))
        for name, eps in form.eps.items():
            parts[name] = rms_norm(parts[name], given.get(f"norm.{name}"), eps)
        raw = torch.einsum("bthr,hpr->bthp", parts["dt"], step)
        if "dt_proj.bias" in given:
            raw = raw + given["dt_proj.bias"].reshape(raw.shape[2:])
        self._dt, self._b, self._c = softplus(raw), parts["B"], parts["C"]

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """State, keep and write: (B, stop - start, C, N)."""
        dt, x, b = (each[:, start:stop] for each in (self._dt, self._x, self._b))
        keep = (dt[..., None] * self._rate).exp_().flatten(2, 3)
        write = ((dt * x)[..., None] * b[:, :, :, None]).flatten(2, 3)
        return {("state", ""): scan(keep, write, content[""]), ("keep", ""): keep, ("write", ""): write}

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """C_t state_t: (B, stop - start, C)."""
        states = found["state", ""].unflatten(2, self._rate.shape[:2])
        return torch.einsum("bthpn,bthn->bthp", states, self._c[:, start:stop]).flatten(2)

    def result(self, reads: Tensor) -> Tensor:
        """The layer's output."""
        read = (reads + self._given["D"].flatten() * self._x.flatten(2)) * silu(self._gate)
        return linear(read, self._given["out_proj.weight"], self._given.get("out_proj.bias"))


SHARED = (
    "A_log",
    "D",
    "in_proj.weight",
    "in_proj.bias",
    "conv1d.weight",
    "conv1d.bias",
    "out_proj.weight",
    "out_proj.bias",
)
SELECTING = {"x_proj": "x_proj.weight", "dt_proj": "dt_proj.weight", "dt_proj.bias": "dt_proj.bias"}
SELECTING_PER_HEAD = {"x_proj": "x_proj_weight", "dt_proj": "dt_proj_weight", "dt_proj.bias": "dt_proj_bias"}


class MambaAdapter(MixerAdapter):
    """Matches layers that select a state space step by step, and have a rate per channel and place of the state."""

    dims = DIMS

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return "mamba" in kind.__name__.lower()

    def match(self, module: nn.Module) -> bool:
        """Whether it is called Mamba and has the parts of one."""
        parts = ("A_log", "D", "in_proj", "conv1d", "out_proj")
        chosen = hasattr(module, "x_proj_weight") or (hasattr(module, "x_proj") and hasattr(module, "dt_proj"))
        return self.may_match(type(module)) and chosen and all(hasattr(module, part) for part in parts)

    def weight_paths(self, module: Any) -> Mapping[str, str]:
        """The weights of this layer: Zamba keeps those of its heads as parameters of its own, and some have norms."""
        chosen = SELECTING_PER_HEAD if hasattr(module, "x_proj_weight") else SELECTING
        norms = {}
        for name, norm in _norms(module).items():
            if "weightless" not in type(getattr(module, norm)).__name__.lower():  # FalconMamba's weights are dummies
                norms[f"norm.{name}"] = f"{norm}.weight"
        return {**{name: name for name in SHARED}, **chosen, **norms}

    def parts(self, module: Any, call: Call) -> Iterable[MemoryTensor]:
        """state, keep, write and dt of one call."""
        eps = {name: eps_of(getattr(module, norm)) for name, norm in _norms(module).items()}
        form = Form(activation_of(module), eps, hasattr(module, "x_proj_weight"))
        channels, size = module.A_log.shape[:-1].numel(), module.A_log.shape[-1]
        sizes = (call.batch, call.steps, channels, size)
        parts = [Part(kind, DIMS, sizes) for kind in ("state", "keep", "write")]
        parts.append(Part("dt", DIMS[:3], sizes[:3]))
        return parts_of(partial(MambaSteps, form), call.given, parts, call.start)


def _norms(module: Any) -> dict[str, str]:
    """What is normed -> the name of its norm."""
    found = {}
    for part, names in NORMS.items():
        for name in names:
            if getattr(module, name, None) is not None:
                found[part] = name
    return found
