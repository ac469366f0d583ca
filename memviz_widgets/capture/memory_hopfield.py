"""Modern Hopfield layers (Ramsauer et al. 2020), as the package ``hflayers`` builds them: what is associated with what.

In: calls of its class ``HopfieldCore``, the core of Hopfield, HopfieldLayer and HopfieldPooling. Out: stored patterns,
and the state pattern and its association with each of them before and after every update. The package computes them in
one function that the taps for attention do not see into, so they are recovered from the inputs and weights of the call;
the residual is against the output.
Formula: ``xi <- softmax(beta xi K^T) K``, one update. The package is never imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from .attention_sdpa import bound
from .memory import MemoryTensor, RecoveredValue
from .recurrent_cells import Key, Recovered, RecurrentError, difference, undisturbed

_ARGUMENTS = (
    *("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask"),
    *("scaling", "update_steps_max", "update_steps_eps"),
)
_WEIGHTS = (
    *("in_proj_weight", "in_proj_bias", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
    *("p_norm_weight", "p_norm_bias"),
)
_STATIC = ("query_as_static", "key_as_static", "value_as_static")
_ASSOCIATION: Key = ("association", "")
_STATE: Key = ("state", "")
_PATTERNS: Key = ("memory", "")


class _Path(NamedTuple):
    """What the updates of one call went through.

    Attributes:
        states: (T, BN, Q, D), the state pattern at each update, T = 1 + number of updates.
        shares: (T, BN, Q, S), its association with the stored patterns.
        keys: (BN, S, D), the stored patterns.
        values: (BN, S, V), what is returned of them.
    """

    states: Tensor
    shares: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class HopfieldRecovery:
    """How one call of a core went; holds no tensor.

    Attributes:
        heads: Number of heads N.
        width: Width D of a pattern in the space of association.
        static: Whether query, key and value are taken as they are, without a projection.
        connected: Whether values are projected from the projected keys.
        zero: Whether a stored pattern of zeros is added.
        normalised: Epsilon of the patterns' layer norm, 0 = none.
        scaling: beta where one number holds for all heads; None where "scaling" is given, or there is none.
        most: Updates allowed per head, -1 = until it stands still.
        times: 1 + the largest number of updates; a state that stands still earlier is repeated.
    """

    heads: int
    width: int
    static: tuple[bool, bool, bool]
    connected: bool
    zero: bool
    normalised: float
    scaling: float | None
    most: tuple[int, ...]
    times: int

    def compute(self, given: Mapping[str, Tensor]) -> Recovered:
        """Association, states, stored patterns, with the residual of the output."""
        with undisturbed(given["query"].device):
            tensors = {name: _exact(value) for name, value in given.items()}
            path = self.path(tensors)
            residual = difference(self._output(path, tensors), tensors["output"])
            values = {_PATTERNS: path.keys.unflatten(0, (-1, self.heads))}
            for key, steps in ((_ASSOCIATION, path.shares), (_STATE, path.states)):
                values[key] = self._over_time(steps)
        return Recovered(values, {}, (), residual, "")

    def window(self, given: Mapping[str, Tensor], key: Key, start: int, stop: int) -> Tensor:
        """Some updates: all are computed, each follows from the one before."""
        return self.compute(given).values[key][:, start:stop]

    def residual(self, given: Mapping[str, Tensor]) -> float:
        """Largest difference from the output that the call returned."""
        return self.compute(given).residual

    def path(self, given: Mapping[str, Tensor]) -> _Path:
        """All updates, as the package does them: a head goes on until it may not, or stands still in all samples."""
        state, keys, values = self._patterns(given)
        most = torch.tensor(self.most, device=state.device)  # (N,)
        states, shares = [state], [self._shares(state, keys, given)]
        active = most != 0
        while bool(active.any()) and (self.times == 0 or len(shares) < self.times):
            mask = active.repeat(len(state) // self.heads)[:, None, None]  # (BN, 1, 1)
            states.append(torch.where(mask, shares[-1] @ keys, states[-1]))
            shares.append(torch.where(mask, self._shares(states[-1], keys, given), shares[-1]))
            moved = (shares[-1] - shares[-2]).unflatten(0, (-1, self.heads)).norm(dim=(2, 3)).amax(0)  # (N,)
            active = ((len(shares) - 1 < most) | (most < 0)) & (moved > given["eps"])
        return _Path(torch.stack(states), torch.stack(shares), keys, values)

    def _over_time(self, steps: Tensor) -> Tensor:
        """(T, BN, ...) as (B, times, N, ...), the last one repeated; (B, N, ...) where there is no update."""
        rest = steps[-1:].expand(self.times - len(steps), *steps.shape[1:])
        by_head: Tensor = torch.cat([steps, rest]).unflatten(1, (-1, self.heads))  # (times, B, N, ...)
        return by_head[0] if self.times == 1 else by_head.transpose(0, 1)

    def _patterns(self, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """State patterns (BN, Q, D), stored patterns (BN, S, D), values (BN, S, V)."""
        query, key, value = given["query"], given["key"], given["value"]  # (Q, B, ...), (S, B, ...), (S, B, ...)
        (q, k, v), batch = self._projections(given), value.shape[1]
        states = self._projected(query, q, 0)
        stored = self._projected(key, k, 1)
        if self.connected and not self.static[1]:
            value = linear(value, *k)
        keeps = self.static[2] and (self.connected or (self.static[1] and "q_proj_weight" in given))
        values = value if keeps else self._projected(value, v, 2)
        if self.normalised:
            states, stored = (self._normal(each, given) for each in (states, stored))
        states = states.reshape(len(states), -1, self.width).transpose(0, 1)
        stored = stored.reshape(-1, batch * self.heads, self.width).transpose(0, 1)
        values = values.reshape(len(values), batch * self.heads, -1).transpose(0, 1)
        if self.zero:
            stored, values = (torch.cat([each, torch.zeros_like(each[:, :1])], 1) for each in (stored, values))
        return states, stored, values

    def _projected(self, x: Tensor, weights: tuple[Tensor, Tensor | None], which: int) -> Tensor:
        return x.repeat(1, self.heads, 1) if self.static[which] else linear(x, *weights)

    def _projections(self, given: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor | None]]:
        """Weight and bias of query, key and value; those of a static one are empty."""
        fused, bias = given.get("in_proj_weight"), given.get("in_proj_bias")
        size, row, found = self.heads * self.width, 0, []
        for name, static in zip("qkv", self.static, strict=True):
            part = slice(row, None if name == "v" else row + size)
            weight = given.get(f"{name}_proj_weight", bias) if fused is None else fused[part]
            found.append((torch.empty(0) if weight is None else weight, None if bias is None else bias[part]))
            row += 0 if static else size
        return found

    def _normal(self, x: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        rows = x.reshape(-1, self.width)
        weight, bias = given.get("p_norm_weight"), given.get("p_norm_bias")
        return layer_norm(rows, (self.width,), weight, bias, self.normalised).reshape(x.shape)

    def _shares(self, state: Tensor, keys: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        """softmax(beta state K^T + mask), (BN, Q, S)."""
        scores = (state if self.scaling is None else state * self.scaling) @ keys.transpose(1, 2)
        if (mask := given.get("attn_mask")) is not None:
            mask = nn.functional.pad(mask, [0, scores.shape[-1] - mask.shape[-1]])
            scores = scores.masked_fill(mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
        if (mask := given.get("key_padding_mask")) is not None:
            mask = nn.functional.pad(mask, [0, scores.shape[-1] - mask.shape[-1]])  # (B, S)
            scores = scores.masked_fill(mask.repeat_interleave(self.heads, 0)[:, None], -torch.inf)
        return scores.softmax(-1)

    def _output(self, path: _Path, given: Mapping[str, Tensor]) -> Tensor:
        """What the call returns of the last association, (Q, B, O)."""
        read = (path.shares[-1] @ path.values).transpose(0, 1)  # (Q, BN, V)
        read = read.reshape(len(read), given["value"].shape[1], -1)
        return linear(read, given["out_weight"], given.get("out_bias")) if "out_weight" in given else read


class HopfieldAdapter:
    """Knows ``HopfieldCore``, by name and attributes."""

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return any(base.__name__ == "HopfieldCore" for base in kind.__mro__)

    def match(self, module: nn.Module) -> bool:
        """Whether it is called HopfieldCore and says how its patterns are projected."""
        named = self.may_match(type(module))
        return named and isinstance(getattr(module, "num_heads", None), int) and hasattr(module, "in_proj_weight")

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """Association, state patterns and stored patterns of one call.

        With updates, the first two have a time axis: before any update, after the first, and so on.
        """
        call = bound(_ARGUMENTS, args, kwargs)
        try:
            given = _given(module, call, result)
            recovery = _recovery(module, call, given)
        except RecurrentError as error:
            yield MemoryTensor("association", None, ("batch", "head", "query", "slot"), note=str(error))
            return
        yield from _values(recovery, given)


def _exact(value: Tensor) -> Tensor:
    return value if not value.is_floating_point() or value.dtype is torch.float64 else value.float()


def _given(module: Any, call: Mapping[str, Any], result: Any) -> dict[str, Tensor]:
    """The tensors of a call.

    Raises:
        RecurrentError: when its associations cannot be computed again.
    """
    if module.training and module.dropout > 0:
        raise RecurrentError("dropout is on: the output says nothing on what was associated; record in eval().")
    if isinstance(call.get("scaling"), Tensor) or module.bias_k is not None or module.bias_v is not None:
        raise RecurrentError("a scaling per head, or a bias as a stored pattern, is not recovered.")
    output = result[0] if isinstance(result, tuple) else result
    given = {name: call.get(name) for name in ("query", "key", "value", "attn_mask", "key_padding_mask")}
    given |= {name: getattr(module, name, None) for name in _WEIGHTS} | {"output": output}
    if getattr(module, "out_proj", None) is not None:
        given |= {"out_weight": module.out_proj.weight, "out_bias": module.out_proj.bias}
    eps = call.get("update_steps_eps", 1e-4)
    given["eps"] = eps if isinstance(eps, Tensor) else torch.full((module.num_heads,), eps, device=output.device)
    for name in ("attn_mask", "key_padding_mask"):
        if isinstance(mask := given[name], Tensor) and mask.dtype is torch.uint8:
            given[name] = mask.bool()
    return {name: value for name, value in given.items() if isinstance(value, Tensor)}


def _recovery(module: Any, call: Mapping[str, Any], given: Mapping[str, Tensor]) -> HopfieldRecovery:
    """How the call went. Updates without a limit are counted now: their number is the size of a record."""
    most = call.get("update_steps_max", 0)
    limits = tuple(most.tolist()) if isinstance(most, Tensor) else (-1 if most is None else most,) * module.num_heads
    limits = tuple(max(-1, int(limit)) for limit in limits)
    static: tuple[bool, bool, bool] = tuple(bool(getattr(module, name)) for name in _STATIC)  # type: ignore[assignment]
    width = given["query"].shape[2] if static[0] and static[1] else module.head_dim
    normalised = float(module.normalize_pattern_eps) if module.normalize_pattern else 0.0
    scaling = call.get("scaling")

    def made(times: int) -> HopfieldRecovery:
        flags = (bool(module.value_as_connected), bool(module.add_zero_attn))
        return HopfieldRecovery(module.num_heads, width, static, *flags, normalised, scaling, limits, times)

    if min(limits) >= 0:
        return made(1 + max(limits))
    with undisturbed(given["query"].device):
        return made(len(made(0).path({name: _exact(value) for name, value in given.items()}).shares))


def _values(recovery: HopfieldRecovery, given: Mapping[str, Tensor]) -> Iterable[MemoryTensor]:
    heads, width, (batch, stored) = recovery.heads, recovery.width, (given["value"].shape[1], len(given["key"]))
    stored, queries = stored + recovery.zero, len(given["query"])
    over_time = recovery.times > 1
    note = "time: before any update, after the first, and so on" if over_time else ""
    steps, named = ((recovery.times,), ("time",)) if over_time else ((), ())
    shapes = {
        _ASSOCIATION: ((batch, *steps, heads, queries, stored), ("batch", *named, "head", "query", "slot"), note),
        _STATE: ((batch, *steps, heads, queries, width), ("batch", *named, "head", "query", "width"), note),
        _PATTERNS: ((batch, heads, stored, width), ("batch", "head", "slot", "width"), "the stored patterns"),
    }
    dtype = torch.float64 if given["query"].dtype is torch.float64 else torch.float32
    for key, (shape, dims, said) in shapes.items():
        time = dims.index("time") if "time" in dims else -1
        yield MemoryTensor(key[0], RecoveredValue(recovery, key, given, shape, time, dtype), dims, note=said)
