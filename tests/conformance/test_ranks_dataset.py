"""Ranks that record a data set: one is killed, the others finish, and the same launch again completes the whole."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import memviz_widgets as mv

from ..cache.dataset_runs import SAMPLES, files_of, network
from .rank_launch import launched
from .ranks_dataset_run import BATCH, OPTIONS, loader

pytest.importorskip("zarr")
RANKS = 2
BATCHES = -(-SAMPLES // BATCH)


def forwards(folder: Path, rank: int, run: int) -> int:
    return int((folder / f"{rank}.{run}.forwards").read_text())


def test_a_rank_is_killed_and_the_same_launch_completes(tmp_path: Path) -> None:
    after = random.Random().randrange(4, BATCHES // RANKS)  # a shard is three batches
    (tmp_path / "kill").write_text(f"1 {after}")
    exits, errors = launched("tests.conformance.ranks_dataset_run", RANKS, tmp_path)
    assert exits == [0, -signal.SIGKILL], (after, errors)
    acts = tmp_path / "acts.zarr"
    begun = mv.open_dataset(acts)
    kept = mv.open_dataset(acts / "ranks" / "1").samples // BATCH
    own = [BATCHES // RANKS, BATCHES - BATCHES // RANKS]
    assert 3 <= kept <= after
    assert not begun.complete
    assert f"rank 1 of 2 has {kept} of {own[1]} batches" in begun.summary
    assert begun["0"][(own[0] + kept) * BATCH :].isnan().all()
    finished = files_of(acts / "ranks" / "0")

    (tmp_path / "kill").unlink()
    exits, errors = launched("tests.conformance.ranks_dataset_run", RANKS, tmp_path)
    assert exits == [0, 0], errors
    assert [forwards(tmp_path, rank, 0) for rank in range(RANKS)] == [own[0], after]
    assert [forwards(tmp_path, rank, 1) for rank in range(RANKS)] == [0, own[1] - kept]
    assert files_of(acts / "ranks" / "0") == finished

    found = mv.open_dataset(acts)
    alone = mv.record_dataset(network().eval(), loader(), to=tmp_path / "alone.zarr", **OPTIONS)
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
