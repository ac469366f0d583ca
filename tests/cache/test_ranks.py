"""What several ranks saved opens as one recording, equal to that of one process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.cache.opening_values import SavedValues
from memviz_widgets.cache.ranks_values import not_recorded
from memviz_widgets.cache.store_format_arrays import Place, StoredArray
from memviz_widgets.errors import ClosedError, FormatError, NotKeptError
from memviz_widgets.records import Placement, TensorRecord

from .rank_parts import batch_of, over, placed, save_batches, save_tensors

BATCHES = (2, 3, 2)


class Reader(nn.Module):
    """Attention, a recurrent memory, a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.block = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, ids: Tensor) -> Tensor:
        states = self.lstm(self.block(self.embed(ids)))[0]
        return self.conv(states[:, None]).relu()


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


def test_calls_of_a_loop_are_joined_over_ranks_and_time(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cell, x = nn.GRUCell(3, 5), torch.randn(4, 5, 3)

    def run(samples: Tensor) -> ActivationCache:
        state = torch.zeros(samples.shape[1], 5)
        with mv.record(cell) as cache:
            for each in samples:
                state = cell(each, state)
        return cache

    for rank, samples in enumerate((x[:, :2], x[:, 2:])):
        placed(run(samples), rank, batch_of(2)).save(tmp_path / "run.zarr", rank=rank, world_size=2)
    joined, single = ActivationCache.open(tmp_path / "run.zarr"), run(x)
    (label,) = joined.memories()
    for one, many in zip(single.memories()[label], joined.memories()[label], strict=True):
        assert (many.kind, many.shape) == (one.kind, one.shape)
        torch.testing.assert_close(joined.get("", one.kind), single.get("", one.kind), rtol=1e-6, atol=1e-6)
    assert joined.get("", "hidden").shape == (5, 4, 5)


def test_a_lost_rank_is_missing_in_what_is_joined_over_time(tmp_path: Path) -> None:
    cell = nn.GRUCell(3, 5)
    for rank in (0, 2):
        state = torch.zeros(2, 5)
        with mv.record(cell) as cache:
            for _ in range(4):
                state = cell(torch.ones(2, 3), state)
        placed(cache, rank, batch_of(3)).save(tmp_path / "run.zarr", rank=rank, world_size=3)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    (parts,) = joined.memories().values()
    value = joined.value(parts[0])
    assert parts[0].shape == (6, 4, 5) and "rank 1 of 3 missing" in parts[0].note
    found = [sample for sample in range(6) if not_recorded(value, (sample, 3, 0))]
    assert found == [2, 3] and torch.isnan(joined.get("", "hidden")[:, 3, 0]).nonzero().flatten().tolist() == found


def test_a_generated_text_is_one_map_of_all_ranks(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ids = torch.randint(3, 50, (3, 5))

    def generated(rows: Tensor) -> ActivationCache:
        cache = transformers.DynamicCache()
        with torch.no_grad(), mv.record(language_model()) as recording:
            for chunk in (rows[:, :3], rows[:, 3:4], rows[:, 4:]):
                recording._session.model(chunk, past_key_values=cache, use_cache=True)
        return recording

    for rank, rows in enumerate((ids[:1], ids[1:])):
        placed(generated(rows), rank, batch_of(2)).save(tmp_path / "run.zarr", rank=rank, world_size=2)
    joined, single = ActivationCache.open(tmp_path / "run.zarr"), generated(ids)
    over_time = [record for record in single.records if record.parts]
    assert {record.kind for record in over_time} >= {"attention", "key", "value"}
    for one in over_time:
        many = next(
            each
            for each in joined.records
            if each.parts and (each.path, each.kind, each.item) == (one.path, one.kind, one.item)
        )
        assert (many.dims, many.shape, many.memory) == (one.dims, one.shape, one.memory)
        torch.testing.assert_close(whole_of(joined, many), whole_of(single, one), rtol=1e-5, atol=1e-6)


def language_model() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    torch.manual_seed(0)
    model: nn.Module = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=50, **sizes, **heads)).eval()
    return model


def whole_of(cache: ActivationCache, record: TensorRecord) -> Tensor:
    value = cache.value(record)
    return value if isinstance(value, Tensor) else value.load()


class Heads(nn.Module):
    """Attention of some heads; of two queries one key."""

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True)


def test_heads_of_all_ranks_are_computed_where_their_query_and_key_are(tmp_path: Path) -> None:
    query, key = torch.randn(2, 8, 5, 4), torch.randn(2, 4, 5, 4)
    one = Placement((2,), ("tp",), (0, 1), ("shard 1",), ())
    for rank in range(2):
        heads, keys = slice(4 * rank, 4 * rank + 4), slice(2 * rank, 2 * rank + 2)
        part = ActivationCache.capture(Heads(), (query[:, heads], key[:, keys]))
        placed(part, rank, lambda record: one).save(tmp_path / "run.zarr", rank=rank, world_size=2)
    joined, single = ActivationCache.open(tmp_path / "run.zarr"), ActivationCache.capture(Heads(), (query, key))
    assert joined.find("", "attention").note == "2 ranks: head"
    assert torch.equal(joined.attention(""), single.attention(""))
    assert torch.equal(joined.attention("", head=5, batch=1), single.attention("", head=5, batch=1))
    index = json.loads((tmp_path / "run.zarr" / "ranks" / "1" / "memviz.json").read_text())
    weights = next(record for record in index["records"] if record["kind"] == "attention")
    assert set(weights["value"]["arrays"]) == {"query", "key"}  # and no weights


# -- other placements


def test_channels_of_a_layer_are_joined(tmp_path: Path) -> None:
    whole = torch.arange(30.0).reshape(2, 3, 5)
    place = over("shard 2", mesh=(2,), names=("tp",), shape=(2, 3, 5))
    save_tensors([{"fc": whole[..., :3]}, {"fc": whole[..., 3:]}], "batch time channel", tmp_path / "run.zarr", place)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert torch.equal(joined["fc"], whole)
    assert joined.find("fc").note == "2 ranks: channel"
    assert joined.find("fc").stats == ActivationCache.from_tensors({"fc": whole}).find("fc").stats


def test_a_mesh_of_two_axes(tmp_path: Path) -> None:
    whole = torch.arange(20.0).reshape(5, 4)
    parts = [{"fc": whole[rows, cols]} for rows in (slice(0, 3), slice(3, 5)) for cols in (slice(0, 2), slice(2, 4))]
    place = over("batch", "shard 1", mesh=(2, 2), names=("dp", "tp"))
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", place)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert torch.equal(joined["fc"], whole)
    assert joined.find("fc").note == "4 ranks: batch (dp), channel (tp)"
    value = joined.value(joined.find("fc"))
    assert not isinstance(value, Tensor)
    assert torch.equal(value.read((slice(2, 4), slice(1, 3))), whole[2:4, 1:3])
    assert torch.equal(value.read((4, slice(1, 2))), whole[4, 1:2])
    assert value.read((slice(0, 0), 1)).shape == (0,)


def test_parts_of_a_sum_are_added_up(tmp_path: Path) -> None:
    place = over("partial sum", mesh=(2,), names=("tp",), shape=(1, 2))
    parts = [{"fc": torch.tensor([[1.0, 2.0]])}, {"fc": torch.tensor([[10.0, -2.0]])}]
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", place)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert joined["fc"].tolist() == [[11.0, 0.0]]
    assert joined.find("fc").stats is None and joined.find("fc").note == "2 ranks: partial sum"


def test_what_is_the_same_everywhere_is_taken_from_the_first_rank_that_has_it(tmp_path: Path) -> None:
    place = over("replicate", mesh=(3,), names=("",), shape=(1, 2))
    parts = [None, {"fc": torch.ones(1, 2)}, {"fc": torch.ones(1, 2)}]
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", place)
    record = ActivationCache.open(tmp_path / "run.zarr").find("fc")
    assert record.note == "3 ranks: replicate; rank 0 of 3 missing"
    assert record.nbytes == 8 and record.stats is not None and record.stats.count == 2


@pytest.mark.parametrize("lost", [None, 2])
def test_what_is_equal_where_the_samples_are_is_joined_like_them(tmp_path: Path, lost: int | None) -> None:
    mesh = over("batch", "shard 1", mesh=(2, 2), names=("dp", "tp"))
    parts: list[dict[str, Tensor] | None] = [
        {"plain": torch.full((1, 2), float(rank // 2)), "own": torch.full((1, 2), float(rank)), "fc": torch.ones(1, 2)}
        for rank in range(4)
    ]
    if lost is not None:
        parts[lost] = None
    path = tmp_path / "run.zarr"
    save_tensors(parts, "batch channel", path, lambda record: mesh(record) if record.path == "fc" else None)
    joined = ActivationCache.open(path)
    assert joined["plain"].tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert joined.find("plain").note.startswith("4 ranks: batch (dp)")
    assert [record.item for record in joined.records if record.path == "own"] == [
        f"rank {rank}" for rank in range(4) if rank != lost
    ]


# -- values of which nothing says how they lie


def test_equal_values_are_one_and_others_stay_apart(tmp_path: Path) -> None:
    parts = [{"same": torch.ones(2, 3), "own": torch.full((2, 3), float(rank))} for rank in range(2)]
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", lambda record: None)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert [record.label for record in joined.records] == ["same", "own[rank 0]", "own[rank 1]"]
    assert joined.find("same").note == "the same on 2 ranks"
    assert joined.get("own", item="rank 1").unique().tolist() == [1.0]
    assert [record.note for record in joined.records[1:]] == ["rank 0", "rank 1"]


def test_stages_of_a_pipeline_follow_each_other(tmp_path: Path) -> None:
    parts = [{"stage0": torch.ones(2, 3)}, {"stage1": torch.zeros(2, 4)}]
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", lambda record: None)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert joined.names() == ("stage0", "stage1")
    assert [(record.note, record.rank) for record in joined.records] == [("rank 0", 0), ("rank 1", 1)]


def test_samples_of_different_lengths_stay_apart(tmp_path: Path) -> None:
    parts = [{"fc": torch.ones(2, 3)}, {"fc": torch.ones(2, 4)}]
    save_tensors(parts, "batch channel", tmp_path / "run.zarr", batch_of(2))
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert [record.label for record in joined.records] == ["fc[rank 0]", "fc[rank 1]"]
    assert joined.records[1].note == (
        "local shard, rank 1: not joined, the ranks' samples differ in size: (2, 3) on rank 0, (2, 4) on rank 1"
    )


def test_a_rank_with_fewer_steps_has_no_samples_in_the_others(tmp_path: Path) -> None:
    for rank, steps in enumerate((2, 1)):
        fc = nn.Linear(2, 2)
        with mv.record(fc) as cache:
            for _ in range(steps):
                fc(torch.ones(3, 2))
        placed(cache, rank, batch_of(2)).save(tmp_path / "run.zarr", rank=rank, world_size=2)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert [record.shape for record in joined.records] == [(6, 2), (3, 2)]
    assert "missing" not in joined.records[1].note


@pytest.mark.parametrize(
    ("other", "shape", "complaint"),
    [
        (
            torch.ones(2, 2).bfloat16(),
            (2, 4),
            r"rank 0 has float32 \(2, 2\) of \(2, 4\), and rank 1 has bfloat16 \(2, 2\)",
        ),
        (
            torch.ones(3, 2),
            (2, 4),
            r"are \(2, 2\) on rank 0, \(3, 2\) on rank 1, which do not fit together along axis 1",
        ),
        (torch.ones(2, 3), (2, 4), r"make \(2, 5\), and it is declared as \(2, 4\)"),
    ],
)
def test_parts_that_contradict_each_other(
    tmp_path: Path, other: Tensor, shape: tuple[int, ...], complaint: str
) -> None:
    place = over("shard 1", mesh=(2,), names=("tp",), shape=shape)
    save_tensors([{"fc": torch.ones(2, 2)}, {"fc": other}], "batch channel", tmp_path / "run.zarr", place)
    with pytest.raises(FormatError, match=complaint):
        ActivationCache.open(tmp_path / "run.zarr")


# -- tokens, closing


def test_tokens_are_those_of_all_samples(model: Reader, ids: Tensor, tmp_path: Path) -> None:
    for rank, batch in enumerate((ids[:2], ids[2:3])):
        tokens = [[f"{rank}.{row}.{place}" for place in range(6)] for row in range(len(batch))]
        cache = placed(ActivationCache.capture(model, batch, tokens=tokens), rank, batch_of(2))
        cache.save(tmp_path / "run.zarr", rank=rank, world_size=2)
    texts = ActivationCache.open(tmp_path / "run.zarr").token_texts
    assert [row[5] for row in texts[0]] == ["0.0.5", "0.1.5", "1.0.5"]


@pytest.mark.parametrize("lost", [None, 2, 3])
def test_ranks_that_saw_the_same_samples_count_once(tmp_path: Path, lost: int | None) -> None:
    place = over("batch", "shard 1", mesh=(2, 2), names=("dp", "tp"))
    for rank in range(4):
        if rank != lost:
            texts, picture = [f"{rank // 2}a", f"{rank // 2}b"], torch.full((1, 3, 2, 2), rank // 2 / 2)
            cache = ActivationCache.from_tensors(
                {"fc": torch.ones(1, 2)}, dims="batch channel", tokens=texts, image=picture
            )
            placed(cache, rank, place).save(tmp_path / "run.zarr", rank=rank, world_size=4)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert joined.token_texts == [[["0a", "0b"], ["1a", "1b"]]]
    assert joined.image[:, 0, 0, 0].tolist() == [0.0, 0.5]


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


def test_lost_channels_of_a_known_size(tmp_path: Path) -> None:
    whole = torch.arange(10).reshape(2, 5)
    place = over("shard 1", mesh=(2,), names=("tp",), shape=(2, 5))
    save_tensors([None, {"fc": whole[:, 3:]}], "batch channel", tmp_path / "run.zarr", place)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert joined.find("fc").dtype == "float64"  # integers have no NaN
    assert joined["fc"][:, :3].isnan().all() and joined["fc"][:, 3:].tolist() == [[3.0, 4.0], [8.0, 9.0]]
    assert (
        joined.find("fc").note == "2 ranks: channel; rank 0 of 2 missing; not recorded: channel 0 to 2 (drawn as NaN)"
    )


def test_what_no_rank_kept_says_so(tmp_path: Path) -> None:
    fc = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    for rank in range(2):
        cache = placed(ActivationCache.capture(fc, torch.randn(8, 4), budget=300), rank, batch_of(2))
        cache.save(tmp_path / "run.zarr", rank=rank, world_size=2, values="held")
    joined = ActivationCache.open(tmp_path / "run.zarr")
    lost = next(record for record in joined.records if not record.available)
    assert lost.shape == (16, 4) and lost.stats is not None and lost.stats.count == 64
    with pytest.raises(NotKeptError, match="not saved, since it was not held"):
        joined.value(lost)
