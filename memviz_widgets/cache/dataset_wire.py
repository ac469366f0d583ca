"""Messages between ranks that record a data set together, all of which send at the same time.

In: numbers, texts or tensors of this rank. Out: those of all ranks; or LostRankError when one is gone. Between forwards
only: a forward has exchanges of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .gathering_parts import backend_device, backend_text
from .launch import process_group

_KEY = "memviz_widgets/stopped"
_BACKENDS = ("gloo", "nccl", "ucc", "processgroup", "connection closed", "connection reset", "timed out", "socket")
"""What errors of a process group have in their text; those of gloo have no class of their own."""


class LostRankError(Exception):
    """Another rank is gone, or did not come in time. Never leaves the package."""


class Wire:
    """The ranks of a process group.

    Args:
        ranks: Of the group, in the order in which answers are wanted; of the default one in their own order.
        group: torch's ProcessGroup; None for the default one.
    """

    def __init__(self, ranks: Sequence[int], group: Any = None) -> None:
        self.ranks = tuple(ranks)
        self._group = group
        self._distributed = process_group()
        order = list(self.ranks) if group is None else self._distributed.get_process_group_ranks(group)
        self._places = [order.index(rank) for rank in self.ranks]
        backends = str(self._distributed.get_backend_config(group))
        self._takes_cuda = "nccl" in backends
        self._device = backend_device(backends)

    def numbers(self, row: Sequence[int]) -> list[list[int]]:
        """A row of whole numbers, of the same length on all ranks, of each."""
        with lost_ranks():
            mine = torch.tensor(row, dtype=torch.int64, device=self._device)
            found = [torch.empty_like(mine) for _ in self.ranks]
            self._distributed.all_gather(found, mine, group=self._group)
            rows: list[list[int]] = torch.stack(found).tolist()
        return [rows[place] for place in self._places]

    def said(self, mine: Any) -> list[Any]:
        """What each rank says: anything that JSON can hold."""
        data = json.dumps(mine).encode()
        sizes = [row[0] for row in self.numbers([len(data)])]
        with lost_ranks():
            padded = bytearray(data.ljust(max(sizes), b" "))
            sent = torch.frombuffer(padded, dtype=torch.uint8).to(self._device)
            found = [torch.empty_like(sent) for _ in self.ranks]
            self._distributed.all_gather(found, sent, group=self._group)
            texts = [bytes(found[place].cpu().numpy()) for place in self._places]
        return [json.loads(text) for text in texts]

    def to_first(self, value: Tensor, sizes: Sequence[int]) -> list[Tensor] | None:
        """The bytes of a tensor of each rank, at the first one; None elsewhere.

        Args:
            value: Contiguous, of this rank.
            sizes: Bytes of each rank's.
        """
        with lost_ranks():
            device = value.device if value.device.type == "cuda" and self._takes_cuda else self._device
            sent = torch.zeros(max(sizes), dtype=torch.uint8, device=device)
            data = value.view(-1).view(torch.uint8)
            sent[: len(data)] = data
            first = self._distributed.get_rank() == self.ranks[0]
            found = [torch.empty_like(sent) for _ in self.ranks] if first else None
            self._distributed.gather(sent, found, dst=self.ranks[0], group=self._group)
        if found is None:
            return None
        return [found[place][:size] for place, size in zip(self._places, sizes, strict=True)]


class Notice:
    """Why a rank stopped in the middle of a forward, where the others cannot be told: they wait in that forward.

    It lies in the store by which the ranks found each other, and they read it when the process group fails them.

    Args:
        token: Tells this recording from others; the same on all ranks.
    """

    def __init__(self, token: str) -> None:
        self._key = f"{_KEY}/{token}"

    def put(self, text: str) -> None:
        """Leave it, if no other rank did before."""
        try:
            _store().compare_set(self._key, "", text)
        except (RuntimeError, ValueError):  # whoever kept the store is gone
            return

    def get(self) -> str:
        """The text; "" when there is none, or nobody keeps it any more."""
        try:
            store = _store()
            return str(store.get(self._key).decode()) if store.check([self._key]) else ""
        except (RuntimeError, ValueError):
            return ""


@contextmanager
def lost_ranks() -> Iterator[None]:
    """A block that asks other ranks.

    Raises:
        LostRankError: when one does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(backend_text(error)) from error


def lost_rank(error: BaseException) -> str:
    """What the process group said, of an error that it raised in a forward; "" of another one."""
    cause: BaseException | None = error
    while cause is not None:
        kinds = {kind.__name__ for kind in type(cause).__mro__}
        text = str(cause).lower()
        if "DistError" in kinds or (type(cause) is RuntimeError and any(each in text for each in _BACKENDS)):
            return backend_text(cause) or type(cause).__name__
        cause = cause.__cause__
    return ""


def _store() -> Any:
    from torch.distributed import distributed_c10d  # noqa: PLC0415  # only a process group needs it

    return distributed_c10d._get_default_store()
