"""Forwards must ask no rank that takes no part: whoever is asked alone waits for ever.

In: a block that runs a model. Out: the same block, in which a collective is refused instead of begun; all of them, or
those that neither fully_shard nor DTensor begins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_NAMESPACES = frozenset(("c10d", "_c10d_functional", "c10d_functional", "_c10d_functional_autograd", "_dtensor"))
"""Where torch.distributed keeps its operators, also those that it calls from C++."""
_OF_WEIGHTS = ("torch.distributed.fsdp.", "torch.distributed.tensor.")
"""Code that asks other ranks for weights, or for values that lie as the weights do."""
_NOT_OF_WEIGHTS = "torch.distributed.tensor.experimental"
"""Context parallelism and the like: which ranks have the same samples does not follow from the weights."""


_BETWEEN = frozenset(("torch", __name__.partition(".")[0]))
"""Packages whose code calls on behalf of others: torch, and the modes with which this one watches."""


class CollectiveError(BaseException):
    """The model asked other ranks. Not an Exception, which a model may catch. Never leaves the package."""


class _Refusing(TorchDispatchMode):
    """Raises at the first collective; waiting for one that was begun before is none."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass everything on but collectives."""
        if func.namespace in _NAMESPACES and "wait_tensor" not in func.__name__:
            self.meet(func.__name__.split(".")[0].strip("_"))
        return func(*args, **(kwargs or {}))

    def meet(self, name: str) -> None:
        """A collective is about to begin."""
        raise CollectiveError(f"the forward asks the other ranks ({name}), which take no part in it")


class Asked(_Refusing):
    """Raises at the first collective that is not about weights.

    Attributes:
        count: Collectives that were begun.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def meet(self, name: str) -> None:
        """Look at who begins it."""
        if not _is_of_weights():
            raise CollectiveError(
                f"the forward asks the other ranks by itself ({name}), and nothing says which of them have the same "
                "samples"
            )
        self.count += 1


@contextmanager
def without_collectives() -> Iterator[None]:
    """Refuse collectives while the block runs; nothing in a process that is alone.

    Raises:
        CollectiveError: from within the block.
    """
    distributed = sys.modules.get("torch.distributed")
    alone = distributed is None or not distributed.is_available() or not distributed.is_initialized()
    if distributed is None or alone or distributed.get_world_size() == 1:
        yield
        return
    with _Refusing():  # type: ignore[no-untyped-call]
        yield


def _is_of_weights() -> bool:
    """Whether code of fully_shard or DTensor stands between the collective and the module or function that runs."""
    frame, found = sys._getframe(2), False
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in _BETWEEN or frame.f_code.co_name == "_call_impl":
            break
        if name.startswith(_NOT_OF_WEIGHTS):
            return False
        found = found or name.startswith(_OF_WEIGHTS)
        frame = frame.f_back  # type: ignore[assignment]  # None after the outermost one
    return found
