"""The rows of docs/limits.md about models that lie over several ranks; see test_limits.py.

One process stands for one of several here; tests/conformance/test_ranks_placement.py starts them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache, capture
from memviz_widgets.cache import dataset_gathered
from memviz_widgets.cache.dataset_gathered import Gathered
from memviz_widgets.cache.dataset_layers import Taken
from memviz_widgets.cache.dataset_wire import lost_rank
from memviz_widgets.capture import SampleGroup, recurrent_cells
from memviz_widgets.capture.placement import Ranks
from memviz_widgets.capture.placement_following import Following
from memviz_widgets.capture.placement_lies import Lie, Mesh, only_reading
from memviz_widgets.capture.placement_rules import lie_of_result, weights_lie
from memviz_widgets.capture.sample_groups import Line
from memviz_widgets.errors import DatasetError, NotReproducibleError, WhatIfError
from memviz_widgets.records import Draft


class Asking(nn.Module):
    """Starts a collective by hand."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        torch.distributed.all_reduce(y)
        return y


def ranked(monkeypatch: pytest.MonkeyPatch, collective: str = "") -> Ranks:
    """What a process of two would know, without starting any."""
    ranks = Ranks(1, [])
    ranks.collective = collective
    for module in ("run", "placement"):
        monkeypatch.setattr(sys.modules[f"memviz_widgets.capture.{module}"], "ranks_of", lambda modules: ranks)
    return ranks


def test_replay_of_weights_on_several_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked(monkeypatch, "its weights lie on several ranks (fully_shard), which must all run it together")
    x, model = torch.ones(1, 2), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    cache = ActivationCache.capture(model, x, budget=0)
    assert not any(record.available for record in cache.records)
    assert "not computed again: its weights lie on several ranks (fully_shard)" in cache.remarks[0]
    with pytest.raises(WhatIfError, match=r"on this rank alone, and its weights lie on several ranks"):
        ActivationCache.capture(model, x).what_if({"0": mv.edit.zero()})


def test_replay_that_asks_other_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        model = nn.Sequential(nn.Linear(2, 2), Asking())
        cache = ActivationCache.capture(model, torch.ones(1, 2), budget=8)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        with pytest.raises(NotReproducibleError, match=r"asks the other ranks \(allreduce\), which take no part"):
            cache.get("1")
    finally:
        monkeypatch.undo()
        torch.distributed.destroy_process_group()


MESH = Mesh((2,), ("tp",), (0, 1))
CUT = Lie(MESH, ("shard 2",), (1, 3, 16))


def test_values_without_a_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked(monkeypatch)._following = Following(())
    (record,) = ActivationCache.capture(nn.Linear(2, 2), torch.ones(1, 2)).records
    assert record.placement is None and record.note == "local shard, rank 1" and record.rank == 1


def test_plain_weights_beside_dtensors() -> None:
    norm, x = nn.LayerNorm(4), torch.ones(1, 3, 4)
    weight = Following(()).lie(norm.weight)
    assert weight is not None and not weight.certain
    known = [(x, Lie(MESH, ("replicate",), (1, 3, 4))), (norm.weight, weight)]
    normed = lie_of_result("layer_norm", known, (x, (4,), norm.weight), {}, norm(x))
    assert normed == Lie(MESH, ("replicate",), (1, 3, 4), certain=False)


def test_fused_projections_over_ranks() -> None:
    """Nothing is known of queries until the model says how what became of them lies."""
    local = torch.ones(1, 3, 8)
    query = local.chunk(2, -1)[0]
    lie = lie_of_result("chunk", [(local, CUT)], (local, 2, -1), {}, query)
    assert lie is not None and (lie.placements, lie.shape) == (("shard 2",), (1, 3, 8))
    assert [claim.stands for claim in lie.claims] == [None]


def test_one_head_per_rank() -> None:
    local = torch.ones(1, 3, 8)
    head = local.view(1, 3, 1, 8)
    lie = lie_of_result("view", [(local, CUT)], (local, 1, 3, 1, 8), {}, head)
    assert lie is not None and only_reading(lie) is None
    query = head.transpose(1, 2)
    turned = lie_of_result("transpose", [(head, lie)], (head, 1, 2), {}, query)
    assert turned is not None
    weights = weights_lie((query, turned), (query, turned), (1, 1, 3, 3))
    assert weights == Lie(MESH, ("shard 1",), (1, 2, 3, 3))
    back = Lie(MESH, ("shard 2",), (1, 3, 2, 8))
    assert lie_of_result("reshape", [(head, back)], (head, 1, 3, 8), {}, local) is None


def test_states_of_sharded_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent_cells, "tensor_kind", lambda value: "dtensor")
    cache = ActivationCache.capture(nn.LSTM(2, 2), torch.ones(3, 1, 2))
    states = [record for record in cache.records if record.memory]
    assert [(record.available, record.note) for record in states] == [
        (False, "input lies on several ranks, of which this one has a part.")
    ]


def test_dataset_of_a_model_that_asks_other_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        with pytest.raises(DatasetError, match=r"run this model alone: the forward asks .* \(allreduce\), which"):
            mv.record_dataset(Asking(), [torch.ones(1, 2), torch.ones(1, 2)], to=tmp_path / "a.zarr")
        normed = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2))
        with pytest.raises(DatasetError, match="cannot run this model alone: SyncBatchNorm asks the other ranks"):
            mv.record_dataset(normed, [torch.ones(1, 2)], to=tmp_path / "b.zarr")
    finally:
        monkeypatch.undo()
        torch.distributed.destroy_process_group()


def test_dataset_of_a_rank_that_is_gone() -> None:
    """What the process group raises in a forward is told from the model's own errors; the launches are elsewhere."""
    gone = RuntimeError("[/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")
    assert lost_rank(gone).startswith("Connection closed by peer")
    assert not lost_rank(RuntimeError("shapes cannot be multiplied"))


def test_dataset_of_values_without_a_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks in one process: the messages of the other one are made by hand."""
    group = SampleGroup(0, MESH, (Line((0, 1), None),))
    draft = Draft(0, "odd", "Odd", 0, "output", "", ("batch",), (1,), "float32", "cpu", 4, "local shard, rank 0")
    mine, theirs = torch.zeros(1), torch.ones(1)
    told = [
        [[rank, [[["odd", 0, "", "float32"], None, [1], capture.checksum(each)]]]]
        for rank, each in enumerate((mine, theirs))
    ]
    monkeypatch.setattr(dataset_gathered, "Wire", lambda ranks, group: SimpleNamespace(said=lambda _: told))
    with pytest.raises(DatasetError, match="nothing says how 'odd' lies over the ranks 0, 1, which have other values"):
        Gathered(group).whole([Taken(draft, mine)], None)
