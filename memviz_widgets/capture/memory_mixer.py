"""What Mamba, Mamba2 and gated delta nets share: a projection, a short causal convolution and a cache of both states.

In: a layer and one call of it. Out: the tensors that the recovery of its states needs; the steps that it starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from .attention_sdpa import bound
from .memory import MemoryTensor
from .memory_scan import Before, Given, Seen, cached_layer, refused
from .recurrent_cells import RecurrentError, working_dtype
from .tensors import tensor_kind

ARGUMENTS = ("hidden_states", "cache_params", "attention_mask")
BEGUN = (
    "The recording began within a sequence: the state is that of the cache, and what this step kept and wrote is not "
    "known. Record from the first call that fills the cache."
)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "swish": functional.silu,
    "gelu": functional.gelu,
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
}
"""By the names that configs of transformers use. Other ones are refused."""


class Call(NamedTuple):
    """One call of a layer.

    Attributes:
        given: "input" (B, T, C), "result", weights by name; "mask", "before.state", "before.conv", "after.state" where
            there are any.
        batch: B.
        steps: T.
        start: Steps that the cache had seen before, 0 without a cache.
        begun: The state after a single step (B, ...) whose state before is not known, else None.
    """

    given: dict[str, Tensor]
    batch: int
    steps: int
    start: int
    begun: Tensor | None


class MixerAdapter:
    """What the adapters of these layers share: they say what a layer's weights are, and what its call has."""

    dims: tuple[str, ...]
    """Names of the axes of a state over time."""

    def __init__(self) -> None:
        self._seen = Seen()

    def match(self, module: nn.Module) -> bool:
        """Whether this is a layer of the family."""
        raise NotImplementedError

    def parts(self, module: Any, call: Call) -> Iterable[MemoryTensor]:
        """The parts of the memory in one call."""
        raise NotImplementedError

    def weight_paths(self, module: Any) -> Mapping[str, str]:
        """Name in ``given`` -> path of the weight in the module."""
        raise NotImplementedError

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """The states of one call, recovered when they are looked at."""
        try:
            call = self._call(module, bound(ARGUMENTS, args, kwargs), result)
            if call.begun is None:
                return self.parts(module, call)
        except RecurrentError as error:
            return [refused(error)]
        extra = call.begun.dim() + 1 - len(self.dims)  # Zamba's cache has an axis for heads
        state = call.begun.flatten(1, 1 + extra)[:, None]
        return [MemoryTensor("state", state, self.dims, note=BEGUN, start=call.start)]

    def _call(self, module: nn.Module, call: Mapping[str, Any], result: Any) -> Call:
        output = result[0] if isinstance(result, tuple) else result
        given = {"input": call.get(ARGUMENTS[0], call.get("x")), "result": output}
        check_dense(given)
        if given["input"].dim() != 3:
            raise RecurrentError(f"the input has {given['input'].dim()} axes; expected batch, time and channel.")
        if isinstance(call.get("attention_mask"), Tensor) and call["attention_mask"].dim() == 2:
            given["mask"] = call["attention_mask"]
        batch, steps = given["input"].shape[:2]
        found = weights_of(module, self.weight_paths(module))
        start, begun, layer = 0, None, cached_layer(module, call)
        if layer is not None:
            after = {"state": layer.recurrent_states[0].clone(), "conv": layer.conv_states[0].clone()}
            before = self._seen.get(layer)
            if before is not None:
                start = before.steps
                given.update((f"before.{name}", tensor) for name, tensor in before.tensors.items())
            elif steps == 1 and after["conv"][..., :-1].any():
                begun = after["state"]
            self._seen.put(layer, Before(start + steps, after))
            given["after.state"] = after["state"]
        return Call({**given, **found}, batch, steps, start, begun)


def check_dense(given: Mapping[str, Any]) -> None:
    """Refuse what is no dense tensor.

    Raises:
        RecurrentError: with the name of the first one.
    """
    for name, tensor in given.items():
        if not isinstance(tensor, Tensor) or tensor_kind(tensor) != "dense":
            raise RecurrentError(f"the {name} is of type {type(tensor).__name__}; expected a dense tensor.")


def weights_of(module: nn.Module, paths: Mapping[str, str]) -> dict[str, Tensor]:
    """Live weights of a module by name; those that it does not have, or has as None, are left out.

    Raises:
        RecurrentError: when one is computed from others, quantized, or not a plain tensor.
    """
    found = {}
    for name, path in paths.items():
        owner_path, _, last = path.rpartition(".")
        owner: Any = module
        for step in owner_path.split(".") if owner_path else ():
            owner = getattr(owner, step, None)
        if isinstance(owner, nn.Module) and is_parametrized(owner, last):
            raise RecurrentError(f"{path} is parametrized, so its value in the call is not known.")
        weight = getattr(owner, last, None)
        if weight is None:
            continue
        if not isinstance(weight, Tensor) or tensor_kind(weight) != "dense" or not weight.is_floating_point():
            raise RecurrentError(f"{path} is no plain tensor of floating point numbers (quantized weights are not).")
        found[name] = weight
    return found


def activation_of(module: Any) -> Callable[[Tensor], Tensor]:
    """The function that follows the convolution, by its name.

    Raises:
        RecurrentError: when it is none of ACTIVATIONS.
    """
    name = getattr(module, "activation", "silu")
    if name not in ACTIVATIONS:
        raise RecurrentError(f"the activation {name!r} is not known; known are {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]


def wide(given: Given) -> dict[str, Tensor]:
    """The tensors of a call, detached and in the working dtype of its result."""
    dtype = working_dtype(given["result"].dtype)
    return {name: tensor.detach().to(dtype) for name, tensor in given.items()}


def masked(x: Tensor, given: Given) -> Tensor:
    """(B, T, C), zero at padding."""
    return x * given["mask"][:, :, None] if "mask" in given else x


def convolved(x: Tensor, given: Given, act: Callable[[Tensor], Tensor]) -> Tensor:
    """The short causal convolution over (B, T, C) and its activation, from what the cache held before, else zeros."""
    weight, steps = given["conv1d.weight"], x.shape[1]
    series = x.transpose(1, 2)  # (B, C, T)
    if "before.conv" in given:
        series = torch.cat([given["before.conv"], series], -1)
    series = functional.pad(series, (weight.shape[-1] - 1, 0))
    series = functional.conv1d(series, weight, given.get("conv1d.bias"), groups=weight.shape[0])[..., -steps:]
    return masked(act(series).transpose(1, 2), given)


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """x / sqrt(mean x^2 + eps), times a weight if there is one, over the last axis."""
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return normed if weight is None else normed * weight


def eps_of(norm: Any) -> float:
    """The eps of an RMS norm, by the names that it has."""
    for name in ("variance_epsilon", "eps"):
        if isinstance(value := getattr(norm, name, None), float):
            return value
    raise RecurrentError(f"{type(norm).__name__} has no eps that is known.")
