"""LiveValues: which value was taken from which live tensor, while a recording runs.

In: live tensors, and the values taken from them. Out: the value of a tensor that was met before and not written to.
"""

from __future__ import annotations

from torch import Tensor

from ..capture import TensorMap, checksum, fingerprint, same_bits, tensor_kind, version_of
from .held import Value


class LiveValues:
    """Tensor -> the value taken from it, as long as the tensor lives."""

    def __init__(self) -> None:
        self._alive: TensorMap[tuple[int | None, Value]] = TensorMap()
        """The version that a live tensor had when a value was taken from it, and the value."""

    def put(self, live: Tensor, value: Value) -> None:
        """This value was taken from this tensor now."""
        self._alive.put(live, (version_of(live), value))

    def known(self, live: Tensor) -> Value | None:
        """The value already taken from this very tensor, if nothing was written to it since.

        The version counter misses writes through ``.data``, numpy and foreign kernels, so sampled numbers are compared.
        """
        version, value = self._alive.get(live) or (None, None)
        if value is None or version != version_of(live):
            return None
        if tensor_kind(live) != "dense":
            return value
        if version is None:  # an inference tensor: only a full look can tell
            if value.tensor is not None:
                return value if same_bits(live, value.tensor) else None
            return value if value.checksum is not None and checksum(live) == value.checksum else None
        if value.mark is None:
            value.mark = mark_of(value.tensor)
        return value if mark_of(live) == value.mark else None

    def clear(self) -> None:
        """Forget all."""
        self._alive.clear()


def mark_of(tensor: Tensor | None) -> bytes | None:
    """Sampled elements that tell a value from another one; None where there are none."""
    if tensor is None:
        return None
    try:
        return fingerprint(tensor)
    except (RuntimeError, NotImplementedError, TypeError):  # a dtype that cannot be sampled
        return None
