"""How values of several ranks are put together: channels, heads, sums, equal ones; and those that stay apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import FormatError, NotKeptError
from memviz_widgets.records import Placement

from .rank_parts import batch_of, over, placed, save_tensors


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
