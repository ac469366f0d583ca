"""What a tensor is, what it costs to hold, and a copy of it that nothing changes afterwards.

In: any tensor a model may return, of any layout, subclass or mode. Out: a Sight (shape, dtype, bytes, note); snapshots.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from .pages import PAGES

Known = TypeVar("Known")

_OWN_CLASSES = (Tensor, nn.Parameter)
OWN_PAGES_FROM = 1 << 17
"""Bytes from which a copy gets memory of its own. Smaller ones would waste the rest of their last page."""

NO_VALUES = {
    "functorch": "inside vmap or another functorch transform: the tensor is gone afterwards, shape only",
    "fake": "fake tensor: it has no values, shape only",
    "meta": "on the meta device: it has no values, shape only",
    "wrapper": "a tensor subclass that wraps other tensors: shape only",
}
STANDS_FOR = {
    "nested": "nested tensor, shown padded with zeros to its largest part; statistics are without the padding",
    "sparse": "sparse tensor, shown dense; statistics count the implied zeros",
    "quantized": "quantized tensor, shown dequantized",
    "mkldnn": "mkldnn tensor, shown in the plain layout",
    "dtensor": "DTensor: the shard of this rank only",
}


class Sight(NamedTuple):
    """What can be said of a tensor without reading a value.

    Attributes:
        kind: "dense", or a key of NO_VALUES or STANDS_FOR.
        shape: Shape of the dense tensor that stands for it.
        dtype: torch's name without "torch.".
        device: Device as text.
        nbytes: Bytes of all elements of that dense tensor.
        note: A sentence, "" for a dense tensor.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    nbytes: int
    note: str

    @property
    def readable(self) -> bool:
        """Whether there are values to read."""
        return self.kind not in NO_VALUES


_KINDS: dict[tuple[type, int], str] = {}
"""(class, dispatch keys) -> kind: the same for every tensor of that class with these keys, and asked for each one."""


def tensor_kind(tensor: Tensor) -> str:
    """Say "dense" for a plain tensor, else the key of NO_VALUES or STANDS_FOR that describes it."""
    key = (type(tensor), torch._C._dispatch_keys(tensor).raw_repr())
    kind = _KINDS.get(key)
    if kind is None:
        kind = _KINDS[key] = _kind(tensor)
    return kind


def _kind(tensor: Tensor) -> str:
    functorch = getattr(torch._C, "_functorch", None)
    if functorch is not None and functorch.is_functorch_wrapped_tensor(tensor):
        return "functorch"
    # By name: importing torch.distributed.tensor or the fake tensor machinery costs seconds and may be impossible.
    named = {"FakeTensor": "fake", "FunctionalTensor": "fake", "DTensor": "dtensor"}.get(type(tensor).__name__)
    return named or _layout_kind(tensor)


def _layout_kind(tensor: Tensor) -> str:
    if tensor.device.type == "meta":
        kind = "meta"
    elif tensor.is_nested:
        kind = "nested"
    elif tensor.is_quantized:
        kind = "quantized"
    elif tensor.layout is not torch.strided:
        kind = "mkldnn" if tensor.is_mkldnn else "sparse"
    else:
        # Subclasses that carry other tensors (torchao, AsyncCollectiveTensor) announce it with this method.
        kind = "wrapper" if hasattr(type(tensor), "__tensor_flatten__") else "dense"
    return kind


def look(tensor: Tensor) -> Sight:
    """Describe a tensor without reading its values."""
    kind = tensor_kind(tensor)
    if kind == "dense":
        dtype = tensor.dtype
        return Sight(
            kind, tuple(tensor.shape), _name(dtype), _device_text(tensor.device), tensor.numel() * dtype.itemsize, ""
        )
    shape = padded_shape(tensor) if kind == "nested" else tuple(int(size) for size in _local(tensor, kind).shape)
    dtype = torch.float32 if kind == "quantized" else tensor.dtype
    count = 1
    for size in shape:
        count *= size
    note = NO_VALUES.get(kind) or STANDS_FOR.get(kind, "")
    return Sight(kind, shape, _name(dtype), _device_text(tensor.device), count * dtype.itemsize, note)


@lru_cache(maxsize=64)
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@lru_cache(maxsize=64)
def _device_text(device: torch.device) -> str:
    return str(device)


def _local(tensor: Tensor, kind: str) -> Tensor:
    """The shard of this rank. Never ``full_tensor()``: a collective that one rank starts alone hangs for ever."""
    if kind != "dtensor":
        return tensor
    local: Tensor = tensor.to_local()  # type: ignore[attr-defined]
    # Its collective was begun by the model; waiting for it starts none.
    return local.trigger_wait() if hasattr(local, "trigger_wait") else local


def padded_shape(nested: Tensor) -> tuple[int, ...]:
    """Shape that holds every part of a nested tensor: (number of parts, largest size per axis)."""
    parts = [tuple(part.shape) for part in nested.unbind()]
    return (len(parts), *(max(sizes) for sizes in zip(*parts, strict=True)))


def without_repeats(tensor: Tensor) -> Tensor:
    """The view that leaves out what ``expand`` repeated: each axis of stride 0 becomes size 1."""
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor


def held_nbytes(tensor: Tensor, sight: Sight) -> int:
    """Bytes that :func:`snapshot` of this tensor will occupy; of one on the meta device: if it had values."""
    if sight.kind not in ("dense", "meta") or not sight.nbytes:
        return sight.nbytes
    if 0 not in tensor.stride():
        return sight.nbytes
    return without_repeats(tensor).numel() * tensor.element_size()


def dense_tensor(tensor: Tensor, kind: str) -> Tensor:
    """The plain, detached, strided tensor that stands for ``tensor``; shares its memory when it is one already."""
    tensor = _local(tensor, kind).detach()
    if kind == "nested":
        padded: Tensor = torch.nested.to_padded_tensor(tensor, 0.0)
        return padded
    if kind == "quantized":
        return tensor.dequantize()
    if kind in ("sparse", "mkldnn"):
        return tensor.to_dense()
    # A subclass's own __torch_function__ must not see (or veto) what we do with a copy.
    return tensor if type(tensor) is Tensor else tensor.as_subclass(Tensor)


def snapshot(tensor: Tensor, kind: str = "dense") -> Tensor:
    """A contiguous copy that shares no memory with the model; an expanded tensor stays expanded.

    The copy is a normal tensor also when the model runs under inference_mode, so that a user can compute with it.
    """
    with plain_mode():
        as_it_is = kind == "dense" and type(tensor) in _OWN_CLASSES and not (tensor.is_conj() or tensor.is_neg())
        if as_it_is and 0 not in tensor.stride():
            if tensor.nbytes >= OWN_PAGES_FROM and tensor.device.type == "cpu":
                return PAGES.like(tensor).copy_(tensor.detach())
            return tensor.detach().clone(memory_format=torch.contiguous_format)
        dense = dense_tensor(tensor, kind)
        core = without_repeats(dense).resolve_conj().resolve_neg()
        if core.device.type != "cpu" or core.numel() * core.element_size() < OWN_PAGES_FROM:
            copy = core.clone(memory_format=torch.contiguous_format)
        else:
            copy = PAGES.like(core).copy_(core)
        return copy.expand(dense.shape)


class TensorMap(Generic[Known]):
    """What is known of live tensors, by identity. Keeps none alive.

    A bare ``id`` would match a tensor that took a dead one's address.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Tensor], Known]] = {}

    def get(self, tensor: Tensor) -> Known | None:
        """What is known of this very tensor, or None."""
        entry = self._entries.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def put(self, tensor: Tensor, known: Known) -> None:
        """Remember something of a tensor, in place of what was known."""
        self._entries[id(tensor)] = (weakref.ref(tensor), known)

    def forget_dead(self) -> None:
        """Forget tensors that are gone."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry[0]() is not None}

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()


def on_host(tensor: Tensor) -> bool:
    """Whether reading a number of this tensor waits for nothing: an accelerator first finishes all it was given."""
    return tensor.device.type in ("cpu", "meta")


def wait_for(devices: Iterable[torch.device]) -> None:
    """Until CUDA devices have done all that they were given, on whichever stream: what one computed, another reads."""
    for device in devices:
        if device.type == "cuda":
            # A device that has failed says so to whoever uses it next; here it would hide the error of the model.
            with suppress(RuntimeError):
                torch.cuda.synchronize(device)


def stream_of(device: torch.device) -> int:
    """Which queue of a CUDA device is told what to do now. What is in one does not wait for what is in another."""
    return int(torch.cuda.current_stream(device).cuda_stream) if device.type == "cuda" else 0


def plain_mode() -> AbstractContextManager[object]:
    """No autograd, and normal tensors also under inference_mode; nothing at all where that holds already."""
    if torch.is_inference_mode_enabled():
        return _normal_tensors()
    return torch.no_grad() if torch.is_grad_enabled() else nullcontext()


@contextmanager
def _normal_tensors() -> Iterator[None]:
    with torch.inference_mode(False), torch.no_grad():
        yield


def version_of(tensor: Tensor) -> int | None:
    """The counter that in-place writes bump, or None for a tensor that has none (inference tensors, transforms)."""
    try:
        return int(tensor._version)
    except (RuntimeError, AttributeError):
        return None


def same_bits(live: Tensor, held: Tensor) -> bool:
    """Whether two plain tensors hold the same values; NaN equals NaN. False when that cannot be told."""
    if live.shape != held.shape or live.dtype != held.dtype or live.device != held.device:
        return False
    try:
        return torch.equal(_as_integers(without_repeats(live)), _as_integers(without_repeats(held)))
    except RuntimeError:
        return False


def same_bits_later(live: Tensor, held: Tensor) -> Tensor | None:
    """:func:`same_bits` as a bool on the device of both, which is there later; None when that cannot be told."""
    if live.shape != held.shape or live.dtype != held.dtype or live.device != held.device:
        return None
    try:
        with plain_mode():
            return (_as_integers(without_repeats(live)) == _as_integers(without_repeats(held))).all()
    except RuntimeError:
        return None


def _as_integers(tensor: Tensor) -> Tensor:
    """The same bytes seen as integers, so that comparing takes NaN for NaN."""
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    tensor = tensor.resolve_neg()
    sizes = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.view(sizes[tensor.element_size()])
