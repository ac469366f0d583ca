"""A recording that was stopped anywhere goes on from its last commit; the result is that of one without a stop."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import memviz_widgets as mv
from memviz_widgets.cache import dataset_recording as recording
from memviz_widgets.cache.dataset_format import COMMIT_NAME, commit_bytes, read_commit, read_plan
from memviz_widgets.cache.dataset_layers import by_channel
from memviz_widgets.cache.dataset_loader import batches_from
from memviz_widgets.errors import DatasetError, ForwardError, SaveError

from .dataset_runs import BATCH, LAYERS, SAMPLE_BYTES, SAMPLES, batches, files_of, network, pictures, record

pytest.importorskip("zarr")
BATCHES = -(-SAMPLES // BATCH)


class Counted(nn.Sequential):
    """Counts its samples, and stops in a batch."""

    seen = 0
    stop_at = -1
    error: BaseException = KeyboardInterrupt()

    def forward(self, x: Tensor) -> Tensor:
        Counted.seen += len(x)
        if Counted.seen > Counted.stop_at >= 0:
            raise Counted.error
        made: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return made


@pytest.fixture
def counted() -> Counted:
    Counted.seen, Counted.stop_at, Counted.error = 0, -1, KeyboardInterrupt()
    return Counted(*network())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "a.zarr"
    record(folder)
    return files_of(folder)


def test_five_processes_that_were_killed_leave_the_same_bytes(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "a.zarr"
    for after in sorted(random.Random(3).sample(range(1, BATCHES), 5)):
        command = [sys.executable, "-m", "tests.cache.dataset_runs", str(folder), str(after)]
        assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    record(folder)
    assert files_of(folder) == whole


@pytest.mark.parametrize("size", [7, 50, 64])
def test_batches_of_any_size_go_on_bit_by_bit(tmp_path: Path, size: int) -> None:
    """Batches that no shard divides, and batches that are larger than one."""
    places = random.Random(size)
    record(tmp_path / "whole.zarr", batches(size), chunk=30 * SAMPLE_BYTES)
    for run in range(5):
        folder = tmp_path / f"{run}.zarr"
        stop = places.randrange(1, -(-SAMPLES // size))

        def stopping(stop: int = stop) -> Iterator[list[Tensor]]:
            yield from batches(size)[:stop]
            raise RuntimeError("the disk of the data is gone")

        with pytest.raises(RuntimeError, match="disk of the data"):
            record(folder, stopping(), chunk=30 * SAMPLE_BYTES)
        opened = mv.open_dataset(folder)
        assert (opened.samples, opened.complete) == (stop * size, False)
        record(folder, batches(size), chunk="1 GiB")  # the size of shards is that of the beginning
        assert files_of(folder) == files_of(tmp_path / "whole.zarr")


def test_what_is_complete_is_not_computed_again(tmp_path: Path, counted: Counted, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "a.zarr"
    Counted.stop_at = 5 * BATCH
    with pytest.raises(KeyboardInterrupt, match=r"80 samples are in .* the same call goes on from there"):
        record(folder, model=counted)
    assert mv.open_dataset(folder).samples == 5 * BATCH
    Counted.seen, Counted.stop_at = 0, -1
    record(folder, model=counted)
    assert Counted.seen == SAMPLES - 5 * BATCH
    Counted.seen = 0
    again = record(folder, model=counted)
    assert (Counted.seen, again.complete) == (0, True)
    assert {name: data for name, data in files_of(folder).items() if name != "zarr.json"} == {
        name: data for name, data in whole.items() if name != "zarr.json"
    }  # the label names the class


class Loaded(Dataset[Tensor]):
    """Notes which samples are loaded."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, number: int) -> Tensor:
        self.seen.append(number)
        return pictures()[number]


class OfItsOwn(DataLoader[Tensor]):
    """Whatever a subclass does, its batches come one after the other."""


@pytest.mark.parametrize(
    ("loader", "again"),
    [
        (lambda data: DataLoader(data, BATCH), range(4 * BATCH, 5 * BATCH)),
        (lambda data: DataLoader(data, BATCH, sampler=range(SAMPLES)), range(5 * BATCH)),
        (lambda data: OfItsOwn(data, BATCH), range(5 * BATCH)),
        (lambda data: (batch for batch in DataLoader(data, BATCH)), range(5 * BATCH)),
    ],
)
def test_of_what_is_complete_only_the_last_batch_is_loaded_where_the_loader_can(
    tmp_path: Path, counted: Counted, loader: Callable[[Loaded], Any], again: range
) -> None:
    folder, data = tmp_path / "a.zarr", Loaded()
    counted.eval()
    Counted.stop_at = 5 * BATCH
    with pytest.raises(KeyboardInterrupt):
        record(folder, loader(data), model=counted)
    Counted.stop_at = -1
    data.seen.clear()
    record(folder, loader(data), model=counted)
    assert data.seen == [*again, *range(5 * BATCH, SAMPLES)]
    record(tmp_path / "whole.zarr", loader(data), model=counted)
    assert files_of(folder) == files_of(tmp_path / "whole.zarr")


def test_a_recording_begun_before_the_last_batch_was_noted_goes_on_as_it_did(tmp_path: Path, counted: Counted) -> None:
    folder, data = tmp_path / "a.zarr", Loaded()
    counted.eval()
    Counted.stop_at = 5 * BATCH
    with pytest.raises(KeyboardInterrupt):
        record(folder, DataLoader(data, BATCH), model=counted)
    plan, place = read_plan((folder / "zarr.json").read_bytes()), folder / COMMIT_NAME
    commit, state = read_commit(place.read_bytes(), plan)
    assert commit.last is not None
    place.write_bytes(commit_bytes(replace(commit, last=None), state))
    Counted.stop_at = -1
    data.seen.clear()
    record(folder, DataLoader(data, BATCH), model=counted)
    assert data.seen == list(range(SAMPLES))
    record(tmp_path / "whole.zarr", DataLoader(data, BATCH), model=counted)
    assert files_of(folder) == files_of(tmp_path / "whole.zarr")


def test_the_rest_of_a_loader_is_as_of_the_whole() -> None:
    data = list(range(23))
    for size, drop_last in ((5, False), (5, True), (23, True), (24, False)):
        loader: Any = DataLoader(data, size, drop_last=drop_last, collate_fn=tuple)  # type: ignore[arg-type]
        for first in range(len(loader) + 2):
            rest = batches_from(loader, first)
            assert isinstance(rest, DataLoader) and rest.collate_fn is tuple
            assert list(rest) == list(loader)[first:]


def test_a_forward_that_raises_leaves_what_was_before_it(tmp_path: Path, counted: Counted) -> None:
    Counted.stop_at, Counted.error = 3 * BATCH, RuntimeError("out of memory")
    with pytest.raises(ForwardError, match="out of memory"):
        record(tmp_path / "a.zarr", model=counted)
    opened = mv.open_dataset(tmp_path / "a.zarr")
    assert opened.samples == 3 * BATCH
    assert opened.sample("0", 40).isfinite().all()


def test_an_interrupt_between_two_layers_keeps_the_commit_before(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, calls = tmp_path / "a.zarr", 0

    def stopping(*args: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 4 * len(LAYERS) + 2:  # in the fifth batch: the first layer is counted, the second is not
            raise KeyboardInterrupt
        return by_channel(*args)

    with monkeypatch.context() as patch:
        patch.setattr(recording, "by_channel", stopping)
        with pytest.raises(KeyboardInterrupt):
            record(folder)
    assert mv.open_dataset(folder).samples == 48
    record(folder)
    assert files_of(folder) == whole


def test_a_commit_comes_with_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]) -> None:
    monkeypatch.setattr(recording, "COMMIT_S", 0.0)
    folder, seen = tmp_path / "a.zarr", []

    def looking() -> Iterator[list[Tensor]]:
        for number, batch in enumerate(batches()):
            if number:
                seen.append(mv.open_dataset(folder).samples)
            yield batch

    record(folder, looking())
    assert seen == [BATCH * number for number in range(1, BATCHES)]
    assert files_of(folder) == whole


def trained() -> nn.Module:
    model = network()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    return model


def test_another_recording_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    record(folder)
    before = files_of(folder)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model": Counted(*network())}, "model 'Sequential', not 'Counted'"),
        ({"model": trained()}, "weights '"),
        ({"layers": ["0"]}, "layers '0', '3', '4', not '0'"),
        ({"layers": None}, "layers '0', '3', '4', not \\(all\\)"),
        ({"reduce": "mean"}, "reduce \\(none\\), not 'mean'"),
        ({"dtype": torch.float16}, "dtype \\(none\\), not 'float16'"),
        ({"top_k": 2}, "top_k 16, not 2"),
    ]
    for options, text in cases:
        with pytest.raises(DatasetError, match=f"was begun with {text}"):
            record(folder, **options)
    with pytest.raises(SaveError, match="exists; give another path, or resume=True"):
        record(folder, resume=False)
    assert files_of(folder) == before


def test_other_samples_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"

    def ending() -> Iterator[list[Tensor]]:
        yield from batches()[:4]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        record(folder, ending())
    shuffled = pictures()[torch.randperm(SAMPLES)]
    for loader in (shuffled.split(BATCH), batches()[:3]):
        with pytest.raises(DatasetError, match="other samples than those of the 4 batches"):
            record(folder, loader)
    assert record(folder).samples == SAMPLES
