"""Tensors that may lie in several ways over the ranks, until an operation or the model itself leaves only one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.capture.placement import Claimed
from memviz_widgets.capture.placement_following import Following
from memviz_widgets.capture.placement_lies import Claim, Lie, Mesh, only_reading, settle_claims
from memviz_widgets.capture.placement_rules import lie_of_result
from memviz_widgets.records import Placement

MESH = Mesh((2,), ("tp",), (0, 1))
CHANNELS = Lie(MESH, ("shard 2",), (2, 3, 16))
"""Of (B, T, C), of which each of two ranks has 8 channels."""
LOCAL = torch.randn(2, 3, 8)
SDPA = "scaled_dot_product_attention"


def after(name: str, *given: tuple[Tensor, Lie | None], rest: tuple[Any, ...] = (), out: Tensor) -> Lie | None:
    """How what a function gives of some tensors lies."""
    known = [(tensor, lie) for tensor, lie in given if lie is not None]
    return lie_of_result(name, known, (*(tensor for tensor, _ in known), *rest), {}, out)


def of(lie: Lie | None) -> list[tuple[str, tuple[int, ...], int]]:
    """Readings: placement, whole shape, number of claims."""
    return [(each.placements[0], each.shape, len(each.claims)) for each in lie.readings] if lie else []


def test_one_head_per_rank_is_known_where_the_call_names_no_number_of_heads() -> None:
    heads = LOCAL.view(2, 3, 1, 8)
    assert of(after("view", (LOCAL, CHANNELS), rest=(2, 3, -1, 8), out=heads)) == [("shard 2", (2, 3, 2, 8), 0)]
    in_numbers = after("view", (LOCAL, CHANNELS), rest=(2, 3, 1, 8), out=heads)
    assert of(in_numbers) == [("shard 2", (2, 3, 2, 8), 0), ("shard 3", (2, 3, 1, 16), 0)]
    assert only_reading(in_numbers) is None


def test_attention_leaves_the_reading_of_whole_heads() -> None:
    """Scores of a part of a head would be a part of a sum."""
    one = LOCAL.view(2, 3, 1, 8)
    lie = after("view", (LOCAL, CHANNELS), rest=(2, 3, 1, 8), out=one)
    query = one.transpose(1, 2)
    turned = after("transpose", (one, lie), rest=(1, 2), out=query)
    out = nn.functional.scaled_dot_product_attention(query, query, query)
    assert of(after(SDPA, *[(query, turned)] * 3, out=out)) == [("shard 1", (2, 2, 3, 8), 0)]
    scores = query @ query.mT
    key = after("transpose", (query, turned), rest=(-1, -2), out=query.mT)
    assert of(after("matmul", (query, turned), (query.mT, key), out=scores)) == [("shard 1", (2, 2, 3, 3), 0)]


def test_heads_that_are_merged_again() -> None:
    """Of one head only the call itself tells that it goes into the channels and not into the tokens."""
    heads, lie = torch.ones(2, 3, 1, 8), Lie(MESH, ("shard 2",), (2, 3, 2, 8))
    merged = heads.reshape(2, 3, 8)
    assert of(after("reshape", (heads, lie), rest=(2, 3, -1), out=merged)) == [("shard 2", (2, 3, 16), 0)]
    assert of(after("flatten", (heads, lie), rest=(2,), out=merged)) == [("shard 2", (2, 3, 16), 0)]
    assert after("reshape", (heads, lie), rest=(2, 3, 8), out=merged) is None


def test_a_fused_projection_as_an_axis() -> None:
    """(B, T, 3, N, D) of each rank: what is taken at 0 of the third axis is side by side only if the model says so."""
    local = torch.ones(2, 3, 24)
    split = local.reshape(2, 3, 3, 2, 4)
    lie = after("reshape", (local, Lie(MESH, ("shard 2",), (2, 3, 48))), rest=(2, 3, 3, 2, 4), out=split)
    assert of(lie) == [
        ("shard 2", (2, 3, 6, 2, 4), 0),
        ("shard 3", (2, 3, 3, 4, 4), 1),
        ("shard 4", (2, 3, 3, 2, 8), 1),
    ]
    query = split.unbind(2)[0].transpose(1, 2)
    taken = after("unbind", (split, lie), rest=(2,), out=split[:, :, 0])
    assert [each[0] for each in of(taken)] == ["shard 2", "shard 3"]
    heads = after("transpose", (split[:, :, 0], taken), rest=(1, 2), out=query)
    out = nn.functional.scaled_dot_product_attention(query, query, query)
    assert of(after(SDPA, *[(query, heads)] * 3, out=out)) == [("shard 1", (2, 4, 3, 4), 1)]


@pytest.mark.parametrize("one", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("other", [None, 0, 1, 2, 3])
def test_matrix_products_of_parts_are_parts_of_the_product(one: int | None, other: int | None) -> None:
    left, right = torch.randn(2, 4, 6, 8), torch.randn(2, 4, 8, 10)
    lies, parts = [], []
    for whole, axis in ((left, one), (right, other)):
        text = "replicate" if axis is None else f"shard {axis}"
        lies.append(Lie(MESH, (text,), tuple(whole.shape)))
        parts.append(whole if axis is None else whole.chunk(2, axis)[1])
    try:
        out = parts[0] @ parts[1]
    except RuntimeError:
        return  # parts that no rank could multiply
    lie = after("matmul", (parts[0], lies[0]), (parts[1], lies[1]), out=out)
    if one is None and other is None:
        assert lie is not None and lie.replicated
        return
    whole = left @ right
    rows_or_columns = {(2, None), (None, 3), (0, 0), (1, 1)}
    assert (lie is not None) is ((one, other) in rows_or_columns)
    if lie is not None:
        (axis,) = lie.sharded
        assert lie.shape == tuple(whole.shape)
        torch.testing.assert_close(out, whole.chunk(2, axis)[1])


def test_the_model_confirms_or_refutes() -> None:
    claim = Claim(divided=True)
    lie = Lie(MESH, ("shard 1",), (2, 4), claims=frozenset([claim]))
    placement = Placement((2,), ("tp",), (0, 1), ("shard 1",), (2, 4))
    record = Claimed(lie.claims, placement, "", "unknown")
    assert record.settled() == (None, "unknown")
    settle_claims(lie, Lie(MESH, ("shard 1",), (2, 4)))
    assert record.settled() == (placement, "")
    settle_claims(lie, Lie(MESH, ("replicate",), (2, 2)))
    settle_claims(lie, Lie(MESH, ("shard 1",), (2, 4)))
    assert record.settled() == (None, "unknown"), "what was refuted once stays so"


class Replicate:
    """Stands for that of torch, as does :class:`Shard`."""


class Shard:
    dim = 1


@pytest.mark.parametrize(("said", "stands"), [(Replicate(), True), (Shard(), False)])
def test_plain_inputs_are_the_same_on_all_ranks_if_a_layer_says_so(said: object, stands: bool) -> None:
    following, x = Following((), MESH), torch.ones(2, 3)
    following.enter([x])
    try:
        lie = following.lie(x)
        assert lie is not None and lie.replicated and following.computed([x], (2, 9)) is not None
        mesh = SimpleNamespace(mesh=torch.arange(2), mesh_dim_names=("tp",))
        whole = (2, 3) if stands else (2, 6)
        following.became_plain(SimpleNamespace(device_mesh=mesh, placements=(said,), dim=lambda: 2, shape=whole), x)
        assert [claim.stands for claim in lie.claims] == [stands]
    finally:
        following.leave()


def test_recurrent_kernels_draw_their_dropout() -> None:
    module, x = nn.LSTM(3, 4, num_layers=2, dropout=0.5), torch.ones(5, 2, 3)
    lie = Lie(MESH, ("replicate",), tuple(x.shape))
    out = module(x)[0]
    states = (torch.zeros(2, 2, 4), torch.zeros(2, 2, 4))
    for training in (True, False):
        rest = (states, module._flat_weights, True, 2, 0.5, training, False, False)
        found = lie_of_result("lstm", [(x, lie)], (x, *rest), {}, out)
        assert (found is None) is training


def test_an_empty_cache_adds_nothing() -> None:
    empty, part = torch.tensor([]), torch.ones(2, 2, 3, 4)
    lie = Lie(MESH, ("shard 1",), (2, 4, 3, 4))
    known = [(empty, Lie(None, (), (0,))), (part, lie)]
    assert lie_of_result("cat", known, ([empty, part],), {"dim": -2}, torch.cat([empty, part], -2)) == lie
    other = torch.ones(2, 2, 1, 4)
    beside = [(other, Lie(None, (), (2, 2, 1, 4))), (part, lie)]
    assert lie_of_result("cat", beside, ([other, part],), {"dim": -2}, torch.cat([other, part], -2)) is None


def test_a_slice_that_nobody_saw_lies_as_what_it_is_of() -> None:
    following, keys = Following(()), torch.ones(2, 2, 3, 4)
    following._lies.put(keys, (Lie(MESH, ("shard 1",), (2, 4, 3, 4)), keys._version))
    new = following.lie(keys[:, :, -1:])
    assert new == Lie(MESH, ("shard 1",), (2, 4, 1, 4))
    assert following.lie(keys[:, :1]) is None, "a part of the axis that is cut"
    assert following.lie(keys.transpose(1, 2)) is None and following.lie(keys.clone()) is None
    keys += 1
    assert following.lie(keys[:, :, -1:]) is None, "written to since"


def test_what_a_call_made_is_known_in_the_next() -> None:
    following = Following((), MESH)
    with following.attached():
        following.enter([torch.ones(2)])
        kept, lost = torch.ones(3), torch.ones(3)
        for tensor in (kept, lost):
            following._lies.put(tensor, (Lie(MESH, ("shard 0",), (6,)), tensor._version))
        del lost, tensor
        following.leave()
        assert following.lie(kept) == Lie(MESH, ("shard 0",), (6,))
        assert [*following._lies._entries] == [id(kept)]
    assert following.lie(kept) is None
