"""What 2 and 4 ranks record is the part of the single-process capture that its placement says, and nothing waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.capture.placement import DIVIDED
from memviz_widgets.records import Placement, TensorRecord

from .rank_launch import launched
from .rank_networks import FUSED, fused, pictures, transformer

NETWORKS = {"transformer": transformer, "cnn": pictures, "fused": fused}

CASES = {
    2: (
        *("transformer ddp", "transformer fsdp", "transformer tp", "transformer sequence", "transformer dtensor"),
        *("cnn ddp", "cnn fsdp", "cnn tp", "fused tp"),
    ),
    4: (
        *("transformer ddp", "transformer fsdp", "transformer tp+dp", "transformer hsdp"),
        *("cnn ddp", "cnn fsdp", "cnn tp+dp", "cnn hsdp"),
    ),
}
EVERY = [(count, case) for count in CASES for case in CASES[count]]
SUMS = 5e-6
"""Largest difference where a sum over channels is cut into the ranks' sums."""
Found = Callable[[int, str], list[dict[str, Any]]]


@lru_cache
def _launched(count: int, folder: Path) -> None:
    codes, errors = launched("tests.conformance.rank_placement_run", count, folder)
    assert codes == [0] * count, errors


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What every rank found in a case; a launch makes all cases of its number of ranks."""
    folders = {count: tmp_path_factory.mktemp(f"{count} ranks") for count in CASES}

    def read(count: int, case: str) -> list[dict[str, Any]]:
        _launched(count, folders[count])
        return [torch.load(folders[count] / f"{case} {rank}.pt", weights_only=False) for rank in range(count)]

    return read


@lru_cache
def alone(name: str, parts: int, part: int) -> ActivationCache:
    """The capture of one process, of the samples that one of several groups of ranks has."""
    network, x = NETWORKS[name]()
    with torch.no_grad():
        return ActivationCache.capture(network, x.chunk(parts)[part])


def coordinates(placement: Placement, rank: int) -> list[int]:
    """Where a rank is on each axis of a mesh."""
    at, stride, found = placement.ranks.index(rank), len(placement.ranks), []
    for size in placement.mesh:
        stride //= size
        found.append(at // stride % size)
    return found


def expected(case: str, record: TensorRecord, placement: Placement, rank: int) -> Tensor:
    """The part of the single-process value that a placement says this rank has."""
    where = coordinates(placement, rank)
    parts = part = 1
    part = 0
    for size, at, text in zip(placement.mesh, where, placement.placements, strict=True):
        if text == "batch":
            parts, part = parts * size, part * size + at
    cache = alone(case.split(maxsplit=1)[0], parts, part)
    value = cache.get(record.path, record.kind, record.call, record.item or None)
    for size, at, text in zip(placement.mesh, where, placement.placements, strict=True):
        if text.startswith("shard"):
            axis = int(text.split()[1])
            value = value.chunk(size, axis)[at]
    return value


def placements(found: list[dict[str, Any]], rank: int = 0) -> dict[str, Placement | None]:
    return {record.label: record.placement for record, _ in found[rank]["records"]}


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_local_values_are_the_parts_that_placements_say(found: Found, count: int, case: str) -> None:
    """Exactly under data parallelism; to the order of summation under tensor parallelism."""
    checked = 0
    for rank, ranked in enumerate(found(count, case)):
        for record, value in ranked["records"]:
            assert record.rank == rank and tuple(value.shape) == record.shape
            if record.placement is None or record.parts or record.path.endswith("qkv"):
                continue  # the rows of a fused projection are in the order of the ranks
            part = expected(case, record, record.placement, rank)
            assert part.shape == value.shape, (record.label, record.placement)
            if "tp" in case or "sequence" in case or "dtensor" in case:
                torch.testing.assert_close(value, part, rtol=0, atol=SUMS, msg=f"{record.label} on rank {rank}")
            else:
                assert torch.equal(value, part), f"{record.label} on rank {rank}"
            checked += 1
    assert checked >= 3 * count


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_the_model_is_given_back(found: Found, count: int, case: str) -> None:
    """Classes, hooks, weights and DTensor itself are as before, also those that fully_shard moves; it trains."""
    for ranked in found(count, case):
        assert ranked["given back"] and ranked["trains"]


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_gradients_and_estimates_change_no_placement(found: Found, count: int, case: str) -> None:
    for ranked in found(count, case):
        assert ranked["same placements"] and ranked["estimate"]


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_looking_on_one_rank_alone_returns(found: Found, count: int, case: str) -> None:
    """A value that is not held is computed again where no other rank is needed, and else refused with the reason."""
    first = found(count, case)[0]
    if "ddp" in case:
        assert first["alone"] == "there" and first["what if"].endswith("records")
        return
    assert first["alone"].startswith("NotKeptError") and "Capture with budget=" in first["alone"]
    reason = "several ranks (fully_shard)" if "fsdp" in case or "dp" in case.split("+") or "hsdp" in case else "DTensor"
    assert reason in first["what if"] and first["what if"].startswith("WhatIfError")
    assert any(reason in remark for remark in first["remarks"])


@pytest.mark.parametrize("count", CASES)
@pytest.mark.parametrize("kind", ["ddp", "fsdp", "hsdp"])
@pytest.mark.parametrize("name", ["transformer", "cnn"])
def test_data_parallel_values_are_samples_of_their_own(found: Found, name: str, kind: str, count: int) -> None:
    """Every value, the states of an LSTM among them."""
    if f"{name} {kind}" not in CASES[count]:
        return
    ranked = found(count, f"{name} {kind}")
    mesh = (2, 2) if kind == "hsdp" else (count,)
    for record, _ in ranked[0]["records"]:
        placement = record.placement
        assert placement is not None and placement.mesh == mesh, record.label
        assert placement.placements == ("batch",) * len(mesh) and placement.ranks == tuple(range(count))
        assert placement.shape == ()
    memories = {record.kind for record, _ in ranked[0]["records"] if record.memory}
    assert memories >= {"hidden", "cell", "gate.f"} or name != "cnn"


def test_states_of_an_lstm_that_is_a_unit_of_its_own(found: Found) -> None:
    """fully_shard has taken its weights away when the call is recorded; a copy of the whole ones is there."""
    for ranked in found(2, "cnn fsdp"):
        assert ranked["absent"] == {}
        kinds = {record.kind for record, _ in ranked["records"] if record.memory}
        assert kinds == {"hidden", "cell", "gate.i", "gate.f", "gate.g", "gate.o"}
        assert all(0 <= residual < 1e-6 for residual in ranked["residuals"]) and len(ranked["residuals"]) == 6


def test_tensor_parallel_placements(found: Found) -> None:
    """Of layers that are cut, of what is computed of them, of the heads; nothing is said where nothing is known."""
    known = placements(found(2, "transformer tp"))

    def whole(label: str) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
        placement = known[label]
        return None if placement is None else (placement.placements, placement.shape)

    assert whole("embed") == (("replicate",), (4, 6, 16))
    assert whole("blocks.1.attn.q") == (("shard 2",), (4, 6, 16))
    assert whole("blocks.1.attn attention") == (("shard 1",), (4, 4, 6, 6))
    assert whole("blocks.1.mlp.1") == (("shard 2",), (4, 6, 32)), "GELU of a cut layer"
    assert whole("blocks.1") == (("replicate",), (4, 6, 16)), "a sum of the replicated"
    assert whole("blocks.1.norm1") is None, "its weights are plain: that all ranks have the same is not known"
    assert whole("head") == whole("(model)") == (("shard 2",), (4, 6, 20))
    cut = placements(found(2, "cnn tp"))
    assert cut["wide"] == Placement((2,), ("ranks",), (0, 1), ("shard 1",), (4, 8)) and cut["features.0"] is None
    assert cut["act"] == cut["wide"]


def test_what_plain_inputs_and_weights_give_is_no_shard(found: Found) -> None:
    """The model says later that all ranks have the same; whether plain weights are, opening the store finds."""
    for ranked in found(2, "cnn tp"):
        notes = {record.label: record.note for record, _ in ranked["records"]}
        assert notes["features.0"] == notes["wide"] == ""


@pytest.mark.parametrize("style", FUSED)
def test_heads_of_fused_projections(found: Found, style: str) -> None:
    """The layer that reads them says how they lie, of whole heads in the order of the ranks."""
    known = placements(found(2, "fused tp"), rank=1)
    heads = known[f"layers.{style} attention"]
    assert heads == Placement((2,), ("ranks",), (0, 1), ("shard 1",), (4, FUSED[style], 6, 6))
    notes = {record.label: record.note for record, _ in found(2, "fused tp")[0]["records"]}
    assert notes[f"layers.{style} attention"] == DIVIDED


def test_tokens_that_are_cut(found: Found) -> None:
    """Sequence parallelism: half of the tokens on each rank; the heads where attention gathers the tokens."""
    ranked = found(2, "transformer sequence")
    shapes = [{record.label: record.shape for record, _ in each["records"]} for each in ranked]
    known = placements(ranked)
    assert [each["blocks.0.norm1"] for each in shapes] == [(4, 3, 16)] * 2
    for label in ("embed", "blocks.0.norm1", "blocks.0.attn.o", "blocks.0"):
        placement = known[label]
        assert placement is not None and (placement.placements, placement.shape) == (("shard 1",), (4, 6, 16)), label
    heads = known["blocks.0.attn attention"]
    assert heads is not None and (heads.placements, heads.shape) == (("shard 1",), (4, 4, 6, 6))


def test_dtensor_results_are_local_parts(found: Found) -> None:
    for ranked in found(2, "transformer dtensor"):
        record, value = next((each, value) for each, value in ranked["records"] if each.path == "head")
        assert type(value) is Tensor and value.shape == (4, 6, 10) and record.note == ""
        assert record.placement is not None and record.placement.shape == (4, 6, 20)


def test_both_at_once(found: Found) -> None:
    """Samples over one axis of the mesh, channels or heads over the other."""
    known = placements(found(4, "transformer tp+dp"), rank=3)
    assert all(placement is not None for placement in known.values())
    heads = known["blocks.0.attn attention"]
    assert heads == Placement((2, 2), ("dp", "tp"), (0, 1, 2, 3), ("batch", "shard 1"), ())
    norm = known["blocks.0.norm1"]
    assert norm is not None and norm.placements == ("batch", "replicate")
    known = placements(found(4, "cnn tp+dp"), rank=3)
    same = Placement((2, 2), ("dp", "tp"), (0, 1, 2, 3), ("batch", "replicate"), ())
    assert {known[label] for label in known if label.startswith(("features", "lstm"))} == {same}
    assert "lstm[l0] cell" in known, "what will be recovered of the same everywhere is that, too"


@pytest.mark.parametrize(("count", "case"), EVERY)
def test_the_opened_store_is_the_capture_of_one_process(found: Found, count: int, case: str) -> None:
    """What all ranks saved, put together; sums in another order where batches or channels are cut."""
    store = found(count, case)[0]["store"]
    whole, opened = alone(case.split(maxsplit=1)[0], 1, 0), ActivationCache.open(store)
    compared = 0
    for record in whole.records:
        if record.path.endswith("qkv"):
            continue
        value = opened.get(record.path, record.kind, record.call, record.item or None)
        expected = whole.get(record.path, record.kind, record.call, record.item or None)
        torch.testing.assert_close(value, expected, rtol=0, atol=SUMS, msg=f"{record.label} of {case}")
        compared += 1
    assert compared >= 4


def test_classes_are_those_of_the_user(found: Found) -> None:
    """fully_shard puts a class of its own in front of that of a module."""
    types = {record.path: record.module_type for record, _ in found(2, "cnn fsdp")[0]["records"]}
    assert types["features"] == "Sequential" and types[""] == "Pictures"


def test_a_replay_that_would_ask_other_ranks_is_refused(found: Found) -> None:
    """Nothing about the model tells that it asks them; the collective itself is refused, and the other ranks go on."""
    first = found(2, "others")[0]
    assert first["asking"].startswith("NotReproducibleError") and "asks the other ranks (allreduce)" in first["asking"]
    assert "asks the other ranks (allreduce)" in first["asking what if"]


def test_values_under_ddp_in_training_come_back_alone(found: Found) -> None:
    """DDP sends buffers before its forward; a replay runs a block inside of it, or is refused."""
    trained = found(2, "others")[0]["trained"]
    assert trained == "there" or "asks the other ranks (broadcast)" in trained


def test_stages_of_a_pipeline_record_what_they_compute(found: Found) -> None:
    """Each its own modules; a microbatch is a step."""
    torch.manual_seed(2)
    layers = [nn.Linear(4, 4) for _ in range(2)]
    x = torch.randn(8, 4)
    for rank, ranked in enumerate(found(2, "others")):
        x = layers[rank](x)
        records = [each for each in ranked["pipeline"] if each[0]]
        assert [(path, step) for path, step, _, _ in records] == [(f"layer{rank}", step) for step in range(4)]
        for (_, _, value, placement), part in zip(records, x.chunk(4), strict=True):
            torch.testing.assert_close(value, part, rtol=0, atol=SUMS)
            assert placement is None
