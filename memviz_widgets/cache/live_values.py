"""LiveValues: which value was taken from which live tensor, while a recording runs.

In: live tensors, and the values taken from them. Out: the value of a tensor that was met before and not written to.
"""

from __future__ import annotations

from torch import Tensor

from ..capture import (
    TensorMap,
    checksum,
    code_later,
    on_host,
    plain_mark,
    plain_mode,
    read_samples,
    same_bits,
    same_bits_later,
    version_of,
)
from .held import Value


class LiveValues:
    """Tensor -> the value taken from it, as long as the tensor lives."""

    def __init__(self) -> None:
        self._alive: TensorMap[tuple[int | None, Value]] = TensorMap()
        """The version that a live tensor had when a value was taken from it, and the value."""

    def put(self, live: Tensor, value: Value) -> None:
        """This value was taken from this tensor now."""
        self._alive.put(live, (version_of(live), value))

    def seen(self, live: Tensor) -> bool:
        """Whether a value was taken from this very tensor, and its version counter tells of no write since."""
        version, value = self._alive.get(live) or (None, None)
        return value is not None and version is not None and version == version_of(live)

    def known(self, live: Tensor) -> tuple[Value | None, Tensor | None]:
        """The value already taken from this very tensor, if nothing was written to it since; and whether that is right.

        The version counter misses writes through ``.data``, numpy and foreign kernels, so sampled numbers are compared.
        On an accelerator the answer of that comparison is there later, as a bool on its device; else it is None.
        """
        version, value = self._alive.get(live) or (None, None)
        if value is None or version != version_of(live):
            return None, None
        if not value.dense:
            return value, None
        if not on_host(live):
            right = _unchanged_later(live, version, value)
            return (None, None) if right is None else (value, right)
        return (value if _unchanged(live, version, value) else None), None

    def clear(self) -> None:
        """Forget all."""
        self._alive.clear()


def mark_of(tensor: Tensor | None) -> bytes | Tensor | None:
    """Sampled elements that tell a value from another one; None where there are none."""
    if tensor is None:
        return None
    try:
        return plain_mark(tensor)
    except (RuntimeError, NotImplementedError, TypeError):  # a dtype that cannot be sampled
        return None


def mark_bytes(tensor: Tensor) -> bytes | None:
    """What a mark of this tensor is once it was read."""
    mark = mark_of(tensor)
    return read_samples([mark])[0] if isinstance(mark, Tensor) else mark


def code_of(live: Tensor) -> Tensor | None:
    """A number of all elements, on the device; None where there is none."""
    try:
        return code_later(live)
    except (RuntimeError, NotImplementedError, TypeError):
        return None


def _unchanged(live: Tensor, version: int | None, value: Value) -> bool:
    """Whether a tensor of the CPU still holds a value."""
    if version is None:  # an inference tensor: only a full look can tell
        if value.tensor is not None:
            return same_bits(live, value.tensor)
        return value.checksum is not None and checksum(live) == value.checksum
    if value.mark is None:
        value.mark = mark_of(value.tensor)
    return mark_of(live) == value.mark


def _unchanged_later(live: Tensor, version: int | None, value: Value) -> Tensor | None:
    """Whether a tensor on an accelerator still holds a value, as a bool there; None where that cannot be asked."""
    if version is None:  # an inference tensor: only a full look can tell
        if value.tensor is not None:
            return same_bits_later(live, value.tensor)
        return _equal(None if value.code is None else code_of(live), value.code)
    if value.mark is None:
        value.mark = mark_of(value.tensor)
    return _equal(mark_of(live), value.mark)


def _equal(one: bytes | Tensor | None, other: bytes | Tensor | None) -> Tensor | None:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return None
    with plain_mode():
        return (one == other).all()
