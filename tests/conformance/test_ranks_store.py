"""What 2 and 4 ranks record of a transformer and a CNN with a memory equals the capture of one process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from memviz_widgets import ActivationCache
from memviz_widgets.cache.ranks_values import RanksValue

from .rank_launch import ENVIRONMENT, LAUNCH_S, ROOT, launched
from .ranks_store_run import BATCHES, networks

NAMES = ("transformer", "cnn")


class Launch(NamedTuple):
    """A launch that has ended."""

    folder: Path
    world_size: int
    found: list[dict[str, Any] | None]


@pytest.fixture(scope="module", params=sorted(BATCHES), ids=lambda count: f"{count} ranks")
def launch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    count, folder = request.param, tmp_path_factory.mktemp("launch")
    exits, errors = launched("tests.conformance.ranks_store_run", count, folder)
    assert exits == [0] * (count - 1) + [-signal.SIGKILL], errors
    reports = [folder / f"{rank}.json" for rank in range(count)]
    found = [json.loads(each.read_text()) if each.exists() else None for each in reports]
    return Launch(folder, count, found)


def single(name: str, world_size: int) -> ActivationCache:
    network, x = networks()[name]
    return ActivationCache.capture(network, x[: sum(BATCHES[world_size])])


def get(cache: ActivationCache, record: Any) -> Tensor:
    return cache.get(record.path, record.kind, record.call, record.item)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["", " gathered"])
def test_the_opened_store_equals_the_capture_of_one_process(launch: Launch, name: str, kind: str) -> None:
    joined, one = ActivationCache.open(launch.folder / f"{name}{kind}.zarr"), single(name, launch.world_size)
    assert joined.names() == one.names()
    assert len(joined.records) == len(one.records)
    for mine, record in zip(joined.records, one.records, strict=True):
        assert (mine.label, mine.dims, mine.shape, mine.dtype) == (
            record.label,
            record.dims,
            record.shape,
            record.dtype,
        )
        # A matrix product over fewer rows may round otherwise: to some units in the last place of float32.
        torch.testing.assert_close(get(joined, mine), get(one, record), rtol=1e-5, atol=1e-6)
        assert mine.note == f"{launch.world_size} ranks: batch"


@pytest.mark.parametrize("name", NAMES)
def test_every_rank_s_samples_are_exactly_what_it_computes(launch: Launch, name: str) -> None:
    joined, (network, x) = ActivationCache.open(launch.folder / f"{name}.zarr"), networks()[name]
    start, threads = 0, torch.get_num_threads()
    torch.set_num_threads(1)  # as the ranks had
    try:
        for count in BATCHES[launch.world_size]:
            own = ActivationCache.capture(network, x[start : start + count])
            for record in own.records:
                part = get(joined, record).narrow(record.dims.index("batch"), start, count)
                assert torch.equal(part, get(own, record)), record.label
            start += count
    finally:
        torch.set_num_threads(threads)


def test_the_ranks_agree_on_their_launch_and_on_no_other(launch: Launch) -> None:
    tokens = {found["launch"] for found in launch.found if found is not None}
    assert len(tokens) == 1 and len(tokens.pop()) >= 16
    other = json.loads((launch.folder / "cnn.zarr" / "zarr.json").read_text())["attributes"]["memviz"]
    assert other["launch"] == launch.found[0]["launch"]  # type: ignore[index]


@pytest.mark.parametrize("name", NAMES)
def test_rank_0_gets_the_whole_and_the_others_keep_their_own(launch: Launch, name: str) -> None:
    sizes = BATCHES[launch.world_size]
    first, second = launch.found[0], launch.found[1] if launch.world_size > 2 else None
    assert first is not None and first[name]["shape"][0] == sum(sizes)
    assert first[name]["whole"].endswith(f"recorded by {launch.world_size} ranks, all gathered")
    assert first[name]["steps"] == sum(sizes) and first[name]["hooks"] == 0
    if second is not None:
        assert second[name]["shape"][0] == second[name]["steps"] == sizes[1]


def test_gathered_values_stay_within_the_budget_of_rank_0(launch: Launch) -> None:
    assert launch.found[0] is not None and 0 < launch.found[0]["tight"] <= 6000


def test_a_killed_rank_is_said_and_the_rest_opens(launch: Launch) -> None:
    last, sizes = launch.world_size - 1, BATCHES[launch.world_size]
    joined, one = ActivationCache.open(launch.folder / "lost.zarr"), single("cnn", launch.world_size)
    assert joined.summary.endswith(f"rank {last} of {launch.world_size} missing")
    value = joined.value(joined.find("features.0"))
    there = sum(sizes[:-1])
    read = value.read((slice(0, there), 0, 0, 0)) if isinstance(value, RanksValue) else value[:there, 0, 0, 0]  # type: ignore[index]
    torch.testing.assert_close(read, one["features.0"][:there, 0, 0, 0], rtol=1e-5, atol=1e-6)


def test_gathering_without_a_rank_that_is_gone_is_an_error_and_not_a_hang(launch: Launch) -> None:
    first = launch.found[0]
    assert first is not None
    assert "did not take part in gathering" in first["gather"] and "gather=True" in first["gather"]
    assert first["own"] > 5  # what the rank itself recorded is not lost


def test_the_script_of_the_documentation_runs_under_torchrun(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").partition("## Several processes")[2]
    script = re.findall(r"```python\n(# ranks.py.*?)```", section, re.DOTALL)[0]
    (tmp_path / "ranks.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "ranks.py"]
    for _ in range(2):  # the second launch takes the place of the first
        ended = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, timeout=LAUNCH_S, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
    opened = ActivationCache.open(tmp_path / "ranks.zarr")
    assert opened["linear1"].shape == (8, 6, 32) and opened.find("linear1").note == "2 ranks: batch"
    label = json.loads((tmp_path / "ranks.zarr" / "zarr.json").read_text())["attributes"]["memviz"]
    assert label["world_size"] == 2
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{16}", label["launch"])  # of the launcher, and drawn from the store
