"""AttentionTaps on a model with hooks registered by hand, as the recorder registers them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from memviz_widgets.capture.attention import QueryKey
from memviz_widgets.capture.attention_taps import AttentionTaps


class Seen(NamedTuple):
    """An attention that was found: in which module, its weights, its note."""

    path: str
    weights: Tensor
    note: str


class Tapped:
    """A model under taps, and what they found."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: list[Seen] = []
        self.taps = AttentionTaps(self._found, lambda: bool(self._open))
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._open: list[nn.Module] = []

    def _found(self, value: QueryKey | Tensor, note: str) -> None:
        weights = value.load() if isinstance(value, QueryKey) else value.detach().clone()
        self.seen.append(Seen(self._paths[id(self._open[-1])], weights, note))

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with torch._C.DisableTorchFunction():
            if not self._open:
                self.taps.enter()
            self._open.append(module)
            self.taps.before(module, args, kwargs)

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        with torch._C.DisableTorchFunction():
            self.taps.after(module)
            self._open.pop()
            if not self._open:
                self.taps.leave()

    @contextmanager
    def attached(self) -> Iterator[Tapped]:
        """Hooks on while the block runs."""
        handles = []
        for module in self.model.modules():
            handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            handles.append(module.register_forward_hook(self._after, with_kwargs=True, always_call=True))
        try:
            with self.taps.patches():
                yield self
        finally:
            for handle in handles:
                handle.remove()


class Calls(nn.Module):
    """A model that is one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def tap(model: Any, *args: Any, **kwargs: Any) -> list[Seen]:
    """What one call of a model (or function) shows. Fails when the taps change its result or have a remark."""
    model = model if isinstance(model, nn.Module) else Calls(model)
    state = torch.get_rng_state()
    plain = _hooked(model, *args, **kwargs)
    torch.set_rng_state(state)
    tapped = Tapped(model)
    with tapped.attached():
        result = model(*args, **kwargs)
    assert all(torch.equal(one, other) for one, other in zip(_tensors(plain), _tensors(result), strict=True))
    assert tapped.taps.remarks == []
    assert torch._C._len_torch_function_stack() == 0
    return tapped.seen


def _hooked(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """A call with hooks that do nothing: hooks alone make torch leave a fast path, which changes the last digits."""
    handles = [module.register_forward_hook(lambda *_: None) for module in model.modules()]
    try:
        return model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return list(value.unbind()) if value.is_nested else [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in items for tensor in _tensors(item)]
