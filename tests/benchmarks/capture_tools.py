"""The ways to capture that the benchmark compares, each as: prepare for a model, run once, count, let go.

In: model and input. Out: a :class:`Tool` per name. The peers (``.setup/bench-packages.txt``) are imported only when a
tool is prepared, by name, so that neither the tests nor mypy need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import Tensor, nn


def no_result(_: Any) -> int:
    return 0


def nothing_to_close(_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to capture.

    Attributes:
        title: What it is, in the words of the table.
        prepare: (model, input, budget) -> a function that captures once; what it does is not timed.
        count: Result -> number of tensors captured.
        close: Lets the result go; not timed.
        most_rounds: A slow tool is run no more often.
    """

    title: str
    prepare: Callable[[nn.Module, Tensor, str], Callable[[], Any]]
    count: Callable[[Any], int] = len
    close: Callable[[Any], None] = nothing_to_close
    most_rounds: int = 1000


def tensors_in(result: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists and mappings."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        yield from tensors_in(tuple(result.values()))
    elif isinstance(result, tuple | list):
        for part in result:
            yield from tensors_in(part)


def prepare_plain(model: nn.Module, x: Tensor, _: str) -> Callable[[], Any]:
    """The forward itself: how far apart two equal things are measured."""
    return lambda: model(x)


def prepare_ours(model: nn.Module, x: Tensor, budget: str) -> Callable[[], Any]:
    from memviz_widgets.cache import ActivationCache

    return lambda: ActivationCache.capture(model, x, budget=budget)


def prepare_hooks(keep: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor, str], Callable[[], Any]]:
    """Forward hooks on every module, as one writes them by hand; ``keep`` makes of an output what is stored."""

    def prepare(model: nn.Module, x: Tensor, _: str) -> Callable[[], Any]:
        def run() -> list[Tensor]:
            kept: list[Tensor] = []

            def hook(_module: nn.Module, _args: Any, output: Any) -> None:
                kept.extend(keep(tensor) for tensor in tensors_in(output))

            handles = [module.register_forward_hook(hook) for module in model.modules()]
            try:
                model(x)
            finally:
                for handle in handles:
                    handle.remove()
            return kept

        return run

    return prepare


def prepare_captum(model: nn.Module, x: Tensor, _: str) -> Callable[[], Any]:
    """LayerActivation of all leaves that run and return a tensor; other results it refuses."""
    leaves: dict[nn.Module, None] = {}

    def note(module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            leaves[module] = None

    handles = [m.register_forward_hook(note) for m in model.modules() if not any(m.children())]
    model(x)
    for handle in handles:
        handle.remove()
    activation = import_module("captum.attr").LayerActivation(model, list(leaves))
    return lambda: activation.attribute(x)


def prepare_nnsight(model: nn.Module, x: Tensor, _: str) -> Callable[[], Any]:
    """``tracer.cache()`` of every module's output."""
    wrapped = import_module("nnsight").NNsight(model)

    def run() -> Any:
        with wrapped.trace(x) as tracer:
            cache = tracer.cache()
        return cache  # noqa: RET504 (nnsight runs the block itself, elsewhere: a return inside it does nothing)

    return run


def count_nnsight(cache: Any) -> int:
    return sum(len(list(tensors_in(cache[path].output))) for path in cache.keys())  # noqa: SIM118 (no mapping)


def prepare_torchlens(model: nn.Module, x: Tensor, _: str) -> Callable[[], Any]:
    """``trace`` with its defaults: every operation, with its result."""
    torchlens = import_module("torchlens")
    return lambda: torchlens.trace(model, x)


def count_torchlens(trace: Any) -> int:
    return sum(1 for layer in trace.layer_list if layer.has_saved_activation)


TOOLS = {
    "plain": Tool("plain forward again", prepare_plain, no_result),
    "ours": Tool("ours", prepare_ours, lambda cache: len(cache.records), lambda cache: cache.close()),
    "keep": Tool("hooks that keep", prepare_hooks(lambda tensor: tensor.detach())),
    "clone": Tool("hooks that clone", prepare_hooks(lambda tensor: tensor.detach().clone())),
    "captum": Tool("captum, leaves", prepare_captum, lambda result: len(list(tensors_in(result)))),
    "nnsight": Tool("nnsight cache", prepare_nnsight, count_nnsight),
    "torchlens": Tool("torchlens trace", prepare_torchlens, count_torchlens, most_rounds=3),
}
