"""The rows of docs/limits.md about models that lie over several ranks; see test_limits.py.

One process stands for one of several here; tests/conformance/test_ranks_placement.py starts them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.capture import recurrent_cells
from memviz_widgets.capture.placement import Ranks
from memviz_widgets.capture.placement_following import Following
from memviz_widgets.capture.placement_lies import Lie, Mesh, only_reading
from memviz_widgets.capture.placement_rules import lie_of_result, weights_lie
from memviz_widgets.errors import NotReproducibleError, WhatIfError


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
