"""What several ranks record of a data set is, opened, the data set that one process records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import memviz_widgets as mv
from memviz_widgets import capture
from memviz_widgets.cache.ranks_values import not_recorded
from memviz_widgets.errors import ClosedError, DatasetError, FormatError, SaveError
from memviz_widgets.frames import PageSource

from .dataset_runs import BATCH, LAYERS, SAMPLES, batches, files_of, network, pictures, record

pytest.importorskip("zarr")
BATCHES = -(-SAMPLES // BATCH)


class Lazy(Sequence[Tensor]):
    """Batches that are made when they are asked for, and noted."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return BATCHES

    @overload
    def __getitem__(self, number: int) -> Tensor: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, number: int | slice) -> Tensor | Sequence[Tensor]:
        assert isinstance(number, int)
        self.asked.append(number)
        return pictures()[number * BATCH : (number + 1) * BATCH]


class Noted(TensorDataset):
    """Notes which samples are loaded."""

    def __init__(self) -> None:
        super().__init__(pictures())
        self.asked: list[int] = []

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        self.asked.append(number)
        return (self.tensors[0][number],)


def only_forward() -> Iterator[list[Tensor]]:
    yield from batches()


LOADERS: dict[str, Any] = {
    "list": batches,
    "sequence": Lazy,
    "loader": lambda: DataLoader(TensorDataset(pictures()), batch_size=BATCH),
    "front only": only_forward,
    "uneven": lambda: [
        pictures()[first:stop] for first, stop in ((0, 5), (5, 90), (90, 91), (91, 200), (200, SAMPLES))
    ],
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> mv.ActivationDataset:
    return record(tmp_path_factory.mktemp("alone") / "a.zarr", model=network().eval(), top_k=7)


def ranks(to: Path, of: str, world_size: int, only: Sequence[int] | None = None, **options: Any) -> None:
    for rank in range(world_size) if only is None else only:
        settings = {"model": network().eval(), "top_k": 7, **options}
        record(to, LOADERS[of](), rank=rank, world_size=world_size, **settings)


def check_equal(found: mv.ActivationDataset, alone: mv.ActivationDataset, *, exact: bool = True) -> None:
    """All values, statistics and examples; the moments up to the rounding of another order of sums."""
    assert (found.samples, found.complete, found.names()) == (SAMPLES, True, alone.names())
    for path in LAYERS:
        there, here = alone[path], found[path]
        assert torch.equal(there, here) if exact else torch.allclose(there, here, rtol=1e-4, atol=1e-6)
        mine, theirs = found.statistics(path), alone.statistics(path)
        for name in ("mean", "variance"):
            assert np.allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12 if exact else 1e-4, atol=0)
        if exact:
            for name in ("count", "min", "max", "zeros", "nan", "posinf", "neginf", "histogram"):
                assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name
            for channel in range(len(mine.count)):
                assert found.top(path, channel) == alone.top(path, channel)
            assert (found.find(path).dims, found.find(path).dtype) == (alone.find(path).dims, alone.find(path).dtype)


@pytest.mark.parametrize("world_size", [2, 5])
@pytest.mark.parametrize("of", list(LOADERS))
def test_the_whole_is_that_of_one_process(
    tmp_path: Path, of: str, world_size: int, alone: mv.ActivationDataset
) -> None:
    ranks(tmp_path / "a.zarr", of, world_size)
    found = mv.open_dataset(tmp_path / "a.zarr")
    check_equal(found, alone, exact=of != "uneven")  # products of other batches are rounded otherwise
    for number in (0, 77, SAMPLES - 1):
        assert torch.equal(found.sample("3", number), found["3"][number])
    assert f"recorded by {world_size} ranks, on disk" in found.summary
    assert "missing" not in found.summary
    assert not found.remarks


def test_each_part_is_a_data_set_and_loads_only_its_own(tmp_path: Path, alone: mv.ActivationDataset) -> None:
    folder = tmp_path / "a.zarr"
    model = network().eval()
    for rank, (first, stop) in enumerate(((0, 64), (64, 128), (128, SAMPLES))):
        data = Noted()
        record(folder, DataLoader(data, batch_size=BATCH), rank=rank, world_size=3, model=model)
        assert data.asked == list(range(first, stop))
        part = mv.open_dataset(folder / "ranks" / str(rank))
        assert (part.samples, part.complete) == (stop - first, True)
        assert torch.equal(part["3"], alone["3"][first:stop])
    lazy = Lazy()
    record(tmp_path / "b.zarr", lazy, rank=1, world_size=3, model=model)
    assert set(lazy.asked) == {0, BATCHES - 1, *range(4, 8)}  # the first and last say how large batches are


@pytest.mark.parametrize("of", ["list", "loader", "front only"])
def test_a_rank_that_stopped_goes_on_and_the_others_compute_nothing(
    tmp_path: Path, of: str, alone: mv.ActivationDataset
) -> None:
    folder = tmp_path / "a.zarr"
    ranks(folder, of, 2, [0])
    before = files_of(folder / "ranks" / "0")
    seen = 0

    def stopping(model: nn.Module, batch: list[Tensor]) -> Any:
        nonlocal seen
        seen += 1
        if seen == 4:
            raise KeyboardInterrupt
        return model(batch[0])

    with pytest.raises(KeyboardInterrupt, match=r"samples are in '.*ranks/1'; the same call goes on"):
        ranks(folder, of, 2, [1], call=stopping)
    stopped = mv.open_dataset(folder)
    assert not stopped.complete
    assert "rank 1 of 2 has 3 of" in stopped.summary or of == "front only"
    model = network().eval()
    counted: list[int] = []
    model.register_forward_hook(lambda *_: counted.append(1))
    ranks(folder, of, 2, model=model)
    own = BATCHES - BATCHES // 2 if of != "front only" else BATCHES // 2
    assert len(counted) == own - 3  # of rank 1 what was not there, of rank 0 nothing
    assert files_of(folder / "ranks" / "0") == before
    check_equal(mv.open_dataset(folder), alone)


@pytest.mark.parametrize("of", ["list", "front only"])
def test_a_lost_rank_is_said_and_drawn_as_missing(tmp_path: Path, of: str, alone: mv.ActivationDataset) -> None:
    folder = tmp_path / "a.zarr"
    ranks(folder, of, 4, [0, 1, 3])
    found = mv.open_dataset(folder)
    lost = [number for number in range(BATCHES) if (number in (6, 7, 8) if of == "list" else number % 4 == 2)]
    gone = [sample for batch in lost for sample in range(batch * BATCH, min(SAMPLES, (batch + 1) * BATCH))]
    there = [sample for sample in range(SAMPLES) if sample not in gone]
    assert (found.samples, found.complete) == (SAMPLES, False)
    assert "rank 2 of 4 missing" in found.summary
    assert f"{len(there)} of {SAMPLES} samples are recorded" in found.remarks[0]
    values = found["0"]
    assert values[gone].isnan().all()
    assert torch.equal(values[there], alone["0"][there])
    lazy = found.value(found.find("0"))
    assert not_recorded(lazy, (gone[0], 0, 0, 0))
    assert not not_recorded(lazy, (there[-1], 0, 0, 0))
    flat = values[:, 1].flatten(1).nan_to_num(nan=-torch.inf).amax(1)
    order = flat.argsort(descending=True, stable=True)[:7]
    assert [each.sample for each in found.top("0", 1)] == order.tolist()
    assert found.statistics("0").count[0] == len(there) * 36
    source = PageSource(found)
    assert source.value(0, gone[0] * 4, 0, 0).number is None
    assert source.value(0, there[-1] * 4, 0, 0).number == pytest.approx(float(alone["0"][there[-1], 0, 0, 0]))
    assert source.text(0, source.value(0, gone[0] * 4, 0, 0)) == "not recorded"
    assert source.summary == found.summary
    found.save(tmp_path / "capture.zarr")
    saved = mv.ActivationCache.open(tmp_path / "capture.zarr")
    assert torch.equal(saved["0"].nan_to_num(nan=9), values.nan_to_num(nan=9))
    ranks(folder, of, 4, [2])
    check_equal(mv.open_dataset(folder), alone)
    found.close()
    with pytest.raises(ClosedError):
        found.sample("0", 0)


def test_integers_have_missing_samples_too(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    ranks(folder, "list", 2, [1], dtype=torch.int32, layers=["3"])
    found = mv.open_dataset(folder)
    assert found.find("3").dtype == "float64"
    assert found["3"][: 6 * BATCH].isnan().all()
    ranks(folder, "list", 2, [0], dtype=torch.int32, layers=["3"])
    assert mv.open_dataset(folder)["3"].dtype is torch.int32


def test_of_equal_values_the_earlier_sample_comes_first(tmp_path: Path) -> None:
    data = [torch.ones(4, 3) for _ in range(6)]
    for rank in range(3):
        mv.record_dataset(
            nn.Sequential(nn.Identity()), iter(data), to=tmp_path / "a.zarr", top_k=9, rank=rank, world_size=3
        )
    found = mv.open_dataset(tmp_path / "a.zarr")
    assert [each.sample for each in found.top("0", 2)] == list(range(9))


def test_what_was_begun_otherwise_is_refused(tmp_path: Path) -> None:
    folder, single = tmp_path / "a.zarr", tmp_path / "b.zarr"
    ranks(folder, "list", 2, [0])
    record(single, model=network().eval(), top_k=7)
    with pytest.raises(DatasetError, match=r"was begun by 2 ranks, not 3\. Start as many again"):
        ranks(folder, "list", 3, [0])
    with pytest.raises(DatasetError, match="was begun by 2 ranks, not by one process"):
        record(folder, model=network().eval(), top_k=7)
    with pytest.raises(DatasetError, match="begins at its front only"):
        ranks(folder, "front only", 2, [1])
    with pytest.raises(DatasetError, match="was begun by one process, and 2 ranks cannot go on with it"):
        ranks(single, "list", 2, [0])
    with pytest.raises(DatasetError, match=r"was begun with top_k 7, not 3"):
        ranks(folder, "list", 2, [0], top_k=3)
    with pytest.raises(DatasetError, match="the loader gives other samples"):
        record(folder, batches()[:-1], model=network().eval(), top_k=7, rank=0, world_size=2)
    with pytest.raises(SaveError, match="exists; give another path, or resume=True"):
        ranks(folder, "list", 2, [0], resume=False)
    with pytest.raises(DatasetError, match=r"rank 0 recorded top_k 7, not 3 as rank 1\. Give all ranks the same"):
        ranks(folder, "list", 2, [1], top_k=3)
    assert mv.open_dataset(folder / "ranks" / "1").samples == 48  # it stopped at its first commit
    with pytest.raises(FormatError, match="do not belong together: rank 0 recorded top_k 7, not 3 as rank 1"):
        mv.open_dataset(folder)
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "zarr.json").write_text('{"attributes": {}}')
    with pytest.raises(SaveError, match="is no data set"):
        ranks(tmp_path / "c.zarr", "list", 2, [0])


def test_loaders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    data = TensorDataset(pictures())
    options: dict[str, Any] = {"rank": 0, "world_size": 2}
    shared = DataLoader(data, sampler=DistributedSampler(data, 2, 0))
    with pytest.raises(DatasetError, match="has a DistributedSampler, which deals out samples"):
        record(tmp_path / "a.zarr", shared, **options)
    with pytest.raises(DatasetError, match=r"at random \(RandomSampler\)"):
        record(tmp_path / "a.zarr", DataLoader(data, shuffle=True), **options)
    with pytest.raises(DatasetError, match="the loader has 1 batches for 2 ranks"):
        record(tmp_path / "a.zarr", batches()[:1], **options)
    with pytest.raises(DatasetError, match="the loader has 1 batches for 2 ranks"):
        record(tmp_path / "a.zarr", iter(batches()[:1]), rank=1, world_size=2)
    with pytest.raises(DatasetError, match=r"batch 0 gave 8 samples, and 16 were expected"):
        record(tmp_path / "b.zarr", call=lambda model, batch: model(batch[0][:8]), **options)
    with pytest.raises(SaveError, match="expected both, with 0 <= rank < world_size"):
        record(tmp_path / "c.zarr", rank=2, world_size=2)


def test_one_of_one_rank_is_a_plain_data_set(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", rank=0, world_size=1)
    assert not (tmp_path / "a.zarr" / "ranks").exists()


def test_a_model_that_asks_other_ranks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "why_collective", lambda _: "its weights lie on several ranks")
    with pytest.raises(DatasetError, match="cannot run this model alone: its weights lie on several ranks"):
        record(tmp_path / "a.zarr", rank=0, world_size=2)
    assert not (tmp_path / "a.zarr").exists()
