"""KV caches: the keys and values that attention keeps of earlier tokens, and which of them a call added.

In: attention modules that are given a cache of transformers 5, known by its attributes (a list of ``layers`` with
``keys`` and ``values``), or that return their keys and values as tuples. Out: "key" and "value" of the new entries,
(batch, head, time, channel), with their absolute position. Caches of cross-attention are constant: no memories.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from .memory import MemoryTensor
from .memory_kv_entries import Entries, Known
from .memory_kv_tuples import ReturnedCaches

PAST_NAMES = ("past_key_values", "past_key_value", "layer_past", "past_kv", "past", "kv_cache", "cache")
"""Parameters of a forward by which attention gets what it kept of earlier tokens."""
CROSS_NAMES = ("key_value_states", "encoder_hidden_states")
"""Arguments that attention is given when its keys and values are of another sequence."""


class CacheAdapter:
    """Knows KV caches. Remembers what it has handed over, so every recording has one of its own."""

    def __init__(self) -> None:
        self._known = Known()
        self._returned = ReturnedCaches(self._known)
        self._readers: Any = WeakIdKeyDictionary()  # layer of a cache -> (its module, its length then)

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by what its forward takes."""
        return any(name in PAST_NAMES for name in _parameters(kind))

    def match(self, module: nn.Module) -> bool:
        """Whether its forward takes a cache."""
        return self.may_match(type(module))

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """Keys and values that the call added to its cache."""
        layers = layers_of((*kwargs.values(), *args))
        if layers is None:
            names = _parameters(type(module))
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            past = next((given[name] for name in PAST_NAMES if given.get(name) is not None), None)
            yield from self._returned.read(module, past, result, steps_of((*args, *kwargs.values())))
        elif not _is_cross(module, kwargs):
            yield from self._read_layer(module, layers, steps_of((*args, *kwargs.values())))

    def _read_layer(self, module: nn.Module, layers: list[Any], queries: int | None) -> Iterator[MemoryTensor]:
        """The module's own layer of a cache. Blocks around it, and cross-attention, find it as it was left: not new."""
        index = getattr(module, "layer_idx", None)
        layer = layers[index] if isinstance(index, int) and 0 <= index < len(layers) else None
        length = _length(layer)
        if layer is None or length == 0:
            return
        reader = self._readers.get(layer)
        if reader is not None and reader[0]() is not module and reader[1] == length:
            return
        self._readers[layer] = (ref(module), length)
        reason = unreadable(layer, length)
        if reason:
            yield from (MemoryTensor(kind, None, (), note=reason) for kind in ("key", "value"))
            return
        yield from self._known.parts(module, "", entries_of(layer, length), queries)


def layers_of(values: Iterable[Any]) -> list[Any] | None:
    """The list of layers of the first cache among the arguments of a call; of two caches that of self-attention."""
    for value in values:
        layers = getattr(getattr(value, "self_attention_cache", value), "layers", None)
        if isinstance(layers, list):
            return layers
    return None


def steps_of(values: Iterable[Any]) -> int | None:
    """Timesteps of the first sequence (B, T, C) among the arguments of a call; else of the first ids (B, T)."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    for rank in (3, 2):
        for tensor in tensors:
            if tensor.dim() == rank:
                return int(tensor.shape[1])
    return None


def entries_of(layer: Any, length: int) -> Entries:
    """What a layer of a cache holds: its last entries, or the first ones of a buffer with room for more."""
    room = layer.keys.shape[2]
    held = min(room, length)
    static = hasattr(layer, "max_cache_len")
    notes = []
    if getattr(layer, "is_sliding", False):
        window = layer.max_cache_len if static else layer.sliding_window
        notes.append(f"sliding window of {window}: older entries are evicted")
    elif static:
        notes.append(f"static cache of {room} entries")
    keys, values = (each if held == room else each[:, :, :held] for each in (layer.keys, layer.values))
    return Entries(keys, values, length - held, "; ".join(notes))


def unreadable(layer: Any, length: int) -> str:
    """Why the keys and values of a layer cannot be read; "" when they can."""
    if hasattr(layer, "_quantized_keys"):
        return "the cache keeps its entries quantized, in a form of its own: they are not read"
    keys, values = layer.keys, layer.values
    if keys.dim() != 4 or values.dim() != 4:
        return f"the cache keeps keys of {keys.dim()} axes; expected (batch, head, time, channel)"
    if keys.shape[2] < length and not getattr(layer, "is_sliding", False):
        return f"the cache holds {keys.shape[2]} of {length} entries, and nothing says which"
    return ""


def _length(layer: Any) -> int:
    """Entries that a layer has seen so far, also evicted ones; 0 when it holds no keys."""
    if not isinstance(getattr(layer, "keys", None), Tensor) or not isinstance(getattr(layer, "values", None), Tensor):
        return 0
    count = getattr(layer, "get_seq_length", None)
    return int(count()) if callable(count) else int(layer.keys.shape[-2])


def _is_cross(module: nn.Module, kwargs: Mapping[str, Any]) -> bool:
    return getattr(module, "is_cross_attention", False) is True or any(
        kwargs.get(name) is not None for name in CROSS_NAMES
    )


_PARAMETERS: WeakKeyDictionary[type[nn.Module], list[str]] = WeakKeyDictionary()


def _parameters(kind: type[nn.Module]) -> list[str]:
    """Names of the parameters of the forward of a class of modules, in order."""
    names = _PARAMETERS.get(kind)
    if names is None:
        try:
            names = list(inspect.signature(kind.forward).parameters)[1:]
        except (ValueError, TypeError):  # a forward that is not written in Python
            names = []
        _PARAMETERS[kind] = names
    return names
