"""What follows for a plain tensor from how those lie that it was computed of: the part is the part of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.capture.placement import _combine, lines_of
from memviz_widgets.capture.placement_lies import Lie, Mesh
from memviz_widgets.capture.placement_rules import lie_of_result, weights_lie

F = nn.functional
TP = Mesh((2,), ("tp",), (0, 1))
WHOLE = torch.arange(2 * 6 * 4 * 8, dtype=torch.float32).view(2, 6, 4, 8).sin()
LINEAR, SCALE = torch.randn(5, 8), torch.randn(8)


def cut(axis: int, *, certain: bool = True) -> Lie:
    return Lie(TP, (f"shard {axis}",), tuple(WHOLE.shape), certain)


def same(shape: tuple[int, ...], *, certain: bool = True) -> Lie:
    return Lie(TP, ("replicate",), shape, certain)


@pytest.mark.parametrize(
    ("axis", "name", "arguments", "found"),
    [
        (3, "relu", (), 3),
        (2, "mul", (2.5,), 2),
        (1, "transpose", (1, 2), 2),
        (2, "transpose", (-1, -2), 3),
        (1, "permute", (3, 1, 0, 2), 1),
        (2, "permute", ((0, 2, 1, 3),), 1),
        (2, "flatten", (2,), 2),
        (3, "flatten", (2,), None),
        (1, "unsqueeze", (0,), 2),
        (1, "softmax", (-1,), 1),
        (3, "softmax", (-1,), None),
        (2, "chunk", (2, -1), 2),
        (3, "chunk", (2, -1), None),
        (2, "split", (4, -1), 2),
        (2, "__getitem__", ((slice(None), 0),), 1),
        (2, "__getitem__", ((Ellipsis, None, slice(0, 3)),), 2),
        (2, "__getitem__", ((slice(None), slice(None), 0),), None),
        (3, "sum", (3,), None),
        (0, "sum", (3,), None),
    ],
)
def test_rules(axis: int, name: str, arguments: tuple[Any, ...], found: int | None) -> None:
    """Each part of the result is that part of what the function gives of the whole."""
    function: Callable[..., Any] = getattr(F, name) if name in ("relu", "softmax") else getattr(Tensor, name)

    def first(x: Tensor) -> Tensor:
        result: Tensor | tuple[Tensor, ...] = function(x, *arguments)
        return result if isinstance(result, Tensor) else result[0]

    for rank, part in enumerate(WHOLE.chunk(2, axis)):
        out = first(part)
        lie = lie_of_result(name, [(part, cut(axis))], (part, *arguments), {}, out)
        if found is None:
            assert lie is None or lie.claims
            continue
        whole = first(WHOLE)
        assert lie == Lie(TP, (f"shard {found}",), tuple(whole.shape))
        assert torch.equal(out, whole.chunk(2, found)[rank])


@pytest.mark.parametrize("axis", [2, 3])
def test_linear_and_norm_mix_the_last_axis(axis: int) -> None:
    part = WHOLE.chunk(2, axis)[0]
    weights = [(LINEAR, same((5, 8), certain=False)), (SCALE, same((8,), certain=False))]
    if axis == 3:
        assert lie_of_result("linear", [(part, cut(3)), weights[0]], (part, LINEAR), {}, part) is None
        assert lie_of_result("layer_norm", [(part, cut(3)), weights[1]], (part, (4,), SCALE), {}, part) is None
        return
    out = F.linear(part, LINEAR)
    found = lie_of_result("linear", [(part, cut(2)), weights[0]], (part, LINEAR), {}, out)
    assert found == Lie(TP, ("shard 2",), (2, 6, 4, 5), certain=False)
    normed = F.layer_norm(part, (8,), SCALE)
    assert lie_of_result("layer_norm", [(part, cut(2)), weights[1]], (part, (8,), SCALE), {}, normed) == cut(
        2, certain=False
    )


def test_a_whole_axis_beside_a_cut_one_is_not_taken_for_a_part() -> None:
    """Sizes that only fit by chance: 2 local heads beside a table of 2."""
    part = WHOLE.chunk(2, 2)[0]
    for other, fits in ((torch.ones(6, 1, 8), True), (torch.ones(2, 8), False), (torch.ones(()), True)):
        known = [(part, cut(2)), (other, same(tuple(other.shape)))]
        assert (lie_of_result("add", known, (part, other), {}, part + other) is not None) is fits


def test_parts_that_are_cut_differently_do_not_add_up() -> None:
    part = WHOLE[:, :, :4, :4]
    known = [(part, Lie(TP, ("shard 2",), (2, 6, 8, 4))), (part, Lie(TP, ("shard 3",), (2, 6, 4, 8)))]
    assert lie_of_result("add", known, (part, part), {}, part) is None


def test_sums_that_are_not_added_up_yet_give_nothing() -> None:
    summed = Lie(TP, ("partial sum",), tuple(WHOLE.shape))
    assert lie_of_result("relu", [(WHOLE, summed)], (WHOLE,), {}, WHOLE) is None
    assert lie_of_result("add", [(WHOLE, summed), (WHOLE, same((2, 6, 4, 8)))], (WHOLE, WHOLE), {}, WHOLE) is None


def test_what_is_drawn_is_not_the_same_on_all_ranks() -> None:
    known = [(WHOLE, same(tuple(WHOLE.shape)))]
    assert lie_of_result("dropout", known, (WHOLE, 0.5, True), {}, WHOLE) is None
    assert lie_of_result("dropout", known, (WHOLE, 0.5), {"training": False}, WHOLE) == known[0][1]
    assert lie_of_result("rand_like", known, (WHOLE,), {}, WHOLE) is None


def test_heads_of_one_and_of_several_axes() -> None:
    """(B, T, C) as heads, where each rank has whole ones; not where a head would be cut."""
    channels = Lie(TP, ("shard 2",), (2, 3, 12))
    local = torch.ones(2, 3, 6)
    heads = lie_of_result("view", [(local, channels)], (local, 2, 3, -1, 3), {}, local.view(2, 3, 2, 3))
    assert heads == Lie(TP, ("shard 2",), (2, 3, 4, 3))
    uneven = Lie(TP, ("shard 2",), (2, 3, 11))
    assert lie_of_result("view", [(local, uneven)], (local, 2, 3, -1, 3), {}, local.view(2, 3, 2, 3)) is None
    assert lie_of_result("view", [(local, channels)], (local, 36), {}, local.view(36)) is None, "not its outermost axis"


def test_attention_of_heads_that_are_cut() -> None:
    query = torch.ones(2, 2, 5, 4)
    lie = Lie(TP, ("shard 1",), (2, 4, 5, 4))
    assert weights_lie((query, lie), (query, lie), (2, 2, 5, 5)) == Lie(TP, ("shard 1",), (2, 4, 5, 5))
    whole = Lie(TP, ("replicate",), (2, 2, 5, 4))
    assert weights_lie((query, lie), (query, whole), (2, 2, 5, 5)) is None
    tokens = Lie(TP, ("shard 2",), (2, 2, 10, 4))
    assert weights_lie((query, tokens), (query, tokens), (2, 2, 5, 5)) is None


def test_samples_and_heads_over_one_mesh() -> None:
    """The axes of the root, whatever the order in which they are named: 2 x 3 x 2 ranks, rank 7."""
    root = Mesh((2, 3, 2), ("pp", "dp", "tp"), tuple(range(12)))
    assert lines_of(root, 7) == [(1, 7), (7, 9, 11), (6, 7)]
    samples, heads = Mesh((3,), ("",), (7, 9, 11)), Mesh((2,), ("tp",), (6, 7))
    assert _combine(samples, heads, root, 7) == (Mesh((3, 2), ("dp", "tp"), (6, 7, 8, 9, 10, 11)), (None, 0))
    assert _combine(Mesh((2,), ("",), (7, 8)), heads, root, 7) is None, "no axis of the root"
