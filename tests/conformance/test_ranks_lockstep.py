"""Models whose weights lie on several ranks record data sets in lockstep: what is opened is that of one process."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import memviz_widgets as mv
from memviz_widgets.records import TensorRecord

from .rank_launch import launched
from .ranks_lockstep_run import BATCH, CASES, OPTIONS, SAMPLES, Uneven, loader_of, network_of, uneven_samples

pytest.importorskip("zarr")
RUN = "tests.conformance.ranks_lockstep_run"
SUMS = 5e-6
"""Largest difference where a sum over channels is cut into the ranks' sums."""
BATCHES = -(-SAMPLES // BATCH)
EVERY = [(count, case) for count in CASES for case in CASES[count]]


class Launch:
    """What a launch left behind."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def told(self, name: str) -> list[dict[str, Any]]:
        """What every rank found."""
        return [json.loads((self.folder / f"{name} {rank}.json").read_text()) for rank in range(self.count)]

    def dataset(self, name: str) -> mv.ActivationDataset:
        return mv.open_dataset(self.folder / f"{name}.zarr")


@lru_cache
def launch(count: int, folder: Path) -> Launch:
    exits, errors = launched(RUN, count, folder)
    assert exits == [0] * count, errors
    return Launch(folder, count)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Launch]:
    folders = {count: tmp_path_factory.mktemp(f"{count} ranks") for count in CASES}
    return lambda count: launch(count, folders[count])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], mv.ActivationDataset]:
    """The data set of one process."""
    folder = tmp_path_factory.mktemp("alone")
    return lru_cache(
        lambda name: mv.record_dataset(network_of(name), loader_of(name), to=folder / f"{name}.zarr", **OPTIONS)
    )


def check_equal(found: mv.ActivationDataset, alone: mv.ActivationDataset, *, exact: bool) -> None:
    """Values, statistics and examples; moments up to the order of their sums."""
    assert (found.complete, found.samples) == (True, SAMPLES)
    assert described(found) == described(alone)
    for mine, theirs in zip(found.records, alone.records, strict=True):
        where = mine.label
        here, there = found.get(*place(mine)), alone.get(*place(theirs))
        assert torch.equal(here, there) if exact else torch.allclose(here, there, rtol=0, atol=SUMS), where
        path, _, call, item = place(mine)
        one, other = (each.statistics(path, call=call, item=item) for each in (found, alone))
        if exact:
            for name in ("count", "min", "max", "zeros", "nan", "posinf", "neginf", "histogram"):
                assert np.array_equal(getattr(one, name), getattr(other, name)), (where, name)
        assert np.array_equal(one.count, other.count)
        for name in ("mean", "variance", "min", "max"):
            relative, absolute = (1e-12, 1e-15) if exact else (0, 4 * SUMS)
            assert np.allclose(getattr(one, name), getattr(other, name), relative, absolute), (where, name)
        for channel in range(len(one.count)):
            top, expected = found.top_of(mine, channel), alone.top_of(theirs, channel)
            assert (top == expected) if exact else [each.sample for each in top] == [each.sample for each in expected]


def described(dataset: mv.ActivationDataset) -> list[tuple[Any, ...]]:
    return [(each.label, each.dims, each.shape, each.dtype, each.module_type, each.note) for each in dataset.records]


def place(record: TensorRecord) -> tuple[str, str, int, str | None]:
    return record.path, record.kind, record.call, record.item or None


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_the_whole_is_that_of_one_process(
    found: Callable[[int], Launch], alone: Callable[[str], mv.ActivationDataset], count: int, case: str
) -> None:
    """Exactly where each rank runs whole layers, with the batches of one process."""
    every = found(count)
    told = every.told(case)
    assert [each["error"] for each in told] == [None] * count
    name, kind = case.split()
    check_equal(every.dataset(case), alone(name), exact=kind in ("fsdp", "hsdp", "apart"))


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_all_run_as_many_forwards_and_none_again(found: Callable[[int], Launch], count: int, case: str) -> None:
    """As many as the group with the most batches has; a launch of which all is there runs none."""
    groups = {"fsdp": count, "hsdp": count, "apart": count, "tp+dp": 2, "beside": 2}.get(case.split()[1], 1)
    told = found(count).told(case)
    assert [each["forwards"] for each in told] == [-(-BATCHES // groups)] * count
    assert [(each["again"], each["error again"]) for each in told] == [(0, None)] * count
    assert all(each["given back"] for each in told)
    folder = found(count).folder / f"{case}.zarr" / "ranks"
    parts = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.exists() else []
    assert parts == ([str(number) for number in range(groups)] if groups > 1 else [])


def check_stopped(told: list[dict[str, Any]], rank: int, own: str, said: str) -> None:
    """One rank has its own error, all others the sentence that names it; the model is as it was."""
    for number, each in enumerate(told):
        expected = own if number == rank else f"DatasetError: rank {rank} stopped, and all ranks with it: {said}. What"
        assert each["error"].startswith(expected), each["error"]
        assert each["given back"]


def test_a_rank_whose_loader_fails_stops_all_and_the_same_launch_goes_on(
    found: Callable[[int], Launch], alone: Callable[[str], mv.ActivationDataset]
) -> None:
    """It had two batches of four, the other rank two of three."""
    every = found(2)
    told = every.told("loader")
    check_stopped(told, 1, "ValueError: this file is damaged", "ValueError: this file is damaged")
    assert [each["forwards"] for each in told] == [2, 2]
    again = every.told("loader again")
    assert [(each["error"], each["forwards"]) for each in again] == [(None, 2)] * 2, "two are left on rank 1"
    check_equal(every.dataset("loader"), alone("transformer"), exact=True)


def test_an_interrupt_on_one_rank_stops_all(
    found: Callable[[int], Launch], alone: Callable[[str], mv.ActivationDataset]
) -> None:
    """In the middle of a forward, which ends first."""
    every = found(2)
    told = every.told("interrupt")
    check_stopped(told, 0, "KeyboardInterrupt: 8 samples are in", "it was interrupted")
    assert "the same launch goes on from there" in told[1]["error"]
    again = every.told("interrupt again")
    assert [(each["error"], each["forwards"]) for each in again] == [(None, 2)] * 2
    check_equal(every.dataset("interrupt"), alone("transformer"), exact=True)


def test_a_loader_without_a_length_and_a_rank_that_is_complete(
    found: Callable[[int], Launch], alone: Callable[[str], mv.ActivationDataset]
) -> None:
    """Rank 1 has three batches of three when rank 0 cannot load its fourth. Whole weights count as those in pieces."""
    every = found(2)
    check_stopped(every.told("front"), 0, "ValueError: this file is damaged", "ValueError: this file is damaged")
    assert [each["forwards"] for each in every.told("front")] == [3, 3]
    again = every.told("front again")
    assert [(each["error"], each["forwards"]) for each in again] == [(None, 1)] * 2
    check_equal(every.dataset("front"), alone("transformer"), exact=True)


def test_a_path_that_is_taken_is_refused_before_a_forward(found: Callable[[int], Launch]) -> None:
    for rank, each in enumerate(found(2).told("there")):
        assert each["error"].startswith("SaveError: ") and f"ranks/{rank}' exists; give another path" in each["error"]
        assert each["forwards"] == 0


def test_an_error_before_the_model_asks_others_waits_for_the_round(found: Callable[[int], Launch]) -> None:
    told = found(2).told("call")
    said = "ForwardError: the forward raised KeyError: 'pixels'"
    assert told[1]["error"].startswith(said) and "rank 1 stopped, and all ranks with it: " + said in told[0]["error"]
    assert mv.open_dataset(found(2).folder / "call.zarr" / "ranks" / "0").samples == 3 * BATCH


def test_a_forward_that_ends_early_on_one_rank_is_said_to_the_others(found: Callable[[int], Launch]) -> None:
    """They wait within their forwards, until the process of that rank ends."""
    told = found(2).told("broken")
    assert told[1]["error"].startswith("ForwardError: the forward raised ValueError: too hot")
    assert told[0]["error"].startswith("DatasetError: another rank stopped in a forward (rank 1: ForwardError: ")
    assert "too hot" in told[0]["error"] and "the same launch goes on" in told[0]["error"]
    assert mv.open_dataset(found(2).folder / "broken.zarr").samples == SAMPLES
    assert "rank 1 of 2 has 2 of 4 batches" in mv.open_dataset(found(2).folder / "broken.zarr").summary


REFUSED = {
    "asking": "cannot run this model alone: the forward asks the other ranks by itself (allreduce), and nothing says",
    "synced": "cannot run this model alone: SyncBatchNorm asks the other ranks in training",
    "one": "rank=0, world_size=1; the weights of this model lie on the ranks of the process group, in which this is ",
    "layers": "rank 1 was given layers 'head', not 'embed' as rank 0. Give all ranks the same model",
    "batches": "ranks 0 and 1 compute the same samples, and their loaders gave different batches",
    "odd": "nothing says how 'odd' lies over the ranks 0, 1, which have other values of it. Leave it out of layers=",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_on_all_ranks(found: Callable[[int], Launch], name: str) -> None:
    for each in found(2).told(name):
        assert each["error"].startswith("DatasetError: ") and REFUSED[name] in each["error"]
        assert each["given back"] and each["forwards"] <= 1
    assert not (found(2).folder / f"{name}.zarr" / "values").exists()


def test_without_the_layer_that_nobody_knows_it_is_recorded(found: Callable[[int], Launch]) -> None:
    assert [each["error"] for each in found(2).told("odd left out")] == [None] * 2
    assert found(2).dataset("odd left out").find("cut.head").shape == (SAMPLES, 6, 20)


@pytest.mark.parametrize(("name", "reduce"), [("cuts", None), ("means", "mean")])
def test_parts_of_other_sizes_and_parts_of_sums_are_put_together(
    found: Callable[[int], Launch], tmp_path: Path, name: str, reduce: str | None
) -> None:
    """Nine channels over two ranks; a layer whose output is a sum over the ranks that no rank has."""
    assert [each["error"] for each in found(2).told(name)] == [None] * 2
    rows = uneven_samples().split(BATCH)
    expected = mv.record_dataset(Uneven().eval(), rows, to=tmp_path / "a.zarr", reduce=reduce, **OPTIONS)
    check_equal(found(2).dataset(name), expected, exact=False)


@pytest.mark.parametrize("count", [2, 4])
def test_a_rank_is_killed_and_the_same_launch_completes(
    tmp_path: Path, alone: Callable[[str], mv.ActivationDataset], count: int
) -> None:
    """In the middle of a forward. The others end with a message, and keep what is committed."""
    victim = random.randrange(count)
    (tmp_path / "kill").write_text(f"{victim} 3")
    exits, errors = launched(RUN, count, tmp_path)
    assert exits == [-signal.SIGKILL if rank == victim else 0 for rank in range(count)], (victim, errors)
    for rank in set(range(count)) - {victim}:
        told = json.loads((tmp_path / f"killed 0 {rank}.json").read_text())
        assert told["error"].startswith("DatasetError: another rank is gone, or did not come within the timeout")
        assert "What was committed is whole, and the same launch goes on from there." in told["error"]
        assert told["forwards"] == 3 and told["given back"]
    begun = mv.open_dataset(tmp_path / "killed.zarr")
    kept = [mv.open_dataset(tmp_path / "killed.zarr" / "ranks" / str(part)).samples // BATCH for part in range(2)]
    assert not begun.complete and 1 <= min(kept) <= 2 and max(kept) <= 3, (
        "a group without the lost rank may end its round"
    )

    (tmp_path / "kill").unlink()
    exits, errors = launched(RUN, count, tmp_path)
    assert exits == [0] * count, errors
    again = Launch(tmp_path, count).told("killed 1")
    left = max(own - there for own, there in zip((3, 4), kept, strict=True))
    assert [(each["error"], each["forwards"]) for each in again] == [(None, left)] * count
    check_equal(mv.open_dataset(tmp_path / "killed.zarr"), alone("transformer"), exact=count == 2)
