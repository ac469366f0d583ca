"""The label of what several ranks saved, and which part of it one rank's capture is. See docs/format.md.

In: rank, number of ranks, launch. Out: JSON; or the same read back and checked, or FormatError.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import FormatError
from .store_format_fields import Fields
from .store_format_records import MOST_RANKS

RANKS_FORMAT = "memviz_widgets ranks"
RANKS_VERSION = 1


@dataclass(frozen=True, slots=True)
class RankPart:
    """Whose part of a capture of several ranks this is.

    Attributes:
        rank: Of the process that recorded it, from 0.
        world_size: Number of ranks.
        launch: The same text on all ranks of one launch, another one in the next; "" where nothing tells.
    """

    rank: int
    world_size: int
    launch: str

    def as_json(self) -> dict[str, Any]:
        """For the index of the part."""
        return asdict(self)

    def label(self) -> dict[str, Any]:
        """Of the whole: the same on every rank, so that each may write it."""
        return {
            "format": RANKS_FORMAT,
            "version": RANKS_VERSION,
            "world_size": self.world_size,
            "launch": self.launch,
        }


def is_ranks(label: Fields) -> bool:
    """Whether a label is that of several ranks, of whichever version."""
    return label.has("format") and label.text("format") == RANKS_FORMAT


def read_ranks_label(label: Fields) -> tuple[int, str]:
    """Number of ranks and launch.

    Raises:
        FormatError: when it is of a newer version, or not as it must be.
    """
    version = label.whole("version")
    if version > RANKS_VERSION:
        raise FormatError(
            f"it has version {version} of the format of several ranks, and this memviz_widgets reads up to version "
            f"{RANKS_VERSION}; upgrade it"
        )
    return _world_size(label), label.text("launch")


def read_part(entries: Fields) -> RankPart | None:
    """Whose part an index is of; None of a capture of one process.

    Raises:
        FormatError: when it is not as it must be.
    """
    inner = entries.inner("part") if entries.has("part") else None
    if inner is None:
        return None
    world_size = _world_size(inner)
    return RankPart(inner.whole("rank", world_size), world_size, inner.text("launch"))


def _world_size(fields: Fields) -> int:
    world_size = fields.whole("world_size", MOST_RANKS + 1)
    if world_size < 1:
        raise fields.refuse("world_size", "a number of ranks")
    return world_size
