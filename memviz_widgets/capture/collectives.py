"""Forwards that one rank runs by itself must ask no other: whoever is asked alone waits for ever.

In: a block that runs a model. Out: the same block, in which a collective is refused instead of begun.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_NAMESPACES = frozenset(("c10d", "_c10d_functional", "c10d_functional", "_c10d_functional_autograd", "_dtensor"))
"""Where torch.distributed keeps its operators, also those that it calls from C++."""


class CollectiveError(BaseException):
    """The model asked other ranks. Not an Exception, which a model may catch. Never leaves the package."""


class _Refusing(TorchDispatchMode):
    """Raises at the first collective; waiting for one that was begun before is none."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass everything on but collectives."""
        if func.namespace in _NAMESPACES and "wait_tensor" not in func.__name__:
            raise CollectiveError(
                f"the forward asks the other ranks ({func.__name__.split('.')[0].strip('_')}), which take no part in it"
            )
        return func(*args, **(kwargs or {}))


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
