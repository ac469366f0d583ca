"""States of Mamba2 layers (Mamba2, Zamba2, Bamba, FalconH1, GraniteMoeHybrid, NemotronH) at every step.

In: one call of a layer. Out: ``state`` (batch, time, head, channel, state), its ``write``, and its ``keep`` and ``dt``,
which are a number per head.

Formulas, of Dao & Gu, "Transformers are SSMs" (2024), section 7: ``state_t = exp(dt_t A) state_{t-1} + dt_t x_t B_t^T``
and ``y_t = state_t C_t + D x_t``. x, B and C are inputs after the short convolution; heads of a group share B and C.
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

DIMS = ("batch", "time", "head", "channel", "state")
WEIGHTS = (
    "A_log",
    "D",
    "dt_bias",
    "in_proj.weight",
    "in_proj.bias",
    "conv1d.weight",
    "conv1d.bias",
    "norm.weight",
    "out_proj.weight",
    "out_proj.bias",
    "mup_vector",
)
NO_LIMIT = (0.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Form:
    """What a layer is, besides its weights.

    Attributes:
        act: What follows the convolution.
        heads: H.
        groups: G, sets of heads that share B and C.
        width: P, channels of a head.
        size: N, places of a head's state per channel.
        limit: Least and largest dt.
        multiplier: Of the input (FalconH1), else 1.
        eps: Of the norm of the output, None where there is no norm.
        norm_groups: Parts of the output that are normed on their own.
        norm_first: Whether the norm comes before the output gate.
    """

    act: Callable[[Tensor], Tensor]
    heads: int
    groups: int
    width: int
    size: int
    limit: tuple[float, float]
    multiplier: float
    eps: float | None
    norm_groups: int
    norm_first: bool


class Mamba2Steps(Steps):
    """The recurrence of one call."""

    def __init__(self, form: Form, given: Given) -> None:
        given = wide(given)
        self._given, self._form, self.length = given, form, given["input"].shape[1]
        self.returned = given["result"]
        inputs = masked(given["input"], given) * form.multiplier
        projected = linear(inputs, given["in_proj.weight"], given.get("in_proj.bias"))
        if "mup_vector" in given:
            projected = projected * given["mup_vector"]
        inner, shared = form.heads * form.width, form.groups * form.size
        self._gate, mixed, raw = projected.split([inner, inner + 2 * shared, form.heads], -1)
        x, b, c = convolved(mixed, given, form.act).split([inner, shared, shared], -1)
        self._x = x.unflatten(-1, (form.heads, form.width))  # (B, T, H, P)
        self._b, self._c = (self._per_head(each) for each in (b, c))
        self._dt = softplus(raw + given["dt_bias"])  # (B, T, H)
        if not (self.length == 1 and "before.state" in given):  # a step from a cache does not limit it
            self._dt = self._dt.clamp(*form.limit)
        keep = (-given["A_log"].exp() * self._dt).exp()[..., None, None]  # (B, T, H, 1, 1)
        self.gates = {("dt", ""): self._dt, ("keep", ""): keep}
        zeros = x.new_zeros(len(x), form.heads, form.width, form.size)
        self.initial = {"": given.get("before.state", zeros)}
        self.last = {"": given["after.state"]} if "after.state" in given else {}

    def _per_head(self, shared: Tensor) -> Tensor:
        """(B, T, G N) as (B, T, H, N)."""
        groups: Tensor = shared.unflatten(-1, (self._form.groups, self._form.size))
        return groups.repeat_interleave(self._form.heads // self._form.groups, 2)

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """State and write: (B, stop - start, H, P, N)."""
        dt, x, b, keep = (each[:, start:stop] for each in (self._dt, self._x, self._b, self.gates["keep", ""]))
        write = (dt[..., None] * x)[..., None] * b[:, :, :, None]
        return {("state", ""): scan(keep, write, content[""]), ("write", ""): write}

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """state_t C_t: (B, stop - start, H, P)."""
        read: Tensor = torch.einsum("bthpn,bthn->bthp", found["state", ""], self._c[:, start:stop])
        return read

    def result(self, reads: Tensor) -> Tensor:
        """The layer's output."""
        form, given = self._form, self._given
        read = (reads + given["D"][:, None] * self._x).flatten(2)
        if form.eps is None:
            read = read * silu(self._gate)
        else:
            read = read if form.norm_first else read * silu(self._gate)
            parts = read.unflatten(-1, (form.norm_groups, -1))
            read = rms_norm(parts, given["norm.weight"].unflatten(0, (form.norm_groups, -1)), form.eps).flatten(-2)
            read = read * silu(self._gate) if form.norm_first else read
        return linear(read, given["out_proj.weight"], given.get("out_proj.bias"))


class Mamba2Adapter(MixerAdapter):
    """Matches layers that select a state space, and have one rate per head."""

    dims = DIMS
    needs = "A_log"

    def match(self, module: nn.Module) -> bool:
        """By the parts that all of them have: the family's names differ (BambaMixer, FalconH1Mixer)."""
        parts = ("A_log", "D", "dt_bias", "in_proj", "conv1d", "out_proj", "norm", "num_heads", "head_dim", "n_groups")
        return all(hasattr(module, part) for part in parts) and hasattr(module, "ssm_state_size")

    def weight_paths(self, module: Any) -> Mapping[str, str]:
        """The same in all layers."""
        return {name: name for name in WEIGHTS}

    def parts(self, module: Any, call: Call) -> Iterable[MemoryTensor]:
        """state, write, keep and dt of one call."""
        form = _form(module)
        sizes = (call.batch, call.steps, form.heads, form.width, form.size)
        parts = [Part(kind, DIMS, sizes) for kind in ("state", "write")]
        parts += [Part("keep", DIMS, (*sizes[:3], 1, 1)), Part("dt", DIMS[:3], sizes[:3])]
        return parts_of(partial(Mamba2Steps, form), call.given, parts, call.start)


def _form(module: Any) -> Form:
    norm = module.norm
    width = getattr(norm, "group_size", None)
    channels = module.num_heads * module.head_dim
    return Form(
        activation_of(module),
        module.num_heads,
        module.n_groups,
        module.head_dim,
        module.ssm_state_size,
        tuple(getattr(module, "time_step_limit", NO_LIMIT)),
        float(getattr(module, "ssm_in_multiplier", 1.0)),
        None if isinstance(norm, nn.Identity) else eps_of(norm),
        channels // width if width else getattr(norm, "n_groups", 1),
        bool(getattr(norm, "norm_before_gate", False)),
    )
