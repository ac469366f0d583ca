"""Eager: attention weights as transformers gives them, to compare a capture with.

In: a name. Out: the weights that attention modules return when their config says "eager"; results of every softmax.
"""

from __future__ import annotations

import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .catalog import SEED, build
from .reference import same_bits, watched

Call = tuple[str, int]
"""(path of a module, its call)."""


def eager_weights(name: str) -> dict[Call, list[Tensor]]:
    """Weights (B, N, Q, K) that the innermost attention modules return, by call."""
    given, keywords = build(name)
    model = _made_eager(given)
    classes = {path: type(module).__name__ for path, module in model.named_modules()}
    torch.manual_seed(SEED)
    with watched(model) as seen:
        model(**keywords | _flags(model))
    found: dict[Call, list[Tensor]] = defaultdict(list)
    originals: list[tuple[str, Tensor]] = []
    for (path, call, place), tensor in seen.items():  # in the order in which modules end: the innermost first
        if "Attention" in classes[path] and place not in ("", "0") and _are_weights(tensor):
            passed_on = any(inner.startswith(f"{path}.") and same_bits(tensor, other) for inner, other in originals)
            if not passed_on:
                found[path, call].append(_in_order(tensor, classes[path]))
            originals.append((path, tensor))
    return found


def _made_eager(model: nn.Module) -> nn.Module:
    """The same model made anew with eager attention: some choose the classes of their modules as they are made."""
    config: Any = copy.deepcopy(model.config)
    config._attn_implementation = "eager"
    eager: nn.Module = type(model)(config)
    eager.load_state_dict(model.state_dict())
    like = next(model.parameters())
    return eager.to(like.device, like.dtype).eval()


def _flags(model: nn.Module) -> dict[str, bool]:
    """The keyword that makes modules return weights, if the model takes it."""
    taken = inspect.signature(model.forward).parameters.values()
    takes = any(each.name == "output_attentions" or each.kind is each.VAR_KEYWORD for each in taken)
    return {"output_attentions": True} if takes else {}


def _are_weights(tensor: Tensor) -> bool:
    """Whether a tensor can be attention weights: rows of shares.

    They add up to less than 1 where a sink has a share, and to 0 for padding.
    """
    if tensor.dim() < 3 or not tensor.is_floating_point() or not tensor.any():
        return False
    sums = tensor.float().sum(-1)
    return bool((tensor >= 0).all() and ((sums > 0.1) | (sums == 0)).all() and (sums < 1.01).all())


def _in_order(weights: Tensor, class_name: str) -> Tensor:
    """Weights with the axes batch and head before query and key."""
    return weights.permute(2, 3, 0, 1) if class_name == "XLNetRelativeAttention" else weights


def is_near(captured: Tensor, eager: Tensor) -> bool:
    """Whether captured weights (B, N, Q, K) are those of a module.

    Batch and heads may be one axis in either. Some modules return the mean over heads, repeated for each head or not.
    """
    tolerance = 8e-3 if eager.dtype is torch.bfloat16 else 1e-5
    if captured.shape[-2:] != eager.shape[-2:]:
        return False
    for value in (captured, captured.mean(1), captured.mean(1, keepdim=True).expand_as(captured)):
        if value.numel() == eager.numel() and (value.reshape(eager.shape) - eager.float()).abs().max() <= tolerance:
            return True
    return False


def softmaxes(name: str) -> list[Tensor]:
    """Results of every softmax of rank 3 or more in a run of the model as it is."""
    model, keywords = build(name)
    with _Softmaxes() as mode:
        model(**keywords)
    return mode.results


class _Softmaxes(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        if getattr(func, "__name__", "") == "softmax" and result.dim() >= 3:
            self.results.append(result.clone())
        return result


def is_of_softmax(weights: Tensor, results: Iterable[Tensor]) -> bool:
    """Whether weights are, bit for bit, the result of a softmax, or the same keys of each of its rows."""
    rows = weights.flatten(0, -2)  # (B * N * Q, K)
    width = rows.shape[1]
    for result in results:
        whole = result.flatten(0, -2)
        starts = range(whole.shape[1] - width + 1) if len(whole) == len(rows) else ()
        if any(torch.equal(whole[:, start : start + width], rows) for start in starts):
            return True
    return False
