"""States of linear recurrences at every step of a call, of which a module returns at most the last one.

In: one call of a state-space, linear-attention or xLSTM layer: its inputs, result, weights and cache. Out: parts of its
memory that are recovered when looked at: ``state_t = keep_t * state_{t-1} + write_t``, and the gates. What is shown is
computed from the layer's inputs and weights, also where a fused kernel ran, which shows no state; the residual says how
far it is from what the layer returned and from the state that its cache held afterwards.

Time: the projections of the call again, and T elementwise steps. Memory: what is asked for, and BLOCK steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from .memory import MemoryTensor, RecoveredValue
from .recurrent_cells import Key, Recovered, difference, rounding_note, undisturbed, working_dtype

CACHE_NAMES = ("cache", "cache_params", "past_key_values", "past_key_value")
"""Arguments by which layers of transformers are given a cache; "cache" from 5.24 on."""
BLOCK = 64
"""Steps whose states are computed at a time."""
CHECKPOINT = 1024
"""Steps after which a state is kept, so that a window does not begin at step 0. A multiple of BLOCK."""

Content = dict[str, Tensor]
"""A state by item, without time: (B, ...)."""
Given = Mapping[str, Tensor]


class Steps:
    """The recurrence of one call, ready to be run. A family of layers makes its own.

    Attributes:
        length: Steps T of the call.
        gates: Values over time that need no state, by (kind, item): (B, T, ...).
        initial: The states before the first step.
        last: Those that the layer's cache held after the call, {} where there was none.
        returned: What the layer returned, in the working dtype.
    """

    length: int
    gates: dict[Key, Tensor]
    initial: Content
    last: Content
    returned: Tensor

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """State, keep and write of steps ``start .. stop - 1``, (B, stop - start, ...), from the state before them."""
        raise NotImplementedError

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """What the layer read: (B, stop - start, ...), from the state before the steps and what ``advance`` found."""
        raise NotImplementedError

    def result(self, reads: Tensor) -> Tensor:
        """What the layer returned, from all that it read: as ``returned``."""
        raise NotImplementedError


class StateRecovery:
    """A Recovery of a layer with states. Keeps, of what it computed, the residual and a state each CHECKPOINT steps.

    Args:
        make: Makes the steps from the tensors of the call.
    """

    def __init__(self, make: Callable[[Given], Steps]) -> None:
        self._make = make
        self._residual: float | None = None
        self._checkpoints: dict[int, Content] = {}

    def compute(self, given: Given) -> Recovered:
        """All values, with the residual."""
        with undisturbed(given["result"].device):
            steps = self._make(given)
            values = dict(steps.gates)

            def take(start: int, found: Mapping[Key, Tensor]) -> None:
                for key, part in found.items():
                    if key not in values:
                        values[key] = part.new_empty((part.shape[0], steps.length, *part.shape[2:]))
                    values[key][:, start : start + part.shape[1]] = part

            residual = self._residual = _run(steps, take)
        initial = {("state", item): state for item, state in steps.initial.items()}
        return Recovered(values, initial, (), residual, rounding_note(given["result"].dtype))

    def residual(self, given: Given) -> float:
        """The largest absolute difference to what the layer returned and to the state in its cache."""
        if self._residual is None:
            with undisturbed(given["result"].device):
                self._residual = _run(self._make(given), lambda start, found: None)
        return self._residual

    def window(self, given: Given, key: Key, start: int, stop: int) -> Tensor:
        """Timesteps ``start .. stop - 1`` of one value: (B, stop - start, ...)."""
        with undisturbed(given["result"].device):
            steps = self._make(given)
            if key in steps.gates:
                return steps.gates[key][:, start:stop]
            at, content = 0, steps.initial
            for step, state in self._checkpoints.items():
                if at < step <= start:
                    at, content = step, state
            parts = []
            while at < stop:
                if at and at % CHECKPOINT == 0:
                    self._checkpoints[at] = {item: state.clone() for item, state in content.items()}
                end = min(at + BLOCK, steps.length)
                found, content = _advanced(steps, content, at, end)
                if end > start:
                    parts.append(found[key][:, max(0, start - at) : stop - at].clone())
                at = end
            return torch.cat(parts, 1)


def _run(steps: Steps, take: Callable[[int, Mapping[Key, Tensor]], None]) -> float:
    """Compute all steps and hand them over block by block; the residual."""
    content, reads, gaps = steps.initial, [], [0.0]
    for start in range(0, steps.length, BLOCK):
        stop = min(start + BLOCK, steps.length)
        before = content
        found, content = _advanced(steps, before, start, stop)
        reads.append(steps.read(before, found, start, stop))
        take(start, found)
    if steps.length == 1:
        content = _last(steps.advance(steps.initial, 0, 1))
    gaps += [difference(content[item], state) for item, state in steps.last.items()]
    return max(difference(steps.result(torch.cat(reads, 1)), steps.returned), *gaps)


def _advanced(steps: Steps, content: Content, start: int, stop: int) -> tuple[dict[Key, Tensor], Content]:
    """What a block holds, and the state after it. Of a call of one step, the state is that of the cache itself."""
    found = steps.advance(content, start, stop)
    if steps.length == 1:
        found.update((("state", item), state[:, None]) for item, state in steps.last.items())
    return found, _last(found)


def _last(found: Mapping[Key, Tensor]) -> Content:
    return {item: states[:, -1] for (kind, item), states in found.items() if kind == "state"}


def scan(keep: Tensor, write: Tensor, content: Tensor) -> Tensor:
    """The states (B, T, ...) after each step, from the one before them (B, ...), with keep and write (B, T, ...)."""
    states = write.new_empty(torch.broadcast_shapes(keep.shape, write.shape))
    for step in range(states.shape[1]):
        content = torch.addcmul(write[:, step], keep[:, step], content, out=states[:, step])
    return states


# -- from a call to the parts of its memory


class Part(NamedTuple):
    """One value that a call has: what MemoryTensor says of it, and its shape (B, T, ...)."""

    kind: str
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    item: str = ""
    note: str = ""


def parts_of(make: Callable[[Given], Steps], given: Given, parts: list[Part], start: int) -> Iterator[MemoryTensor]:
    """The parts of one call, which share a recovery. Where the memory has several states, each is named by its item."""
    dtype = working_dtype(given["result"].dtype)
    recovery, states = StateRecovery(make), {part.item for part in parts if part.kind == "state"}
    for part in parts:
        key = (part.kind, part.item)
        value = RecoveredValue(recovery, key, given, part.sizes, 1, dtype)
        memory = part.item if len(states) > 1 else ""
        yield MemoryTensor(part.kind, value, part.dims, part.item, memory, part.note, None, start)


def refused(error: Exception) -> MemoryTensor:
    """What stands for the states of a call that cannot be recovered."""
    return MemoryTensor("state", None, (), note=f"states not recovered: {error}")


class Before(NamedTuple):
    """What is known of a cache before a call: the steps it has seen, and copies of what it held."""

    steps: int
    tensors: dict[str, Tensor]


class Seen:
    """Remembers what each cache held after the last recorded call, for a hook sees it only when it has changed.

    A copy lives as long as the cache and the recording, and is as large as the states.
    """

    def __init__(self) -> None:
        self._caches: Any = WeakIdKeyDictionary()

    def __len__(self) -> int:
        """Caches that are remembered."""
        return len(self._caches)

    def get(self, cache: object, item: object = None) -> Before | None:
        """What it held after the last call, or None when it was not seen."""
        found: Before | None = self._caches.get(cache, {}).get(item)
        return found

    def put(self, cache: object, before: Before, item: object = None) -> None:
        """Remember what it holds now; ``item`` tells the layers that share a cache apart."""
        self._caches.setdefault(cache, {})[item] = before


def cache_of(call: Mapping[str, Any]) -> Any:
    """The cache that a call was given, or None."""
    return next((call[name] for name in CACHE_NAMES if call.get(name) is not None), None)


def cached_layer(module: nn.Module, call: Mapping[str, Any]) -> Any:
    """The layer of a cache of transformers that holds the states of a module, or None: by its attributes."""
    for name in CACHE_NAMES:
        layers, index = getattr(call.get(name), "layers", None), getattr(module, "layer_idx", None)
        if layers is not None and isinstance(index, int) and index < len(layers):
            layer = layers[index]
            held = [getattr(layer, each, None) for each in ("recurrent_states", "conv_states")]
            if all(isinstance(each, dict) and isinstance(each.get(0), Tensor) for each in held):
                return layer
    return None
