"""Which process of which launch this is: its rank, how many there are, and a text that all of one launch share.

In: torch.distributed, if the process has begun a group, and what a launcher left in the environment. Out: a RankPart.
Nothing here waits for another rank: the text is drawn from the store by which the ranks found each other.
"""

from __future__ import annotations

import os
import sys
import uuid
import weakref
import zlib
from datetime import timedelta
from typing import Any

from ..errors import SaveError
from .store_format_ranks import RankPart

_FROM_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID")
_KEY = "memviz_widgets/launch"
_STORE_WAIT = timedelta(seconds=30)


class _Drawn:
    """What the store of a process group gave, asked for once: its host may be gone when the others save.

    Attributes:
        text: "" as long as none was reached.
        group: Whose store gave it. Held weakly: whoever ends the group frees its sockets.
    """

    def __init__(self) -> None:
        self.text = ""
        self.group: weakref.ref[Any] | None = None


_DRAWN = _Drawn()


def process_group() -> Any:
    """The module torch.distributed while a group of more than one process runs, else None."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed if distributed.get_world_size() > 1 else None


def part_of(rank: int | None = None, world_size: int | None = None) -> RankPart | None:
    """Whose part this process has to save; None for a capture of one process.

    Args:
        rank, world_size: Given by a launcher without torch.distributed; None asks the process group.

    Raises:
        SaveError: when one is given without the other, or they do not fit.
    """
    found = rank_of(rank, world_size)
    return None if found is None else RankPart(*found, launch_token())


def rank_of(rank: int | None = None, world_size: int | None = None) -> tuple[int, int] | None:
    """Rank and number of ranks of this process; None when it is alone. As :func:`part_of`, and without its launch."""
    if rank is None and world_size is None:
        group = process_group()
        return None if group is None else (group.get_rank(), group.get_world_size())
    whole = all(isinstance(each, int) and not isinstance(each, bool) for each in (rank, world_size))
    if not whole or rank is None or world_size is None or not 0 <= rank < world_size:
        raise SaveError(
            f"rank={rank!r} and world_size={world_size!r}; expected both, with 0 <= rank < world_size, or neither to "
            "ask the process group."
        )
    return None if world_size == 1 else (rank, world_size)


def launch_token() -> str:
    """A text that is the same on all ranks of this launch; "" where nothing tells launches apart."""
    known = [os.environ.get(name, "") for name in _FROM_LAUNCHERS]
    environment = f"{zlib.crc32(' '.join(known).encode()):08x}" if any(known) else ""
    if process_group() is None:
        return environment
    group = _default_group()
    if _DRAWN.group is None or _DRAWN.group() is not group:
        found = _drawn()
        if found:
            _DRAWN.text, _DRAWN.group = found, None if group is None else weakref.ref(group)
    return "-".join(filter(None, (environment, _DRAWN.text)))


def _default_group() -> Any:
    """The group that the ranks began together; None where this torch does not give it."""
    try:
        from torch.distributed import distributed_c10d  # noqa: PLC0415  # only a process group needs it

        return distributed_c10d._get_default_group()
    except (ImportError, AttributeError, ValueError):
        return None


def _drawn() -> str:
    """What the first rank that asked put into the store of the group; "" when the store cannot be reached."""
    try:
        from torch.distributed import distributed_c10d  # noqa: PLC0415

        store: Any = distributed_c10d._get_default_store()
        held = store.timeout
        store.set_timeout(_STORE_WAIT)
        try:
            found: bytes = store.compare_set(_KEY, "", uuid.uuid4().hex[:16])
        finally:
            store.set_timeout(held)
    except (ImportError, AttributeError, RuntimeError, ValueError):
        return ""
    return found.decode("ascii", "replace")
