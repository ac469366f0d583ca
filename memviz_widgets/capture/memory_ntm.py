"""The memory of a neural Turing machine (Graves et al. 2014) whose heads hold one memory module.

In: calls of read and write heads, each with an attribute ``memory``. Out: what the memory holds after a step's writes,
and per head its weights, erase and add vectors, read vectors. Many repositories have this structure: heads with a layer
``fc_read`` or ``fc_write`` (or ``fc``) that gives all parts in a row, and the lengths of the parts in a list.
Law: ``memory_t = memory_{t-1} * (1 - w e^T) + w a^T`` for each write head in turn.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .memory import MemoryTensor
from .memory_dnc import AFTER_WRITE

BEFORE_WRITE = "reads before the write"
"""What the note of read weights says when a read sees the memory as the step before left it."""

_LAYERS = {"read": ("fc_read", "fc"), "write": ("fc_write", "fc")}
_CONTENT = ("memory", "_memory", "mem")
_ADDS: tuple[Callable[[Tensor], Tensor], ...] = (torch.Tensor.clone, torch.tanh, torch.sigmoid, torch.relu)
"""What repositories apply to the add vector, most frequent first. The erase vector is a sigmoid in all."""
_TOLERANCE = 1e-5
_UNCHECKED = "as the head's layer gives it: this memory keeps nothing to check it against"
_UNKNOWN = "what was written could not be recovered from the head's layer"


class _Head(NamedTuple):
    """A head as its attributes tell it.

    Attributes:
        does: "read" or "write".
        memory: The module that it addresses.
        layer: The linear layer that gives its parts.
        lengths: Of the parts, in order.
    """

    does: str
    memory: nn.Module
    layer: nn.Linear
    lengths: tuple[int, ...]


@dataclass(slots=True)
class _Heads:
    """The heads of one memory in the order of the model's modules, and how often each was called in this recording."""

    reads: weakref.WeakKeyDictionary[nn.Module, int] = field(default_factory=weakref.WeakKeyDictionary)
    writes: weakref.WeakKeyDictionary[nn.Module, int] = field(default_factory=weakref.WeakKeyDictionary)

    def of(self, does: str) -> weakref.WeakKeyDictionary[nn.Module, int]:
        """Those that read, or those that write."""
        return self.reads if does == "read" else self.writes

    def enter(self, module: nn.Module, does: str) -> None:
        """Another head. One that is here already begins another recording: all counts start again."""
        if module in self.reads or module in self.writes:
            self.reads.clear()
            self.writes.clear()
        self.of(does)[module] = 0

    def item(self, module: nn.Module, does: str) -> str:
        """Its name: "head0" and so on; "" when it is the only one that does this."""
        heads = list(self.of(does))
        return f"head{heads.index(module)}" if len(heads) > 1 and module in heads else ""

    def phase(self, reader: nn.Module) -> str:
        """Whether the read that just ended saw the writes of its step; "" when no write head is known."""
        if not self.writes:
            return ""
        done = sum(count > self.reads.get(reader, 0) for count in self.writes.values())
        if done in (0, len(self.writes)):
            return AFTER_WRITE if done else BEFORE_WRITE
        return f"reads after {done} of the {len(self.writes)} writes of its step"


class NtmAdapter:
    """Knows heads that hold their memory, by attributes. Keeps only how often each head was called."""

    needs = "memory"

    def __init__(self) -> None:
        self._memories: weakref.WeakKeyDictionary[nn.Module, _Heads] = weakref.WeakKeyDictionary()

    def match(self, module: nn.Module) -> bool:
        """Whether it is a head. It takes its place among the heads of its memory, in the order of the questions."""
        head = _head(module)
        if head is not None:
            self._memories.setdefault(head.memory, _Heads()).enter(module, head.does)
        return head is not None

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """Weights (batch, head, slot) and vectors (batch, head, width) of one head; the content after the last write.

        Raises:
            ValueError: when the memory holds no content, or the call returned no weights over its slots.
        """
        head = _head(module)
        heads = None if head is None else self._memories.get(head.memory)
        if head is None or heads is None:
            return
        content = _content(head.memory)
        slots, item = content.shape[1], heads.item(module, head.does)
        if head.does == "read":
            yield from _read(result, content, heads.phase(module), item, head.memory)
        else:
            weights = _tensor_of(result, slots, "weights over the slots")
            yield from _written(head, weights, (*args, *kwargs.values()), content, item)
        heads.of(head.does)[module] = heads.of(head.does).get(module, 0) + 1
        if head.does == "write" and len(set(heads.writes.values())) == 1:  # all heads have written in this step
            yield MemoryTensor("memory", content, ("batch", "slot", "width"), owner=head.memory)


def _head(module: nn.Module) -> _Head | None:
    """What a head's attributes say; None when it is no head."""
    memory = getattr(module, "memory", None)
    if not isinstance(memory, nn.Module) or not _is_bank(memory):
        return None
    for does, names in _LAYERS.items():
        layer = next((each for name in names if isinstance(each := getattr(module, name, None), nn.Linear)), None)
        if layer is None:
            continue
        for name, value in vars(module).items():
            if does in name and "len" in name and isinstance(value, (list, tuple)) and value:
                lengths = tuple(int(each) for each in value)
                if sum(lengths) == layer.out_features:
                    return _Head(does, memory, layer, lengths)
    return None


def _is_bank(memory: nn.Module) -> bool:
    """Whether it can be read and written, and has a place for slots."""
    reads = callable(getattr(memory, "read", getattr(memory, "reading", None)))
    writes = callable(getattr(memory, "write", getattr(memory, "writing", None)))
    placed = any(hasattr(memory, name) for name in (*_CONTENT, "mem_bias", "N", "M"))
    return reads and writes and placed


def _content(memory: nn.Module) -> Tensor:
    """What it holds, (B, S, D); a batch of one where the memory has no batch.

    Raises:
        ValueError: when it holds nothing yet.
    """
    for name in _CONTENT:
        value = getattr(memory, name, None)
        if isinstance(value, Tensor) and value.dim() in (2, 3):
            return value if value.dim() == 3 else value[None]
    raise ValueError(f"{type(memory).__name__} holds no content (B, slots, width) under {', '.join(_CONTENT)}.")


def _tensors(result: Any) -> list[Tensor]:
    parts = result if isinstance(result, (tuple, list)) else (result,)
    return [torch.atleast_2d(part) for part in parts if isinstance(part, Tensor) and part.dim() in (1, 2)]


def _tensor_of(result: Any, width: int, what: str) -> Tensor:
    """The last tensor (B, width) among what a head returned: vectors come before weights.

    Raises:
        ValueError: when there is none.
    """
    found = [part for part in _tensors(result) if part.shape[-1] == width]
    if not found:
        raise ValueError(f"the head returned {type(result).__name__} without {what} (B, {width}).")
    return found[-1]


def _read(result: Any, content: Tensor, phase: str, item: str, memory: nn.Module) -> Iterator[MemoryTensor]:
    weights = _tensor_of(result, content.shape[1], "weights over the slots")
    yield MemoryTensor("read_weights", weights[:, None], ("batch", "head", "slot"), item, note=phase, owner=memory)
    vectors = [part for part in _tensors(result) if part is not weights and part.shape[-1] == content.shape[2]]
    if vectors:
        yield MemoryTensor("read", vectors[0][:, None], ("batch", "head", "width"), item, owner=memory)


def _written(
    head: _Head, weights: Tensor, inputs: tuple[Any, ...], content: Tensor, item: str
) -> Iterator[MemoryTensor]:
    """Weights of a write head, and the vectors that they wrote, where the memory does not contradict them."""
    erase, add, note = _vectors(head, weights, inputs, content)
    missing = "" if erase is not None else _UNKNOWN
    yield MemoryTensor(
        "write_weights", weights[:, None], ("batch", "head", "slot"), item, note=missing, owner=head.memory
    )
    for kind, value, said in (("erase", erase, ""), ("add", add, note)):
        if value is not None:
            yield MemoryTensor(kind, value[:, None], ("batch", "head", "width"), item, note=said, owner=head.memory)


def _vectors(
    head: _Head, weights: Tensor, inputs: tuple[Any, ...], content: Tensor
) -> tuple[Tensor | None, Tensor | None, str]:
    """Erase and add vector (B, D) and a note; None where the layer gives none, or they do not make the content."""
    width = content.shape[2]
    given = next((x for x in inputs if isinstance(x, Tensor) and x.shape[-1:] == (head.layer.in_features,)), None)
    if head.lengths[-2:] != (width, width) or given is None:
        return None, None, ""
    row = linear(torch.atleast_2d(given), head.layer.weight, head.layer.bias)
    erase, raw = row[:, -2 * width : -width].sigmoid(), row[:, -width:]
    before = _before(head.memory, content)
    if before is None:
        return erase, raw, _UNCHECKED
    kept = before * (1 - weights[:, :, None] * erase[:, None])  # (B, S, D)
    for act in _ADDS:
        add = act(raw)
        error = (kept + weights[:, :, None] * add[:, None] - content).abs().max()
        if float(error) <= _TOLERANCE * max(1.0, float(content.abs().max())):
            return erase, add, ""
    return None, None, ""


def _before(memory: nn.Module, content: Tensor) -> Tensor | None:
    """The content before the write, where the memory keeps it (``prev_mem``)."""
    for name, value in vars(memory).items():
        if "prev" in name and isinstance(value, Tensor) and value.shape[-2:] == content.shape[-2:]:
            return value
    return None
