"""Ranks that record a data set: one is killed, the others finish, and the same launch again completes the whole."""

from __future__ import annotations

import random
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import memviz_widgets as mv

from ..cache.dataset_runs import SAMPLES, files_of, network
from .rank_launch import launched
from .ranks_dataset_run import BATCH, OPTIONS, loader

pytest.importorskip("zarr")
RUN = "tests.conformance.ranks_dataset_run"
BATCHES = -(-SAMPLES // BATCH)
PER_SHARD = 3
"""Batches after which a part commits."""


def forwards(folder: Path, count: int, run: int) -> list[int]:
    """How many each rank ran in a launch."""
    return [int((folder / f"{rank}.{run}.forwards").read_text()) for rank in range(count)]


@pytest.mark.parametrize("count", [2, 4])
def test_a_rank_is_killed_and_the_same_launch_completes(tmp_path: Path, count: int) -> None:
    edges = [rank * BATCHES // count for rank in range(count + 1)]
    own = [stop - first for first, stop in pairwise(edges)]
    victim = random.randrange(count)
    after = random.randrange(PER_SHARD + 1, own[victim])
    (tmp_path / "kill").write_text(f"{victim} {after}")
    exits, errors = launched(RUN, count, tmp_path)
    assert exits == [-signal.SIGKILL if rank == victim else 0 for rank in range(count)], (victim, after, errors)
    acts = tmp_path / "acts.zarr"
    begun = mv.open_dataset(acts)
    kept = mv.open_dataset(acts / "ranks" / str(victim)).samples // BATCH
    assert PER_SHARD <= kept <= after
    assert not begun.complete
    assert f"rank {victim} of {count} has {kept} of {own[victim]} batches" in begun.summary
    gone = slice((edges[victim] + kept) * BATCH, edges[victim + 1] * BATCH)
    assert begun["0"][gone].isnan().all()
    assert int(begun["0"].isnan().sum()) == begun["0"][gone].numel()
    others = {rank: files_of(acts / "ranks" / str(rank)) for rank in range(count) if rank != victim}

    (tmp_path / "kill").unlink()
    exits, errors = launched(RUN, count, tmp_path)
    assert exits == [0] * count, errors
    assert forwards(tmp_path, count, 0) == [after if rank == victim else own[rank] for rank in range(count)]
    assert forwards(tmp_path, count, 1) == [own[rank] - kept if rank == victim else 0 for rank in range(count)]
    assert all(files_of(acts / "ranks" / str(rank)) == before for rank, before in others.items())
    alone = mv.record_dataset(network().eval(), loader(), to=tmp_path / "alone.zarr", **OPTIONS)
    check_equal(mv.open_dataset(acts), alone)


def check_equal(found: mv.ActivationDataset, alone: mv.ActivationDataset) -> None:
    """All values, statistics and examples are those of one process; moments up to another order of sums."""
    assert (found.complete, found.samples, found.names()) == (True, SAMPLES, alone.names())
    for path in alone.names():
        assert torch.equal(found[path], alone[path])
        mine, theirs = found.statistics(path), alone.statistics(path)
        for name in ("count", "min", "max", "zeros", "nan", "posinf", "neginf", "histogram"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), (path, name)
        for name in ("mean", "variance"):
            assert np.allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12, atol=0), (path, name)
        for channel in range(len(mine.count)):
            assert found.top(path, channel) == alone.top(path, channel)
