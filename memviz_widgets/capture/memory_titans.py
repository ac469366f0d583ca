"""The neural memory of Titans (Behrouz et al. 2024), as ``titans-pytorch`` builds it: the weights of an MLP.

In: calls of its class ``NeuralMemory``. Out: the norm of each weight of the memory after each chunk, the norm of what
each chunk changed, and the surprises where the call returned them. Weights are no slots: nothing is drawn as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from .memory import MemoryTensor

_DIMS = ("batch", "time", "head")


class TitansAdapter:
    """Knows ``NeuralMemory``, by name and attributes."""

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return any(base.__name__ == "NeuralMemory" for base in kind.__mro__)

    def match(self, module: nn.Module) -> bool:
        """Whether it is called NeuralMemory and has a memory model, heads and chunks."""
        named = self.may_match(type(module))
        heads = getattr(module, "heads", None)
        return (
            named and isinstance(heads, int) and hasattr(module, "memory_model") and hasattr(module, "store_chunk_size")
        )

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """Norms ("norm", "update") and "surprise", "step size", each (batch, time, head).

        Raises:
            ValueError: when the call returned no state with updates.
        """
        parts = result if isinstance(result, tuple) else ()
        updates = next((each.updates for each in parts if hasattr(each, "updates") and hasattr(each, "weights")), None)
        if updates is None:
            raise ValueError(f"NeuralMemory returned {type(result).__name__} without a state that has updates.")
        heads, chunk = int(module.heads), module.store_chunk_size  # type: ignore[arg-type]
        for name, value in updates.items():
            yield from _norms(str(name), value, heads, f"one step per chunk of {chunk}")
        if len(parts) == 3:  # the call was made with return_surprises=True
            for kind, value in zip(("surprise", "step size"), parts[2], strict=False):
                if isinstance(value, Tensor):
                    yield MemoryTensor(kind, value.transpose(1, 2), _DIMS)  # (B, N, T) -> (B, T, N)


def _norms(name: str, weights: Tensor, heads: int, note: str) -> Iterable[MemoryTensor]:
    """Norms of a weight (B * N, 1 + chunks, ...): before the first chunk and after each; and of its changes."""
    yield MemoryTensor("norm", _by_head(weights, heads), _DIMS, name, note=f"{note}; the first is before the call")
    if weights.shape[1] > 1:
        changes = weights[:, 1:] - weights[:, :-1]
        yield MemoryTensor("update", _by_head(changes, heads), _DIMS, name, note=note)


def _by_head(weights: Tensor, heads: int) -> Tensor:
    """(B * N, T, ...) -> norms (B, T, N)."""
    norms: Tensor = weights.flatten(2).norm(dim=-1).unflatten(0, (-1, heads))
    return norms.transpose(1, 2)
