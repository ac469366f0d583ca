"""Values without a placement in a recording whose other values have one: equal where the samples are, else apart.

In: records of several ranks that were grouped by equal values. Out: the placement that these groups show.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..records import Placement, TensorRecord


def samples_mesh(parts: Mapping[int, Sequence[TensorRecord]]) -> Placement | None:
    """Over which axes of a mesh ranks had samples of their own, and over which the same; None where nothing says so."""
    for records in parts.values():
        for record in records:
            place = record.placement
            if place is not None and "batch" in place.placements:
                same = [size for size, text in zip(place.mesh, place.placements, strict=True) if text != "batch"]
                if math.prod(same) > 1:
                    texts = tuple(text if text == "batch" else "replicate" for text in place.placements)
                    return replace(place, placements=texts, shape=())
    return None


def sample_groups(mesh: Placement) -> list[list[int]]:
    """The ranks that had the same samples, in the order of the samples."""
    apart = [axis for axis, text in enumerate(mesh.placements) if text == "batch"]
    ranks = np.moveaxis(np.array(mesh.ranks).reshape(mesh.mesh), apart, range(len(apart)))
    groups: list[list[int]] = ranks.reshape(math.prod(mesh.mesh[axis] for axis in apart), -1).tolist()
    return groups


def follows_samples(
    mesh: Placement, groups: Collection[Sequence[tuple[int, TensorRecord]]], lost: frozenset[int]
) -> bool:
    """Whether values are equal within each group of ranks with the same samples, and nowhere else."""
    members = [member for group in groups for member in group]
    first = members[0][1]
    alike = all(record.dims == first.dims and record.dtype == first.dtype for _, record in members)
    if not alike or "batch" not in first.dims or any(record.placement is not None for _, record in members):
        return False
    expected = {frozenset(group) - lost for group in sample_groups(mesh)} - {frozenset()}
    return {frozenset(rank for rank, _ in group) for group in groups} == expected
