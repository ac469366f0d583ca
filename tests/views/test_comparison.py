"""Comparison: what is aligned, where two recordings part, and that it leaves both as they were."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import (
    AlignmentError,
    ClosedError,
    NotKeptError,
    SelectionError,
    SourceError,
    UnknownRecordError,
)
from memviz_widgets.views import comparison_distances

Make = Callable[..., mv.Comparison]


@pytest.fixture
def compare() -> Iterator[Make]:
    """``compare(a, b)``; closed after the test."""
    made: list[mv.Comparison] = []

    def make(*caches: Any, **options: Any) -> mv.Comparison:
        made.append(mv.compare(*caches, **options))
        return made[-1]

    yield make
    for comparison in made:
        comparison.close()


def altered(model: nn.Module, path: str, channel: int) -> nn.Module:
    """A copy of a model with the weights of one channel of one layer a little larger."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.get_submodule(path).weight[channel] *= 1.001  # type: ignore[operator, index]  # of a Conv2d or Linear
    return twin


@pytest.mark.parametrize("path", ["0", "3"])
def test_one_altered_channel_is_found_at_exactly_that_layer(
    compare: Make, model: nn.Module, x: torch.Tensor, path: str
) -> None:
    a = mv.ActivationCache.capture(model, x)
    comparison = compare(a, mv.ActivationCache.capture(altered(model, path, 2), x))
    assert comparison.parts_at == path
    changed = comparison.difference[path].flatten(2).abs().amax((0, 2)) if path == "0" else None
    if changed is not None:
        assert changed.nonzero().flatten().tolist() == [2]


@pytest.mark.parametrize("layer", range(3))
def test_altered_head_of_a_deep_transformer_is_found_where_it_is(compare: Make, layer: int) -> None:
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(encoder, 3, enable_nested_tensor=False).eval()
    x = torch.randn(2, 5, 8)
    caches = [mv.ActivationCache.capture(each, x) for each in (model, altered(model, f"layers.{layer}.linear1", 3))]
    assert compare(*caches).parts_at == f"layers.{layer}.linear1"


def test_same_input_has_no_distance_anywhere(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    comparison = compare(*(mv.ActivationCache.capture(model, x) for _ in range(2)))
    assert comparison.parts_at == ""
    assert [entry["relative_l2"] for entry in comparison.curve.distances] == [0.0] * len(comparison.a.records)


def test_bound_leaves_out_small_distances(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    a = mv.ActivationCache.capture(model, x)
    comparison = compare(a, mv.ActivationCache.capture(altered(model, "0", 2), x))
    comparison.curve.bound = 0.01
    assert comparison.parts_at == ""


def test_distance_of_one_record(compare: Make) -> None:
    a = mv.ActivationCache.from_tensors({"x": torch.tensor([[3.0], [4.0]])})
    b = mv.ActivationCache.from_tensors({"x": torch.tensor([[3.0], [1.0]])})
    assert compare(a, b).distance("x").relative_l2 == pytest.approx(0.6)


def test_distance_of_an_unknown_record_names_the_nearest(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    a = mv.ActivationCache.capture(model, x)
    with pytest.raises(UnknownRecordError, match="no record '9'"):
        compare(a, a).distance("9")


def test_value_that_is_nan_on_one_side_is_where_they_part(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    broken = x.clone()
    broken[1, 0, 3, 3] = math.nan
    comparison = compare(mv.ActivationCache.capture(model, x), mv.ActivationCache.capture(model, broken))
    first = comparison.curve.distances[0]
    assert (first["infinite"], first["relative_l2"]) == (True, None)
    assert first["note"].startswith("36 values are finite on one side only")  # 4 channels of 3 x 3 outputs
    assert comparison.parts_at == "0"


def test_unaligned_records_are_listed_by_place_and_reason(compare: Make) -> None:
    layer = nn.Linear(2, 2)

    def run(times: int, size: int) -> mv.ActivationCache:
        with mv.record(layer) as cache:
            for step in range(times):
                layer(torch.ones(1 if step == 0 else size, 2))
        return cache

    comparison = compare(run(4, 3), run(2, 5))
    assert comparison.curve.unaligned == [
        {"label": "(model)", "count": 1, "reason": "shape (3, 2) in a, (5, 2) in b"},
        {"label": "(model)", "count": 2, "reason": "no call or step of it in the other"},
    ]
    assert len(comparison.unaligned) == 3


def test_three_cursors_have_the_same_layers(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    a = mv.ActivationCache.capture(model, x)
    comparison = compare(a, a)
    link = next(part for part in comparison._parts if type(part).__name__ == "ComparisonLink")
    layers = [[layer["label"] for layer in cursor.store.catalog["layers"]] for cursor in link.selections]
    assert layers[0] == layers[1] == layers[2] == [path or "(model)" for path in a.names()]


def test_pages_of_the_difference_are_those_of_the_subtracted_values(
    compare: Make, model: nn.Module, x: torch.Tensor
) -> None:
    a, b = mv.ActivationCache.capture(model, x), mv.ActivationCache.capture(model, -x)
    comparison = compare(a, b)
    store = comparison.difference_colors.selection.store
    cell = store._source.value(0, 0, 2, 3)
    assert cell.number == float((a["0"] - b["0"])[0, 0, 2, 3])


def test_records_are_measured_a_few_at_a_time(
    compare: Make, model: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memviz_widgets.views.comparison.COST_AT_ONCE", 1)
    a = mv.ActivationCache.capture(model, x)
    curve = compare(a, a).curve
    assert (len(curve.distances), curve.pending) == (1, 4)
    curve._handle_custom_msg({"type": "measure", "on_demand": False}, [])
    assert (len(curve.distances), curve.pending) == (2, 3)


def test_measure_takes_all_that_are_held(
    compare: Make, model: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memviz_widgets.views.comparison.COST_AT_ONCE", 1)
    a = mv.ActivationCache.capture(model, x)
    comparison = compare(a, a)
    comparison.measure()
    assert (len(comparison.curve.distances), comparison.curve.pending) == (5, 0)


def test_values_that_are_not_held_wait_to_be_asked_for(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    a, b = mv.ActivationCache.capture(model, x), mv.ActivationCache.capture(model, x, budget=4000)
    comparison = compare(a, b)
    unheld = sum(record.on_demand for record in b.records)
    assert unheld and comparison.curve.unheld == unheld
    comparison.measure(on_demand=True)
    assert comparison.curve.unheld == 0
    assert {entry["relative_l2"] for entry in comparison.curve.distances} == {0.0}


def test_record_that_cannot_be_measured_says_why(
    compare: Make, model: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*values: object, **options: object) -> None:
        raise NotKeptError("gone")

    monkeypatch.setattr(comparison_distances, "distance", refuse)
    a = mv.ActivationCache.capture(model, x)
    entries = compare(a, a).curve.distances
    assert [entry["note"] for entry in entries] == ["gone"] * 5
    assert entries[0]["relative_l2"] is None


def test_sparse_values_are_measured_too(compare: Make) -> None:
    class Sparse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.to_sparse()

    a, b = (mv.ActivationCache.capture(Sparse(), scale * torch.eye(3)) for scale in (1.0, 1.5))
    assert compare(a, b).distance("").relative_l2 == pytest.approx(0.5)


def test_one_range_for_both_and_a_symmetric_one_for_the_difference(
    compare: Make, model: nn.Module, x: torch.Tensor
) -> None:
    a = mv.ActivationCache.capture(model, x)
    comparison = compare(a, a, names=("before", "after"))
    assert comparison.colors.other is not comparison.colors.selection
    assert (comparison.difference_colors.mode, comparison.difference_colors.colormap) == ("symmetric", "vik")
    assert comparison.curve.names == ["before", "after"]


@pytest.mark.parametrize("source", [nn.Linear(1, 1), nn.Linear, None])
def test_what_is_no_cache_is_refused(source: object, model: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(SourceError, match=r"b is .*; expected an ActivationCache, as in compare\("):
        mv.compare(mv.ActivationCache.capture(model, x), source)  # type: ignore[arg-type]


def test_closed_cache_is_refused(model: nn.Module, x: torch.Tensor) -> None:
    a = mv.ActivationCache.capture(model, x)
    a.close()
    with pytest.raises(ClosedError, match="the cache given as a was closed"):
        mv.compare(a, a)


def test_cache_that_is_still_recording_is_refused(model: nn.Module, x: torch.Tensor) -> None:
    with mv.record(model) as b, pytest.raises(SourceError, match=r"given as b is still recording; call cache.stop\(\)"):
        mv.compare(mv.ActivationCache.capture(copy.deepcopy(model), x), b)


def test_nothing_in_common_leaves_no_widget(model: nn.Module, x: torch.Tensor) -> None:
    other = mv.ActivationCache.from_tensors({"other": torch.ones(2)})
    with pytest.raises(AlignmentError, match="none of the records of the two caches have the same path"):
        mv.compare(mv.ActivationCache.capture(model, x), other)


def test_selection_cannot_be_replaced(compare: Make, model: nn.Module, x: torch.Tensor) -> None:
    a = mv.ActivationCache.capture(model, x)
    comparison = compare(a, a)
    with pytest.raises(SelectionError, match="selection of a comparison cannot be replaced"):
        comparison.selection = comparison.difference_colors.selection


def test_closing_leaves_the_caches_and_says_so(model: nn.Module, x: torch.Tensor) -> None:
    a, b = (mv.ActivationCache.capture(model, x) for _ in range(2))
    comparison = mv.compare(a, b)
    assert repr(comparison) == "Comparison(5 records aligned, 0 not)"
    comparison.close()
    comparison.close()
    assert repr(comparison) == "Comparison(closed)"
    assert comparison.difference.closed and not a.closed and not b.closed
    with pytest.raises(ClosedError, match="this comparison is closed"):
        comparison.measure()


def test_explorer_of_a_compared_cache_stays_as_it_is(model: nn.Module, x: torch.Tensor) -> None:
    a = mv.ActivationCache.capture(model, x)
    explorer = mv.ActivationExplorer(a)
    comparison = mv.compare(a, a)
    comparison.selection.layer = 2
    assert explorer.selection.layer == 0
    comparison.close()
    assert explorer.selection.comm is not None
    explorer.close()


def test_memories_are_compared_over_all_timesteps(compare: Make) -> None:
    torch.manual_seed(0)
    model, x = nn.LSTM(2, 3, batch_first=True), torch.randn(1, 6, 2)
    later = x.clone()
    later[0, 4] += 1.0
    a, b = mv.ActivationCache.capture(model, x), mv.ActivationCache.capture(model, later)
    comparison = compare(a, b)
    comparison.measure(on_demand=True)
    difference = comparison.difference.get("", "cell")
    assert difference.abs().sum(-1)[0, :4].tolist() == [0.0] * 4
    assert bool(difference[0, 4].any())
