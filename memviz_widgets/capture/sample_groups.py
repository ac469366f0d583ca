"""Which ranks compute the same samples together, when the weights of a model lie on several ranks.

In: a model, whose weights say it: fully_shard gives each rank samples of its own, every other spread of a weight is
over ranks that have the same ones. Out: a SampleGroup, or why it cannot be known. Nothing here starts a collective.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..records import Placement
from .placement import BATCH, asks_in_training, lines_of, part_of_mesh
from .placement_following import has_placement_of_its_own, mesh_of
from .placement_lies import Mesh
from .sharded_weights import groups_of
from .trace import Modules, walk


class UnknownGroupError(Exception):
    """Which ranks have the same samples cannot be known; the text says why. Never leaves the package."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One axis of the mesh of a SampleGroup, through this rank.

    Attributes:
        ranks: Along it.
        group: torch's ProcessGroup of them.
    """

    ranks: tuple[int, ...]
    group: Any


@dataclass(frozen=True, slots=True, eq=False)
class SampleGroup:
    """The ranks that compute the same samples together, this one among them.

    Attributes:
        rank: Of this process.
        mesh: Of the group; its first rank writes what all have computed.
        lines: Per axis of the mesh that has more than one rank. () where every rank has samples of its own.
    """

    rank: int
    mesh: Mesh
    lines: tuple[Line, ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """All of the group, the first one first."""
        return self.mesh.ranks

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == self.mesh.ranks[0]

    def texts(self, placement: Placement) -> tuple[str, ...] | None:
        """How a value lies per line of the group: "replicate", "shard 2", "partial sum"; None where that is not said.

        Axes of a placement along which each rank has samples of its own are left out.
        """
        mesh = Mesh(placement.mesh, placement.mesh_dims, placement.ranks)
        if self.rank not in mesh.ranks:
            return None
        lines = map(frozenset, lines_of(mesh, self.rank))
        said = {
            ranks: text
            for ranks, text in zip(lines, placement.placements, strict=True)
            if text != BATCH and len(ranks) > 1
        }
        wanted = [frozenset(line.ranks) for line in self.lines]
        return tuple(said[ranks] for ranks in wanted) if said.keys() == set(wanted) else None


def sample_group(model: nn.Module) -> SampleGroup | None:
    """Who computes the same samples as this rank; None when no weight of the model lies on several ranks.

    Raises:
        UnknownGroupError: when that cannot be known.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    modules = walk(model)
    sharded = any(hasattr(type(module), "_get_fsdp_state") for _, module in modules)
    if not sharded and not any(has_placement_of_its_own(each) for _, each in _own_parameters(modules)):
        return None
    if reason := asks_in_training(modules):
        raise UnknownGroupError(reason)
    rank: int = distributed.get_rank()
    samples = {
        frozenset(distributed.get_process_group_ranks(group))
        for managing in _managing(modules)
        for weights in groups_of(managing)
        for group in _process_groups(weights.mesh_info)
    }
    return _group(rank, samples, list(_kept(modules)))


def weights_as_kept(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers with their names, each parameter once.

    Those under fully_shard as the piece of this rank, also after a forward that left them whole.
    """
    for name, weight, _ in _kept(walk(model)):
        yield name, weight
    yield from model.named_buffers()


def _kept(modules: Modules) -> Iterator[tuple[str, Tensor, bool]]:
    """Parameters, and whether fully_shard keeps them."""
    pieces: dict[tuple[int, str], Tensor] = {}
    for managing in _managing(modules):
        for weights in groups_of(managing):
            for each in weights.fsdp_params:
                info = each._module_info
                pieces[id(info.module), info.param_name] = each.sharded_param
                shared = zip(info.shared_modules, info.shared_param_names, strict=True)
                pieces.update({(id(module), name): each.sharded_param for module, name in shared})
    seen: set[int] = set()
    for path, module in modules:
        for name, value in module._parameters.items():
            kept = pieces.get((id(module), name), value)
            if kept is not None and id(kept) not in seen:
                seen.add(id(kept))
                yield (f"{path}.{name}" if path else name), kept, (id(module), name) in pieces


def _group(rank: int, samples: set[frozenset[int]], weights: list[tuple[str, Tensor, bool]]) -> SampleGroup:
    """The largest mesh over which a weight lies besides the groups of samples; all others must be parts of it.

    Args:
        rank: Of this process.
        samples: Groups of ranks that have samples of their own, each with this one.
        weights: Names, pieces, and whether fully_shard keeps them.
    """
    found = SampleGroup(rank, Mesh((1,), ("",), (rank,)), ())
    every: dict[frozenset[int], str] = {}
    for name, weight, sharded in weights:
        if not has_placement_of_its_own(weight):  # type: ignore[arg-type]  # buffers are none
            continue
        device_mesh: Any = weight.device_mesh  # type: ignore[attr-defined]
        mesh = mesh_of(device_mesh)
        if rank not in mesh.ranks:
            raise UnknownGroupError(f"its weight {name!r} lies on other ranks than this one")
        lines = lines_of(mesh, rank)
        over = [frozenset(ranks) for ranks in lines]
        axes = [axis for axis, ranks in enumerate(over) if len(ranks) > 1 and not (sharded and ranks in samples)]
        every.update((over[axis], name) for axis in axes)
        if len(axes) > len(found.lines):
            own = tuple(Line(lines[axis], device_mesh.get_group(axis)) for axis in axes)
            found = SampleGroup(rank, part_of_mesh(mesh, axes, rank), own)
    known = {frozenset(line.ranks) for line in found.lines}
    for ranks, name in every.items():
        if ranks not in known or any(len(ranks & group) > 1 for group in samples):
            raise UnknownGroupError(
                f"its weight {name!r} lies over the ranks {_numbers(ranks)}, and other weights say otherwise which "
                "ranks have the same samples"
            )
    return found


def _own_parameters(modules: Modules) -> Iterator[tuple[str, nn.Parameter]]:
    for _, module in modules:
        yield from ((name, value) for name, value in module._parameters.items() if value is not None)


def _managing(modules: Modules) -> list[Any]:
    return [module for _, module in modules if hasattr(type(module), "_get_fsdp_state")]


def _process_groups(mesh_info: Any) -> Iterator[Any]:
    """Those over which fully_shard deals out samples: where it shards, and where it replicates (HSDP)."""
    for name in ("shard_process_group", "replicate_process_group"):
        group = getattr(mesh_info, name, None)
        if group is not None:
            yield group


def _numbers(ranks: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(ranks)))
