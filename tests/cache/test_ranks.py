"""What several ranks saved of their samples opens as one recording, equal to that of one process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from memviz_widgets import ActivationCache
from memviz_widgets.cache.opening_values import SavedValues
from memviz_widgets.cache.store_format_arrays import Place, StoredArray
from memviz_widgets.errors import ClosedError

from .rank_parts import Reader, batch_of, placed, save_batches

BATCHES = (2, 3, 2)


@pytest.fixture(scope="module")
def model() -> Reader:
    torch.manual_seed(0)
    return Reader().eval()


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(0, 20, (sum(BATCHES), 6), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def single(model: Reader, ids: Tensor) -> Iterator[ActivationCache]:
    cache = ActivationCache.capture(model, ids)
    yield cache
    cache.close()


@pytest.fixture(scope="module")
def saved(model: Reader, ids: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks") / "run.zarr"
    save_batches(model, ids.split(BATCHES), path)
    return path


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    """A copy that may lose parts."""
    return shutil.copytree(saved, tmp_path / "run.zarr")


def test_samples_of_all_ranks_are_one_value(saved: Path, single: ActivationCache) -> None:
    joined = ActivationCache.open(saved)
    assert joined.names() == single.names()
    assert len(joined.records) == len(single.records)
    for one, many in zip(single.records, joined.records, strict=True):
        assert (many.label, many.call, many.dims, many.shape) == (one.label, one.call, one.dims, one.shape)
        where = one.path, one.kind, one.call, one.item
        torch.testing.assert_close(joined.get(*where), single.get(*where), rtol=1e-6, atol=1e-6)
        assert many.note == "3 ranks: batch"


def test_values_of_the_ranks_are_not_changed(saved: Path, model: Reader, ids: Tensor) -> None:
    joined, part = ActivationCache.open(saved), ActivationCache.capture(model, ids[2:5])
    for record in part.records:
        where = record.path, record.kind, record.call, record.item
        batch = record.dims.index("batch")
        assert torch.equal(joined.get(*where).narrow(batch, 2, 3), part.get(*where)), record.label


def test_statistics_are_those_of_all_samples(saved: Path, single: ActivationCache) -> None:
    joined = ActivationCache.open(saved)
    one, many = single.find("").stats, joined.find("").stats
    values = single[""].double()
    assert one is not None and many is not None
    torch.testing.assert_close(joined[""], single[""], rtol=1e-6, atol=1e-6)
    assert (many.zeros, many.count, many.nan) == (one.zeros, one.count, one.nan) and one.zeros > 0.1
    assert many.min == joined[""].min() and many.max == joined[""].max()
    assert many.mean == pytest.approx(values.mean().item(), rel=1e-6)
    assert many.std == pytest.approx(values.std(correction=0).item(), rel=1e-6)


def test_a_frame_reads_only_the_part_that_it_lies_in(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = SavedValues._read_chunk

    def counted(self: SavedValues, array: StoredArray, place: Place) -> Tensor:
        read.append(self.place.root.rpartition("/")[2])
        return original(self, array, place)

    monkeypatch.setattr(SavedValues, "_read_chunk", counted)
    joined = ActivationCache.open(saved)
    value = joined.value(joined.find("embed"))
    assert not isinstance(value, Tensor) and not read
    assert value.read((3, slice(None), slice(0, 2))).shape == (6, 2)
    assert read == ["1"]
    joined.attention("block.self_attn", head=2, batch=6)
    assert set(read[1:]) == {"2"}


def test_attention_is_that_of_the_ranks_computed_per_head(saved: Path, single: ActivationCache) -> None:
    joined = ActivationCache.open(saved)
    for sample in range(7):
        one = single.attention("block.self_attn", batch=sample, head=1)
        many = joined.attention("block.self_attn", batch=sample, head=1)
        torch.testing.assert_close(many, one, rtol=1e-6, atol=1e-6)


def test_memories_are_joined(saved: Path) -> None:
    memories = ActivationCache.open(saved).memories()
    assert list(memories) == ["lstm l0"]
    assert {record.kind: record.shape for record in memories["lstm l0"]}["gate.f"] == (7, 6, 8)


def test_a_part_opens_by_itself(saved: Path, model: Reader, ids: Tensor) -> None:
    part = ActivationCache.open(saved / "ranks" / "2")
    assert torch.equal(part[""], ActivationCache.capture(model, ids[5:])[""])
    assert part.records[0].rank == 2


def test_tokens_are_those_of_all_samples(model: Reader, ids: Tensor, tmp_path: Path) -> None:
    for rank, batch in enumerate((ids[:2], ids[2:3])):
        tokens = [[f"{rank}.{row}.{place}" for place in range(6)] for row in range(len(batch))]
        cache = placed(ActivationCache.capture(model, batch, tokens=tokens), rank, batch_of(2))
        cache.save(tmp_path / "run.zarr", rank=rank, world_size=2)
    texts = ActivationCache.open(tmp_path / "run.zarr").token_texts
    assert [row[5] for row in texts[0]] == ["0.0.5", "0.1.5", "1.0.5"]


def test_a_closed_cache_reads_nothing(saved: Path) -> None:
    joined = ActivationCache.open(saved)
    value = joined.value(joined.find("embed"))
    joined.close()
    with pytest.raises(ClosedError, match="this cache was closed"):
        joined.get("embed")
    with pytest.raises(ClosedError, match="open the saved capture again"):
        value.load()  # type: ignore[union-attr]


# -- a rank that saved nothing


def test_a_lost_rank_is_said_and_its_samples_are_no_values(copied: Path, single: ActivationCache) -> None:
    shutil.rmtree(copied / "ranks" / "2")
    joined = ActivationCache.open(copied)
    assert joined.summary.endswith("recorded by 3 ranks, on disk, rank 2 of 3 missing")
    assert joined.remarks == ("rank 2 of 3 missing: nothing was saved there; the records say what they lack",)
    assert joined.find("embed").note == (
        "3 ranks: batch; rank 2 of 3 missing; what rank 2 had is left out, since its size is not known"
    )
    assert torch.equal(joined["embed"], single["embed"][:5])


def test_the_size_of_a_lost_part_is_that_of_the_others(copied: Path, single: ActivationCache) -> None:
    shutil.rmtree(copied / "ranks" / "1")
    joined = ActivationCache.open(copied)
    values = joined["embed"]
    assert values[2:4].isnan().all() and torch.equal(values[4:], single["embed"][5:])
    assert joined.find("embed").note.endswith(
        "not recorded: batch 2 to 3, taken to be as large as the others (drawn as NaN)"
    )
    stats = joined.find("embed").stats
    assert stats is not None and (stats.nan, stats.count) == (0, 4 * 6 * 16)
    assert joined.attention("block.self_attn", batch=2).isnan().all()
    assert not joined.attention("block.self_attn", batch=4).isnan().any()
