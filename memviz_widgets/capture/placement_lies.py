"""How one tensor lies over the ranks: as is known for certain, as is taken to be so, or in one of several readings.

In: nothing. Out: Mesh, Lie and Claim, which the rules give and what follows the tensors of a model keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..records import Placement

REPLICATE = "replicate"
SHARD = "shard "
MOST_READINGS = 6
"""Of one tensor; with more of them nothing is known."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh of ranks, as :class:`~memviz_widgets.records.Placement` says it.

    Attributes:
        sizes: Per axis.
        names: Per axis, "" where it has none.
        ranks: Global ranks, last axis fastest.
    """

    sizes: tuple[int, ...]
    names: tuple[str, ...]
    ranks: tuple[int, ...]


class Claim:
    """Something that a lie rests on and that the model itself confirms or refutes later: where it hands what was
    computed to a layer that is spread over the ranks, and says how that lies.

    Args:
        divided: Whether it is that what each rank took out of its part of a cut axis lies side by side; else that all
            ranks were given the same.

    Attributes:
        stands: None as long as the model has said nothing. What was refuted once stays so.
    """

    __slots__ = ("divided", "stands")

    def __init__(self, *, divided: bool) -> None:
        self.divided = divided
        self.stands: bool | None = None

    def decide(self, agrees: bool) -> None:
        """The model said how something lies that rests on this."""
        self.stands = agrees and self.stands is not False


@dataclass(frozen=True, slots=True)
class Lie:
    """How one tensor lies over the ranks of a mesh.

    Attributes:
        mesh: None of a constant, which is the same on every rank.
        placements: Per axis of the mesh: "replicate", "shard 2", "partial sum".
        shape: Of the whole.
        certain: False where it rests on plain weights, of which only the user knows that all ranks have the same.
        claims: What has to be confirmed before any of this is known.
        others: Other readings of the same tensor, with no others of their own.
    """

    mesh: Mesh | None
    placements: tuple[str, ...]
    shape: tuple[int, ...]
    certain: bool = True
    claims: frozenset[Claim] = frozenset()
    others: tuple[Lie, ...] = ()

    @property
    def replicated(self) -> bool:
        """Whether every rank has the whole."""
        return all(text == REPLICATE for text in self.placements)

    @property
    def sharded(self) -> frozenset[int]:
        """Axes of the tensor that are cut."""
        return frozenset(int(text.removeprefix(SHARD)) for text in self.placements if text.startswith(SHARD))

    @property
    def summed(self) -> bool:
        """Whether the whole is a sum over ranks."""
        return any(text != REPLICATE and not text.startswith(SHARD) for text in self.placements)

    @property
    def readings(self) -> tuple[Lie, ...]:
        """This and the others, each alone."""
        return (replace(self, others=()), *self.others) if self.others else (self,)

    def parts(self, axis: int) -> int:
        """In how many parts an axis is cut."""
        sizes = self.mesh.sizes if self.mesh else ()
        return math.prod(size for size, text in zip(sizes, self.placements, strict=True) if text == f"{SHARD}{axis}")

    def moved(self, axes: Mapping[int, int], sizes: Mapping[int, int], shape: Sequence[int]) -> Lie | None:
        """The lie of a tensor whose cut axes went elsewhere.

        Args:
            axes: Old axis -> new axis, of every axis that is cut.
            sizes: New axis -> its size in the whole.
            shape: The new local shape.
        """
        if not self.sharded <= set(axes) or self.summed:
            return None
        texts = tuple(
            f"{SHARD}{axes[int(text.removeprefix(SHARD))]}" if text.startswith(SHARD) else text
            for text in self.placements
        )
        cut = {axes[axis] for axis in self.sharded}
        whole = tuple(sizes[axis] if axis in cut else size for axis, size in enumerate(shape))
        return replace(self, placements=texts, shape=whole)

    def claimed(self) -> Lie:
        """The same, if the model says so later."""
        return replace(self, claims=self.claims | {Claim(divided=True)})

    def placement(self) -> Placement | None:
        """For a record; None of a constant."""
        if self.mesh is None:
            return None
        return Placement(self.mesh.sizes, self.mesh.names, self.mesh.ranks, self.placements, self.shape)


def several(readings: Iterable[Lie | None]) -> Lie | None:
    """One lie of all readings that are possible; of equal ones, that which rests on least."""
    found: dict[object, Lie] = {}
    for lie in sorted((each for one in readings if one for each in one.readings), key=lambda lie: len(lie.claims)):
        found.setdefault((lie.mesh, lie.placements, lie.shape), lie)
    if not 0 < len(found) <= MOST_READINGS:
        return None
    first, *others = found.values()
    return replace(first, others=tuple(others))


def only_reading(lie: Lie | None) -> Lie | None:
    """The reading that rests on least; None where several rest on as little."""
    if lie is None:
        return None
    readings = lie.readings
    least = min(len(each.claims) for each in readings)
    found = [each for each in readings if len(each.claims) == least]
    return found[0] if len(found) == 1 else None


def settle_claims(lie: Lie, said: Lie) -> None:
    """The model says how a tensor lies: claims that it rests on stand where they led to that, and else fall."""
    agreeing = [each for each in lie.readings if (each.mesh, each.placements) == (said.mesh, said.placements)]
    fitting = [each for each in agreeing if each.shape == said.shape]
    right = min(fitting, key=lambda each: len(each.claims)).claims if fitting else frozenset()
    for claim in frozenset().union(*(each.claims for each in lie.readings)):
        claim.decide(claim in right)
