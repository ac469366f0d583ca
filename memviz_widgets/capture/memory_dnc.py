"""The memory of a differentiable neural computer (Graves et al. 2016), as the package ``dnc`` builds it.

In: calls of its class ``Memory``, one per timestep and layer. Out: the state after the write and the read, and what the
controller asked for: erase and write vector, gates, read modes. The package is never imported.
Law: ``memory_t = memory_{t-1} * (1 - w_t e_t^T) + w_t a_t^T`` with write weights w, erase vector e, write vector a.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .memory import MemoryTensor

AFTER_WRITE = "reads after the write"
"""What the note of read weights says when a read sees what its own step wrote."""

_STATE: dict[str, tuple[str, tuple[str, ...], str]] = {
    "memory": ("memory", ("batch", "slot", "width"), ""),
    "read_weights": ("read_weights", ("batch", "head", "slot"), AFTER_WRITE),
    "write_weights": ("write_weights", ("batch", "head", "slot"), ""),
    "usage_vector": ("usage", ("batch", "slot"), "as the allocation of this step saw it, before its write"),
    "link_matrix": ("link", ("batch", "slot", "to"), "how much slot (row) was written right after the column's slot"),
    "precedence": ("precedence", ("batch", "slot"), "how much each slot was the last one written"),
}
"""Name in the package's state -> kind, dims, note."""


class _Asked(NamedTuple):
    """One part of what the controller asks for.

    Attributes:
        layer: The attribute that gives it, where each part has a linear layer of its own.
        kind: "" for a part that is not recorded.
        sizes: Its shape without the batch, in the letters r (read heads), w (width), 1, 3.
        act: What the package applies to it.
        note: What the user must know.
    """

    layer: str
    kind: str
    sizes: str
    act: Callable[[Tensor], Tensor] = torch.sigmoid
    note: str = ""


_INTERFACE = (
    _Asked("read_keys_transform", "", "rw"),
    _Asked("read_strengths_transform", "", "r"),
    _Asked("write_key_transform", "", "1w"),
    _Asked("write_strength_transform", "", "1"),
    _Asked("erase_vector_transform", "erase", "1w"),
    _Asked("write_vector_transform", "add", "1w", torch.tanh, "the write vector"),
    _Asked("free_gates_transform", "gate.free", "r"),
    _Asked("allocation_gate_transform", "gate.allocation", "1"),
    _Asked("write_gate_transform", "gate.write", "1"),
    _Asked("read_modes_transform", "read_modes", "r3", lambda x: x.softmax(-1), "in order: backward, forward, content"),
)
"""In the order in which the fused layer ``interface_weights`` gives them."""
_LAST_DIM = {"w": "width", "3": "mode"}


class DncAdapter:
    """Knows ``dnc.memory.Memory`` and what inherits it, by name and attributes."""

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return any(base.__name__ == "Memory" for base in kind.__mro__)

    def match(self, module: nn.Module) -> bool:
        """Whether it is called Memory and has the package's sizes and layers."""
        named = self.may_match(type(module))
        sized = _size(module, "mem_size", "nr_cells") and _size(module, "cell_size") and _size(module, "read_heads")
        return bool(
            named and sized and any(hasattr(module, name) for name in ("interface_weights", _INTERFACE[0].layer))
        )

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """State, read vectors (batch, head, width), and the parts of the interface.

        Raises:
            ValueError: when the call returned something else than read vectors and a state.
        """
        vectors, state = _result(result)
        for name, (kind, dims, note) in _STATE.items():
            if isinstance(value := state.get(name), Tensor):
                # The package has an axis of one write head where the paper has none.
                value = value[:, 0] if value.dim() == len(dims) + 1 and value.shape[1] == 1 else value
                yield MemoryTensor(kind, value, dims, note=note)
        yield MemoryTensor("read", vectors, ("batch", "head", "width"))
        yield from _asked(module, next(each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)))


def _size(module: nn.Module, *names: str) -> int:
    """The first of these attributes that is a positive int; 0 when none is."""
    values = (getattr(module, name, 0) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), 0)


def _result(result: Any) -> tuple[Tensor, Mapping[str, Any]]:
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping) and "memory" in result[1]:
        return result
    raise ValueError(f"got {type(result).__name__}; expected read vectors and a state with 'memory', as dnc returns.")


def _asked(module: nn.Module, controller: Tensor) -> Iterable[MemoryTensor]:
    """The parts of the interface, computed again from what the controller gave (B, I): nothing keeps them."""
    sizes = {"r": _size(module, "read_heads"), "w": _size(module, "cell_size"), "1": 1, "3": 3}
    fused = getattr(module, "interface_weights", None)
    row = None if fused is None else linear(controller, fused.weight, fused.bias)  # (B, all parts)
    start = 0
    for part in _INTERFACE:
        shape = [sizes[letter] for letter in part.sizes]
        stop = start + shape[0] * (shape[1] if len(shape) == 2 else 1)
        if part.kind:
            raw = _own(module, part.layer, controller) if row is None else row[:, start:stop]
            value = part.act(raw.reshape(len(raw), *shape))
            dims = ("batch", "head", *(_LAST_DIM[letter] for letter in part.sizes[1:]))
            yield MemoryTensor(part.kind, value, dims, note=part.note)
        start = stop


def _own(module: nn.Module, name: str, controller: Tensor) -> Tensor:
    """What a part's own layer makes of (B, I). The layer is not called: its hooks are the user's."""
    layer = getattr(module, name)
    return linear(controller, layer.weight, layer.bias)
