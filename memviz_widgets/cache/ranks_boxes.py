"""Where the parts of a value that lies over several ranks go in the whole, and what of it nobody recorded.

In: a Placement, and the shape of the part of each rank that has one. Out: boxes that cover the whole; or NotJoinedError
with the reason, or FormatError where parts contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import FormatError
from ..records import Placement
from .store_format_records import sharded_axis

Shape = tuple[int, ...]


class NotJoinedError(Exception):
    """Why the parts of the ranks stay apart: samples of different lengths, for example. Never reaches a user."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the whole.

    Attributes:
        start: Its first position per axis.
        shape: Its size per axis.
        ranks: Whose values it has; of several: their sum. () = nobody recorded it.
    """

    start: Shape
    shape: Shape
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The boxes of a whole.

    Attributes:
        shape: Of the whole.
        boxes: Cover it, without overlap.
        skipped: Ranks whose part has no place in it, since its size is not known.
        assumed: Whether the size of a part that nobody recorded was taken to be that of the others.
    """

    shape: Shape
    boxes: tuple[Box, ...]
    skipped: tuple[int, ...] = ()
    assumed: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of it was recorded."""
        return all(box.ranks for box in self.boxes)


def layout_of(
    placement: Placement, dims: Sequence[str], shapes: Mapping[int, Shape], lost: frozenset[int], label: str
) -> Layout:
    """How the parts make the whole.

    Args:
        placement: Of the value; ``shape`` () where only its parts tell the size.
        dims: Names of the axes.
        shapes: Of the part of each rank that has values.
        lost: Ranks of which nothing is known. Others without a shape recorded no such value: of a batch they have no
            samples.
        label: What the value is called, for errors.

    Raises:
        NotJoinedError: when samples of the ranks are of different sizes.
        FormatError: when the parts do not make the declared whole.
    """
    known = set(shapes.values())
    usual = next(iter(known)) if len(known) == 1 else None
    return _Laying(placement, dims, shapes, lost, usual, label).run()


class _Laying:
    """One value on its way to a layout."""

    def __init__(
        self,
        placement: Placement,
        dims: Sequence[str],
        shapes: Mapping[int, Shape],
        lost: frozenset[int],
        usual: Shape | None,
        label: str,
    ) -> None:
        self._placement = placement
        self._dims = tuple(dims)
        self._shapes = shapes
        self._lost = lost
        self._usual = usual
        self._label = label
        self._skipped: list[int] = []
        self._assumed = False

    def run(self) -> Layout:
        expected = self._placement.shape or None
        found = self._laid(0, self._placement.ranks, expected)
        if found is None:
            raise NotJoinedError("no rank has values of it")
        if expected is not None and found.shape != expected:
            raise self._contradiction(f"make {found.shape}, and it is declared as {expected}")
        return replace(found, skipped=tuple(self._skipped), assumed=self._assumed)

    def _laid(self, axis: int, ranks: Sequence[int], expected: Shape | None) -> Layout | None:
        """The layout of what some ranks have together; None where nothing is known of it."""
        if axis == len(self._placement.mesh):
            return self._single(ranks[0], expected)
        count = self._placement.mesh[axis]
        inner = len(ranks) // count
        groups = [ranks[place * inner : (place + 1) * inner] for place in range(count)]
        text = self._placement.placements[axis]
        along = self._dims.index("batch") if text == "batch" and "batch" in self._dims else sharded_axis(text)
        if text == "batch" and along is None:
            raise NotJoinedError("it has no axis of samples")
        sizes = [expected] * count if along is None else _cut(expected, along, count)
        found = [self._laid(axis + 1, group, size) for group, size in zip(groups, sizes, strict=True)]
        there = [each for each in found if each is not None]
        if not there:
            return None
        if text == "partial sum":
            return self._summed(found)
        return self._fullest(there) if along is None else self._in_a_row(there, along, text)

    def _single(self, rank: int, expected: Shape | None) -> Layout | None:
        shape = self._shapes.get(rank)
        if shape is not None:
            return Layout(shape, (Box((0,) * len(shape), shape, (rank,)),))
        samples = "batch" in self._placement.placements
        if samples and rank not in self._lost:
            return None
        shape = expected or self._usual
        if shape is None:
            self._skipped.append(rank)
            return None
        self._assumed = self._assumed or expected is None
        return Layout(shape, (Box((0,) * len(shape), shape, ()),))

    def _fullest(self, found: list[Layout]) -> Layout:
        """One of several that have the same values: the first that misses nothing, if there is one."""
        if len({each.shape for each in found}) > 1:
            raise self._contradiction(f"are said to be the same, and are {_listed(found)}")
        return min(found, key=lambda each: sum(not box.ranks for box in each.boxes))

    def _in_a_row(self, found: list[Layout], along: int, text: str) -> Layout:
        rests = {(*each.shape[:along], *each.shape[along + 1 :]) for each in found}
        if len(rests) > 1 and text == "batch":
            raise NotJoinedError(f"the ranks' samples differ in size: {_listed(found)}")
        if len(rests) > 1:
            raise self._contradiction(f"are {_listed(found)}, which do not fit together along axis {along}")
        boxes, end = [], 0
        for each in found:
            for box in each.boxes:
                start = (*box.start[:along], box.start[along] + end, *box.start[along + 1 :])
                boxes.append(replace(box, start=start))
            end += each.shape[along]
        first = found[0].shape
        return Layout((*first[:along], end, *first[along + 1 :]), tuple(boxes))

    def _summed(self, found: list[Layout | None]) -> Layout:
        there = [each for each in found if each is not None]
        if len({each.shape for each in there}) > 1:
            raise self._contradiction(f"are to be added up, and are {_listed(there)}")
        first = there[0]
        places = [{(box.start, box.shape): box.ranks for box in each.boxes} for each in there]
        if len(there) < len(found) or any(set(each) != set(places[0]) for each in places):
            return replace(first, boxes=(Box((0,) * len(first.shape), first.shape, ()),))
        boxes = []
        for start, shape in places[0]:
            ranks = [each[start, shape] for each in places]
            boxes.append(Box(start, shape, sum(ranks, ()) if all(ranks) else ()))
        return replace(first, boxes=tuple(boxes))

    def _contradiction(self, what: str) -> FormatError:
        placements = ", ".join(self._placement.placements)
        return FormatError(
            f"the parts of {self._label} on ranks {', '.join(map(str, sorted(self._shapes)))} {what} ({placements})"
        )


def _listed(found: Sequence[Layout]) -> str:
    """The shapes, each with a rank that has it."""
    shapes: dict[Shape, int] = {}
    for each in found:
        shapes.setdefault(each.shape, next((rank for box in each.boxes for rank in box.ranks), -1))
    return ", ".join(f"{shape} on rank {rank}" for shape, rank in shapes.items())


def _cut(whole: Shape | None, along: int, count: int) -> list[Shape | None]:
    """Sizes of the parts into which DTensor cuts an axis: equal ones as long as there is something, as torch.chunk."""
    if whole is None:
        return [None] * count
    size = -(-whole[along] // count)
    return [
        (*whole[:along], min(max(whole[along] - place * size, 0), size), *whole[along + 1 :]) for place in range(count)
    ]
