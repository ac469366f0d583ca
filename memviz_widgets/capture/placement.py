"""Which rank records, and how its values lie over the ranks: data parallel, tensor parallel, or both.

In: the modules of a model in a process group. Out: for each value a Placement, or None where it is not known.
Nothing here starts a collective, and torch.distributed is only looked at where the process uses it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..records import Placement
from .placement_following import Following, distributed_tensors, has_placement_of_its_own, mesh_of
from .placement_lies import Claim, Lie, Mesh, only_reading
from .sharded_weights import groups_of
from .tensors import STANDS_FOR
from .trace import Modules, walk

BATCH = "batch"
UNPLACED = "local shard, rank "
"""In the note of a value of which nothing says how it lies; the rank follows."""
DIVIDED = (
    "each rank divided its own rows of a fused layer: those of the model before it was spread only if they were put in "
    "the order of the ranks"
)
"""A plain ColwiseParallel cuts [queries; keys; values] anywhere; nothing of a weight tells that it was reordered."""
_WRAPPERS_OF_GROUPS = ("DistributedDataParallel", "FullyShardedDataParallel")


class Found(NamedTuple):
    """How one value lies over the ranks.

    Attributes:
        placement: None where it is not known, or not yet.
        note: What is special about that; "" for nothing.
        later: What is known at the end of the recording; None where all is known now.
    """

    placement: Placement | None
    note: str = ""
    later: Claimed | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A placement that holds if the model confirms what it rests on. An :class:`~memviz_widgets.records.Undecided`.

    Attributes:
        claims: What it rests on.
        placement: If all of them stand.
        note: Then.
        unknown: The note if one does not.
    """

    claims: frozenset[Claim]
    placement: Placement | None
    note: str
    unknown: str

    def settled(self) -> tuple[Placement | None, str]:
        """The placement and the note."""
        stands = all(claim.stands for claim in self.claims)
        return (self.placement, self.note) if stands else (None, self.unknown)


NOWHERE = Found(None)


class Ranks:
    """This process among those that compute one model together.

    Args:
        rank: Of this process.
        modules: All modules of the model, with wrappers.

    Attributes:
        rank: Of this process.
        collective: Why a part of the forward cannot be run by one rank alone; "" when it can.
    """

    def __init__(self, rank: int, modules: Modules) -> None:
        self.rank = rank
        self._data = _data_mesh(modules)
        data_ranks = set(self._data.ranks) if self._data else set()
        parameters = [value for _, module in modules for value in module._parameters.values() if value is not None]
        spread = [value for value in parameters if has_placement_of_its_own(value)]
        sharded = any(hasattr(type(module), "_get_fsdp_state") for _, module in modules)
        apart = [value for value in spread if not _lies_over(value, data_ranks)]
        self._root = _root(apart[0]) if apart else None
        self._following: Following | None = None
        if apart and distributed_tensors() is not None:
            buffers = [value for _, module in modules for value in module._buffers.values() if value is not None]
            self._following = Following(buffers, self._within(apart))
        self._combined: dict[Mesh, tuple[Mesh, tuple[int | None, ...]] | None] = {}
        self.collective = _why_collective(modules, sharded, spread)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Follow the tensors of the model while the block runs."""
        with self._following.attached() if self._following else nullcontext():
            yield

    def enter(self, inputs: Iterable[Tensor]) -> None:
        """The outermost call begins, with these tensors."""
        if self._following is not None:
            self._following.enter(inputs)

    def leave(self) -> None:
        """The outermost call has ended."""
        if self._following is not None:
            self._following.leave()

    def placement(self, tensor: Tensor, dims: tuple[str, ...]) -> Found:
        """How a value lies; ``dims`` names its axes."""
        lie = self._following.lie(tensor) if self._following is not None else _lie_of_own(tensor)
        special = self._following is not None or type(tensor).__name__ == "DTensor"
        return self._found(lie, dims, f"{UNPLACED}{self.rank}" if special else "")

    def attention(self, shape: tuple[int, ...], dims: tuple[str, ...]) -> Found:
        """How the attention weights lie that are being computed now."""
        lie = self._following.attention(shape) if self._following is not None else None
        return self._found(lie, dims)

    def computed(self, tensors: Iterable[Tensor], shape: tuple[int, ...], dims: tuple[str, ...]) -> Found:
        """How a value lies that will be computed of these tensors."""
        return self._found(self._following.computed(tensors, shape) if self._following is not None else None, dims)

    def _found(self, lie: Lie | None, dims: tuple[str, ...], unknown: str = "") -> Found:
        """Its placement; ``unknown``: what a record says of which none is known."""
        lie = only_reading(lie)
        placement = self._placement(lie, dims)
        note = "" if placement is not None or (lie is not None and lie.replicated) else unknown
        if lie is not None and lie.claims:
            note = DIVIDED if placement is not None and any(claim.divided for claim in lie.claims) else note
            return Found(None, "", Claimed(lie.claims, placement, note, unknown))
        return Found(placement, note)

    def _placement(self, lie: Lie | None, dims: tuple[str, ...]) -> Placement | None:
        data = self._data
        if data is None:
            # Whether plain weights are the same on all ranks, comparing values tells better; not of what is cut.
            return lie.placement() if lie is not None and (lie.certain or lie.sharded) else None
        if lie is None or lie.mesh is None:
            if BATCH not in dims or self._following is not None:
                return None
            return Placement(data.sizes, data.names, data.ranks, (BATCH,) * len(data.sizes), ())
        return self._over_both(lie) if BATCH in dims else None

    def _within(self, parameters: list[Any]) -> Mesh | None:
        """The one mesh over which weights lie within each group of ranks that have the same samples."""
        samples = lines_of(self._data, self.rank) if self._data else []
        found = set()
        for mesh in {mesh_of(parameter.device_mesh) for parameter in parameters}:
            if self.rank in mesh.ranks:
                axes = [axis for axis, line in enumerate(lines_of(mesh, self.rank)) if line not in samples]
                found.add(part_of_mesh(mesh, axes, self.rank))
        return found.pop() if len(found) == 1 else None

    def _over_both(self, lie: Lie) -> Placement | None:
        """Of a value that is spread over a mesh within each group of samples."""
        assert lie.mesh is not None
        if lie.mesh not in self._combined:
            self._combined[lie.mesh] = _combine(self._data, lie.mesh, self._root, self.rank)
        found = self._combined[lie.mesh]
        if found is None:
            return None
        mesh, places = found
        texts = tuple(BATCH if place is None else lie.placements[place] for place in places)
        return Placement(mesh.sizes, mesh.names, mesh.ranks, texts, ())


def ranks_of(modules: Modules) -> Ranks | None:
    """This process among others; None where it is alone, or torch.distributed is not in use."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    if distributed.get_world_size() == 1:
        return None
    return Ranks(distributed.get_rank(), modules)


def why_collective(model: nn.Module) -> str:
    """Why one rank cannot run a model alone; "" when it can, or is alone."""
    ranks = ranks_of(walk(model))
    return "" if ranks is None else ranks.collective


def described(ranks: Ranks | None, tensor: Tensor, dims: tuple[str, ...], note: str) -> tuple[Found, str]:
    """How a value lies over the ranks, and the note that its record has; ``note``: without ranks."""
    if ranks is None:
        return NOWHERE, note
    found = ranks.placement(tensor, dims)
    own = "" if note == STANDS_FOR["dtensor"] else note
    return found, "; ".join(filter(None, (own, found.note)))


def _data_mesh(modules: Modules) -> Mesh | None:
    """The ranks that have samples of their own: of DDP, FSDP or fully_shard."""
    for _, module in modules:
        if type(module).__name__ in _WRAPPERS_OF_GROUPS:
            group = getattr(module, "process_group", None)
            ranks = tuple(sys.modules["torch.distributed"].get_process_group_ranks(group))
            return Mesh((len(ranks),), ("",), ranks)
    for _, module in modules:
        if hasattr(type(module), "_get_fsdp_state"):
            mesh = _mesh_of_state(module)
            if mesh is not None:
                return mesh_of(mesh)
    return None


def _mesh_of_state(module: nn.Module) -> Any:
    """The DeviceMesh of a module under fully_shard; None where this torch keeps it elsewhere."""
    return next((group.mesh_info.mesh for group in groups_of(module)), None)


def _lies_over(parameter: Any, ranks: set[int]) -> bool:
    """Whether a distributed weight lies over these ranks alone: those that fully_shard keeps its pieces on."""
    return set(mesh_of(parameter.device_mesh).ranks) <= ranks


def _root(parameter: Any) -> Mesh | None:
    """The mesh of which that of a weight is a part."""
    mesh = parameter.device_mesh
    root = mesh._get_root_mesh() if hasattr(mesh, "_get_root_mesh") else mesh
    return mesh_of(root)


def _lie_of_own(tensor: Any) -> Lie | None:
    """Of a DTensor that a model without distributed weights returns."""
    return Following(()).lie(tensor) if type(tensor).__name__ == "DTensor" else None


def _combine(
    data: Mesh | None, inner: Mesh, root: Mesh | None, rank: int
) -> tuple[Mesh, tuple[int | None, ...]] | None:
    """The mesh of both, in the order of the root's axes.

    Returns:
        Its axes, and for each the axis of ``inner`` that it is, None of one of the samples; None where they do not make
        a part of the root.
    """
    if data is None or root is None:
        return None
    samples, within = lines_of(data, rank), lines_of(inner, rank)
    axes: list[int] = []
    places: list[int | None] = []
    for axis, line in enumerate(lines_of(root, rank)):
        if len(line) == 1:
            continue
        if line in within:
            axes.append(axis)
            places.append(within.index(line))
        elif line in samples:
            axes.append(axis)
            places.append(None)
    wanted = [line for line in (*samples, *within) if len(line) > 1]
    if len(axes) != len(wanted):
        return None
    return part_of_mesh(root, axes, rank), tuple(places)


def lines_of(mesh: Mesh, rank: int) -> list[tuple[int, ...]]:
    """The ranks along each axis through one rank."""
    at, lines, stride = mesh.ranks.index(rank), [], len(mesh.ranks)
    for size in mesh.sizes:
        stride //= size
        first = at - at // stride % size * stride
        lines.append(tuple(mesh.ranks[first + step * stride] for step in range(size)))
    return lines


def part_of_mesh(root: Mesh, axes: list[int], rank: int) -> Mesh:
    """The part of a mesh along some axes through one rank."""
    at, stride, strides = root.ranks.index(rank), len(root.ranks), []
    for size in root.sizes:
        stride //= size
        strides.append(stride)
    places = [at - sum(at // strides[axis] % root.sizes[axis] * strides[axis] for axis in axes)]
    for axis in axes:
        places = [place + step * strides[axis] for place in places for step in range(root.sizes[axis])]
    sizes, names = (tuple(values[axis] for axis in axes) for values in (root.sizes, root.names))
    return Mesh(sizes, names, tuple(root.ranks[place] for place in places))  # type: ignore[arg-type]


def _why_collective(modules: Modules, sharded: bool, spread: list[nn.Parameter]) -> str:
    """Why one rank cannot run the model alone."""
    kinds = {type(module).__name__ for _, module in modules}
    for found, name in ((sharded, "fully_shard"), ("FullyShardedDataParallel" in kinds, "FullyShardedDataParallel")):
        if found:
            return f"its weights lie on several ranks ({name}), which must all run it together"
    if spread:
        return "its weights lie on several ranks (DTensor), which must all run it together"
    return asks_in_training(modules)


def asks_in_training(modules: Modules) -> str:
    """Why a forward mixes the samples of all ranks, "" when it does not."""
    asking = any(type(module).__name__ == "SyncBatchNorm" and module.training for _, module in modules)
    return "SyncBatchNorm asks the other ranks in training" if asking else ""
