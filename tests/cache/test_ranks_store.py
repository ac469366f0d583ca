"""The folder that several ranks share: who may write what, what is refused, and damage."""

from __future__ import annotations

import json
import shutil
import uuid
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import FormatError, MemvizError, SaveError

from .rank_parts import batch_of, over, placed, save_batches, save_tensors
from .test_saving_fuzz import HOSTILE, _put, files_of, forge, index_of, places_in, with_change

MODEL = nn.Linear(4, 3)
X = torch.arange(20.0).reshape(5, 4)


def part(rank: int, world_size: int = 2, scale: float = 1.0) -> ActivationCache:
    batch = X.tensor_split(world_size)[rank]
    return placed(ActivationCache.capture(MODEL, batch * scale), rank, batch_of(world_size))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    save_batches(MODEL, X.tensor_split(2), tmp_path / "run.zarr")
    return tmp_path / "run.zarr"


@pytest.mark.parametrize("options", [{}, {"rank": 0, "world_size": 1}])
def test_one_process_saves_a_plain_capture(tmp_path: Path, options: dict[str, Any]) -> None:
    ActivationCache.capture(MODEL, X).save(tmp_path / "run.zarr", **options)
    assert not (tmp_path / "run.zarr" / "ranks").exists()


def test_each_rank_writes_the_same_label(tmp_path: Path) -> None:
    labels = []
    for rank in range(2):
        part(rank).save(tmp_path / "run.zarr", rank=rank, world_size=2)
        labels.append((tmp_path / "run.zarr" / "zarr.json").read_bytes())
    assert labels[0] == labels[1]
    label = json.loads(labels[0])["attributes"]["memviz"]
    assert label == {"format": "memviz_widgets ranks", "version": 1, "world_size": 2, "launch": label["launch"]}
    assert sorted(path.name for path in (tmp_path / "run.zarr").iterdir()) == ["ranks", "zarr.json"]


def test_a_store_elsewhere(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/run.zarr"
    for rank in (1, 0):
        part(rank).save(url, rank=rank, world_size=2)
    with pytest.raises(SaveError, match=r"ranks/1' exists; give another path, or overwrite=True"):
        part(1).save(url, rank=1, world_size=2)
    part(1, scale=2.0).save(url, rank=1, world_size=2, overwrite=True)
    opened = ActivationCache.open(url)
    assert torch.equal(opened[""], torch.cat([MODEL(X[:3]), MODEL(2 * X[3:])]))


def test_overwriting_replaces_only_the_part_of_this_rank(store: Path) -> None:
    before = (store / "ranks" / "0" / "memviz.json").stat().st_mtime_ns
    part(1, scale=2.0).save(store, rank=1, world_size=2, overwrite=True)
    assert (store / "ranks" / "0" / "memviz.json").stat().st_mtime_ns == before
    assert torch.equal(ActivationCache.open(store)[""][3:], MODEL(2 * X[3:]))


def test_a_part_is_not_replaced_unasked(store: Path) -> None:
    with pytest.raises(SaveError, match=r"ranks/1' exists; give another path, or overwrite=True"):
        part(1).save(store, rank=1, world_size=2)


def test_another_launch_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "the next one")
    with pytest.raises(SaveError, match=r"was saved by another launch, of 2 ranks; give another path, or overwrite"):
        part(1).save(store, rank=1, world_size=2)
    part(1).save(store, rank=1, world_size=2, overwrite=True)
    with pytest.raises(FormatError, match=r"different launches: rank 0 saved in another one than the rest.*overwrite"):
        ActivationCache.open(store)
    part(0).save(store, rank=0, world_size=2, overwrite=True)
    assert torch.equal(ActivationCache.open(store)[""], MODEL(X))


def test_another_number_of_ranks_is_another_launch(store: Path) -> None:
    with pytest.raises(SaveError, match="another launch, of 2 ranks"):
        part(2, 3).save(store, rank=2, world_size=3)


def test_parts_of_ranks_that_are_no_more_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_batches(MODEL, X.tensor_split(3), tmp_path / "run.zarr")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "with two")
    for rank in range(2):
        part(rank).save(tmp_path / "run.zarr", rank=rank, world_size=2, overwrite=True)
    assert torch.equal(ActivationCache.open(tmp_path / "run.zarr")[""], MODEL(X))


def test_more_ranks_than_before_replace_the_parts_one_by_one(store: Path) -> None:
    for rank in range(3):
        part(rank, 3).save(store, rank=rank, world_size=3, overwrite=True)
        if rank == 0:
            with pytest.raises(FormatError, match="different launches: rank 1 saved in another one than the rest"):
                ActivationCache.open(store)
    assert torch.equal(ActivationCache.open(store)[""], MODEL(X))


def test_one_file_is_not_for_several_ranks(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"2 ranks save into one folder; write 'run\.zarr'"):
        part(0).save(tmp_path / "run.safetensors", rank=0, world_size=2)


def test_a_plain_capture_is_not_mixed_with_parts(tmp_path: Path) -> None:
    ActivationCache.capture(MODEL, X).save(tmp_path / "run.zarr")
    with pytest.raises(SaveError, match="is a saved capture of one process, so rank 0 cannot add its part"):
        part(0).save(tmp_path / "run.zarr", rank=0, world_size=2, overwrite=True)


def test_a_store_of_ranks_is_not_replaced_by_a_plain_capture(store: Path) -> None:
    with pytest.raises(SaveError, match="exists and is no saved capture"):
        ActivationCache.capture(MODEL, X).save(store, overwrite=True)


@pytest.mark.parametrize(("rank", "world_size"), [(0, None), (None, 2), (2, 2), (-1, 2), (0.5, 2), (True, 2)])
def test_rank_and_number_of_ranks_belong_together(tmp_path: Path, rank: Any, world_size: Any) -> None:
    with pytest.raises(SaveError, match="expected both, with 0 <= rank < world_size, or neither"):
        part(0).save(tmp_path / "run.zarr", rank=rank, world_size=world_size)


# -- saving what was opened


def test_what_was_opened_is_saved_with_all_parts(store: Path, tmp_path: Path) -> None:
    opened = ActivationCache.open(store)
    opened.save(tmp_path / "copy.zarr")
    for file in files_of(store):
        assert (tmp_path / "copy.zarr" / file.relative_to(store)).read_bytes() == file.read_bytes(), file
    with pytest.raises(SaveError, match="is what this cache reads its values from"):
        opened.save(store)
    with pytest.raises(SaveError, match=r"ranks/0' exists; give another path"):
        opened.save(tmp_path / "copy.zarr")
    opened.save(tmp_path / "copy.zarr", overwrite=True)
    assert torch.equal(ActivationCache.open(tmp_path / "copy.zarr")[""], MODEL(X))


# -- damage


def test_no_part_at_all(store: Path) -> None:
    shutil.rmtree(store / "ranks")
    with pytest.raises(FormatError, match="the parts of all 2 ranks are missing"):
        ActivationCache.open(store)


def test_a_part_that_was_begun_is_a_lost_one(store: Path) -> None:
    (store / "ranks" / "1" / "zarr.json").unlink()
    assert ActivationCache.open(store).summary.endswith("rank 1 of 2 missing")


def test_a_damaged_part_is_named(store: Path) -> None:
    chunk = next(path for path in files_of(store / "ranks" / "1") if path.name.startswith("c"))
    chunk.write_bytes(bytes(chunk.stat().st_size))
    opened = ActivationCache.open(store)
    with pytest.raises(FormatError, match=r"ranks/1' cannot be opened: the checksum of chunk"):
        opened.get("")


def test_a_part_of_another_rank_is_refused(store: Path) -> None:
    shutil.rmtree(store / "ranks" / "1")
    shutil.copytree(store / "ranks" / "0", store / "ranks" / "1")
    with pytest.raises(FormatError, match="it is not the part of rank 1"):
        ActivationCache.open(store)


def test_a_newer_version_is_refused(store: Path) -> None:
    _change_label(store, version=2)
    with pytest.raises(FormatError, match=r"version 2 of the format of several ranks.*up to version 1; upgrade it"):
        ActivationCache.open(store)


def _change_label(store: Path, **entries: Any) -> None:
    whole = json.loads((store / "zarr.json").read_text())
    whole["attributes"]["memviz"] |= entries
    (store / "zarr.json").write_text(json.dumps(whole))


@pytest.mark.parametrize("name", ["version", "world_size", "launch"])
def test_a_label_that_somebody_wrote(store: Path, name: str) -> None:
    text = (store / "zarr.json").read_text()
    refused = 0
    for hostile in [*HOSTILE, 0]:
        (store / "zarr.json").write_text(text)
        _change_label(store, **{name: hostile})
        try:
            ActivationCache.open(store)
        except FormatError:
            refused += 1
    assert refused >= len(HOSTILE) - 1


@pytest.mark.parametrize("lost", [False, True], ids=["all there", "one lost"])
def test_placements_that_somebody_wrote(tmp_path: Path, lost: bool) -> None:
    place = over("batch", "shard 1", mesh=(2, 1), names=("dp", "tp"), shape=(4, 3))
    parts: list[dict[str, Tensor] | None] = [{"fc": torch.ones(2, 3)}, None if lost else {"fc": torch.ones(2, 3)}]
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", place)
    target = tmp_path / "run.zarr" / "ranks" / "0"
    index = index_of(target)
    wanted = ("placement", "rank", "part")
    refused = tried = 0
    for place_in in [each for each in places_in(index) if any(key in wanted for key in each)]:
        for hostile in [*HOSTILE, [2**20, 2**20], "shard 7", "shard 0", "partial sum", "replicate", (3, 4)]:
            forge(target, with_change(deepcopy(index), place_in, lambda at, key: _put(hostile, at, key)))  # noqa: B023
            tried += 1
            try:
                opened = ActivationCache.open(tmp_path / "run.zarr")
                assert all(opened.get(each.path, item=each.item).numel() < 100 for each in opened.records)
            except MemvizError:
                refused += 1
    assert tried > 150 and refused > tried // 2
