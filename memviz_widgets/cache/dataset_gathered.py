"""What the ranks of a tensor-parallel group have computed of the same samples, put together on the first of them.

In: outputs of layers, each with how it lies over the ranks. Out: the same outputs whole; or an error that names the
layer of which nobody knows how it lies. Between forwards: all ranks of the group come here after each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import capture as capturing
from ..capture.placement_lies import REPLICATE, SHARD
from ..errors import DatasetError
from ..records import Draft
from .dataset_layers import Taken, name_of
from .dataset_wire import Wire

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One output on this rank.

    Attributes:
        taken: The output.
        texts: How it lies, per line of the group; None where nothing says so.
    """

    taken: Taken
    texts: tuple[str, ...] | None

    def told(self) -> list[Any]:
        """What the other ranks must know of it."""
        draft, live = self.taken
        name = [draft.path, draft.call, draft.item, draft.dtype]
        crc = capturing.checksum(live) if self.texts is None and live is not None else None
        return [name, list(self.texts) if self.texts is not None else None, _shape(live), crc]


class Gathered:
    """The ranks that compute the same samples.

    Args:
        group: Who they are.
    """

    def __init__(self, group: capturing.SampleGroup) -> None:
        self._group = group
        self._wires = [Wire(line.ranks, line.group) for line in group.lines]
        self._ranks = np.array(group.ranks).reshape([len(line.ranks) for line in group.lines])
        self._at = [line.ranks.index(group.rank) for line in group.lines]

    def whole(self, taken: Sequence[Taken], failure: BaseException | None) -> list[Taken]:
        """The outputs of the group, whole; [] on all ranks but the first.

        Args:
            taken: Those of this rank.
            failure: Why it has none.

        Raises:
            DatasetError: on all ranks, when nothing says how an output lies and the ranks have other values of it, or
                when their outputs differ, or another one failed.
            LostRankError: when a rank is gone.
        """
        pieces = [self._piece(each) for each in taken] if failure is None else []
        told = self._told([each.told() for each in pieces] if failure is None else str(failure))
        if failure is not None:
            raise failure
        for rank, theirs in told.items():
            if isinstance(theirs, str):
                raise DatasetError(f"rank {rank} could not take this batch: {theirs}")
        self._check(pieces, told)
        found = []
        for number, piece in enumerate(pieces):
            shapes = {rank: tuple(theirs[number][2] or ()) for rank, theirs in told.items()}
            draft, live = piece.taken
            if live is not None and piece.texts is not None:
                live = self._joined(live, piece.texts, shapes)
            if self._group.first:
                _check_shape(draft, live)
                note = "; ".join(part for part in draft.note.split("; ") if not part.startswith(capturing.UNPLACED))
                found.append(Taken(draft._replace(note=note, shape=_shape(live) or ()), live))
        return found

    def _piece(self, taken: Taken) -> Piece:
        placement, note = taken.draft.placement, taken.draft.note
        if placement is not None:
            return Piece(taken, self._group.texts(placement))
        # Weights that are no DTensors, such as those of norms, are the same on all ranks, as torch asks for.
        known = capturing.UNPLACED not in note
        return Piece(taken, (REPLICATE,) * len(self._wires) if known else None)

    def _told(self, mine: Any) -> dict[int, Any]:
        """What each rank of the group says."""
        found = {self._group.rank: mine}
        for wire in self._wires:
            every = wire.said(list(found.items()))
            found = {rank: said for items in every for rank, said in items}
        return found

    def _check(self, pieces: list[Piece], told: Mapping[int, Any]) -> None:
        """The ranks agree on what there is, and on what lies in a way that nobody knows."""
        first = self._group.ranks[0]
        for rank, theirs in told.items():
            if [each[:2] for each in theirs] != [each[:2] for each in told[first]]:
                raise DatasetError(
                    f"ranks {first} and {rank} compute the same samples, and their layers gave other outputs. Give "
                    "both the same model and the same batches."
                )
        for number, piece in enumerate(pieces):
            values = {(tuple(theirs[number][2] or ()), theirs[number][3]) for theirs in told.values()}
            if piece.texts is None and len(values) > 1:
                ranks = ", ".join(map(str, self._group.ranks))
                raise DatasetError(
                    f"nothing says how {name_of(piece.taken.draft)} lies over the ranks {ranks}, which have other "
                    "values of it. Leave it out of layers=, or let parallelize_module know its module, whose outputs "
                    "then say how they lie."
                )

    def _joined(self, live: Tensor, texts: Sequence[str], shapes: dict[int, Shape]) -> Tensor | None:
        """The whole of a value, on the first rank; None on the others. The last line of the mesh is joined first.

        Args:
            live: The piece of this rank.
            texts: How it lies, per line.
            shapes: Of the pieces of all ranks.
        """
        for axis in reversed(range(len(texts))):
            if any(self._at[axis + 1 :]):
                return None  # another rank has it by now
            text, line = texts[axis], self._group.lines[axis].ranks
            if text != REPLICATE:
                wanted = [shapes[rank] for rank in line]
                data = self._wires[axis].to_first(
                    live.contiguous(), [_numbers(shape) * live.element_size() for shape in wanted]
                )
                shapes |= self._after(axis, text, shapes)
                if data is None:
                    return None
                live = _put_together(
                    [each.view(live.dtype).view(shape) for each, shape in zip(data, wanted, strict=True)], text
                )
        return None if any(self._at) else live

    def _after(self, axis: int, text: str, shapes: Mapping[int, Shape]) -> dict[int, Shape]:
        """The shapes after a line was joined, of the ranks that have its values then."""
        found: dict[int, Shape] = {}
        for line in np.moveaxis(self._ranks, axis, -1).reshape(-1, self._ranks.shape[axis]).tolist():
            shape = list(shapes[line[0]])
            if text.startswith(SHARD):
                cut = int(text.removeprefix(SHARD))
                shape[cut] = sum(shapes[rank][cut] for rank in line)
            found[line[0]] = tuple(shape)
        return found


def _put_together(parts: list[Tensor], text: str) -> Tensor:
    """One tensor: along the axis that is cut, or the sum."""
    if text.startswith(SHARD):
        return torch.cat(parts, int(text.removeprefix(SHARD)))
    wide = parts[0].double() if parts[0].is_floating_point() else parts[0]
    for part in parts[1:]:
        wide = wide + part.to(wide.dtype)
    return wide.to(parts[0].dtype)


def _check_shape(draft: Draft, live: Tensor | None) -> None:
    """What was put together is as large as the model says."""
    wanted = draft.placement.shape if draft.placement is not None else ()
    if wanted and live is not None and tuple(live.shape) != wanted:
        raise DatasetError(
            f"{name_of(draft)} is {tuple(live.shape)} put together, and {wanted} by what the model says of it. Leave "
            "it out of layers=."
        )


def _shape(tensor: Tensor | None) -> Shape | None:
    return None if tensor is None else tuple(tensor.shape)


def _numbers(shape: Shape) -> int:
    return int(np.prod(shape, dtype=np.int64))
