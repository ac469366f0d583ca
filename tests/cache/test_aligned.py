"""Twins: which records stand for the same place, and the difference as a cache of its own."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.cache.aligned import align, aligned_caches
from memviz_widgets.cache.aligned_difference import DifferenceValue, difference_dtype
from memviz_widgets.cache.recorded_cache import RecordedCache
from memviz_widgets.errors import AlignmentError, ClosedError, NotKeptError
from memviz_widgets.records import TensorRecord


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(32, 3)).eval()


def image(samples: int = 2) -> Tensor:
    return torch.linspace(-1, 1, samples * 64).reshape(samples, 1, 8, 8)


def difference_of(a: RecordedCache, b: RecordedCache) -> RecordedCache:
    return aligned_caches(a, b, align(a, b))[2]


def tensors(**values: Tensor) -> mv.ActivationCache:
    return mv.ActivationCache.from_tensors(values)


def test_difference_is_a_minus_b_of_every_record() -> None:
    a = mv.ActivationCache.capture(model(), image())
    b = mv.ActivationCache.capture(model(), image() * 2)
    difference = difference_of(a, b)
    assert difference.names() == a.names()
    for path in a.names():
        torch.testing.assert_close(difference[path], a[path] - b[path], rtol=0, atol=0)


def test_difference_of_the_same_input_is_exactly_zero() -> None:
    a, b = (mv.ActivationCache.capture(model(), image()) for _ in range(2))
    difference = difference_of(a, b)
    assert all(int(torch.count_nonzero(difference[path])) == 0 for path in difference.names())


def test_records_of_other_shapes_are_listed_with_both_shapes() -> None:
    alignment = align(tensors(x=torch.ones(2, 3), y=torch.ones(4)), tensors(x=torch.ones(2, 5), y=torch.ones(4)))
    assert alignment.pairs == ((1, 1),)
    assert [(each.label, each.side, each.reason) for each in alignment.unaligned] == [
        ("x", "both", "shape (2, 3) in a, (2, 5) in b")
    ]


def test_records_of_one_side_are_listed() -> None:
    alignment = align(tensors(x=torch.ones(2), old=torch.ones(2)), tensors(new=torch.ones(2), x=torch.ones(2)))
    assert [(each.label, each.side, each.reason) for each in alignment.unaligned] == [
        ("old", "a", "no module of this path in b"),
        ("new", "b", "no module of this path in a"),
    ]


def test_calls_that_one_side_lacks_are_listed() -> None:
    layer = nn.Linear(2, 2)
    with mv.record(layer) as a:
        layer(torch.ones(1, 2))
        layer(torch.ones(1, 2))
    with mv.record(layer) as b:
        layer(torch.ones(1, 2))
    alignment = align(a, b)
    assert len(alignment.pairs) == 1
    assert [(each.step, each.reason) for each in alignment.unaligned] == [(1, "no call 0 in step 1 of it in b")]


def test_records_that_were_not_kept_are_listed_with_the_reason() -> None:
    a = tensors(x=torch.ones(1000), y=torch.ones(2))
    b = mv.ActivationCache.from_tensors({"x": torch.ones(1000), "y": torch.ones(2)}, budget=100)
    [unaligned] = align(a, b).unaligned
    assert unaligned.label == "x"
    assert unaligned.reason.startswith("no values in b: ")


def test_records_without_a_tensor_are_listed() -> None:
    class Says(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, object]:
            return x + 1, object()

    a, b = (mv.ActivationCache.capture(Says(), torch.ones(2)) for _ in range(2))
    alignment = align(a, b)
    assert [each.reason for each in alignment.unaligned] == ["no tensor in a and b"]
    assert len(alignment.pairs) + len(alignment.unaligned) == len(a.records)


def test_nothing_in_common_says_what_each_side_has() -> None:
    with pytest.raises(AlignmentError, match=r"a has 'x' \.\.\., b has 'y' \.\.\.\. Compare captures of"):
        align(tensors(x=torch.ones(2)), tensors(y=torch.ones(2)))


def test_other_shapes_everywhere_say_the_shapes() -> None:
    with pytest.raises(AlignmentError, match=r"'x' has shape \(2,\) in a, \(3,\) in b\. Capture both with inputs"):
        align(tensors(x=torch.ones(2)), tensors(x=torch.ones(3)))


def test_nan_on_a_side_is_nan_in_the_difference_and_said() -> None:
    a = tensors(x=torch.tensor([1.0, math.nan, math.inf]))
    b = tensors(x=torch.tensor([math.nan, math.nan, math.inf]))
    difference = difference_of(a, b)
    assert difference["x"].isnan().all()
    assert difference.records[0].note == ("NaN where a side is NaN, and for Inf minus Inf (2 not finite in a, 3 in b)")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (torch.float32, torch.float64, torch.float64),
        (torch.bfloat16, torch.float16, torch.float32),
        (torch.uint8, torch.uint8, torch.int64),
        (torch.bool, torch.bool, torch.int64),
        (torch.int64, torch.float16, torch.float32),
        (torch.complex64, torch.float64, torch.complex128),
        (torch.float8_e4m3fn, torch.float32, torch.float32),
        (torch.uint64, torch.uint64, torch.float64),
    ],
)
def test_difference_has_a_dtype_that_holds_it(one: torch.dtype, other: torch.dtype, expected: torch.dtype) -> None:
    a, b = torch.tensor([1.0, 0.0]).to(one), torch.tensor([0.0, 1.0]).to(other)
    dtype = difference_dtype(str(one).removeprefix("torch."), str(other).removeprefix("torch."))
    assert dtype is expected
    assert DifferenceValue(a, b, dtype).load().tolist() == [1.0, -1.0]


def test_dtypes_without_a_difference_have_none() -> None:
    assert difference_dtype("quint8", "float32") is None
    assert difference_dtype("float4_e2m1fn_x2", "float32") is None


def test_other_dtypes_are_said() -> None:
    difference = difference_of(tensors(x=torch.ones(2)), tensors(x=torch.ones(2, dtype=torch.float16)))
    assert difference.records[0].note == "float32 minus float16"
    assert difference["x"].dtype is torch.float32


def test_weights_of_attention_are_subtracted_piece_by_piece() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    a, b = (mv.ActivationCache.capture(layer, torch.randn(1, 5, 8)) for _ in range(2))
    difference = difference_of(a, b)
    [record] = [record for record in difference.records if record.kind == "attention difference"]
    value = difference.value(record)
    assert isinstance(value, DifferenceValue)
    expected = a.get(record.path, "attention")[:, 1, 2:4] - b.get(record.path, "attention")[:, 1, 2:4]
    torch.testing.assert_close(value.read((slice(None), 1, slice(2, 4), slice(None))), expected)


def test_states_of_a_loop_stay_joined_over_time() -> None:
    torch.manual_seed(0)
    cell = nn.GRUCell(2, 3)

    def run(scale: float) -> mv.ActivationCache:
        state = torch.zeros(1, 3)
        with mv.record(cell) as cache, torch.no_grad():
            for _ in range(4):
                state = cell(torch.full((1, 2), scale), state)
        return cache

    a, b = run(1.0), run(-1.0)
    first, _, difference = aligned_caches(a, b, align(a, b))
    joined = [record for record in difference.records if record.parts]
    assert joined and joined[0].shape[joined[0].dims.index("time")] == 4
    assert [first.records[part].step for part in joined[0].parts] == [0, 1, 2, 3]
    kind = joined[0].kind
    torch.testing.assert_close(difference.get("", kind), a.get("", kind) - b.get("", kind))


def test_values_that_are_not_held_are_brought_back() -> None:
    a = mv.ActivationCache.capture(model(), image())
    b = mv.ActivationCache.capture(model(), image() + 1, budget=3000)
    assert any(record.on_demand for record in b.records)
    difference = difference_of(a, b)
    whole = mv.ActivationCache.capture(model(), image() + 1)
    torch.testing.assert_close(difference["0"], a["0"] - whole["0"])
    assert b.held_bytes <= b.budget_bytes


def test_values_on_disk_are_subtracted(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    a = mv.ActivationCache.capture(model(), image())
    b = mv.ActivationCache.capture(model(), image() * 3, budget=3000, spill=tmp_path)
    whole = mv.ActivationCache.capture(model(), image() * 3)
    torch.testing.assert_close(difference_of(a, b)["0"], a["0"] - whole["0"])


def test_closing_the_aligned_caches_leaves_the_two() -> None:
    a, b = (mv.ActivationCache.capture(model(), image()) for _ in range(2))
    three = aligned_caches(a, b, align(a, b))
    for cache in three:
        cache.close()
    assert a["0"].shape == b["0"].shape
    with pytest.raises(ClosedError):
        three[2]["0"]


def test_difference_of_a_closed_cache_is_refused() -> None:
    a, b = (mv.ActivationCache.capture(model(), image()) for _ in range(2))
    difference = difference_of(a, b)
    b.close()
    assert difference.closed
    with pytest.raises((ClosedError, NotKeptError)):
        difference["0"]


def test_an_altered_model_differs_from_the_altered_layer_on() -> None:
    altered = copy.deepcopy(model())
    with torch.no_grad():
        altered[2].weight[1] += 0.5  # type: ignore[operator, index]  # Sequential gives Module
    difference = difference_of(
        mv.ActivationCache.capture(model(), image()), mv.ActivationCache.capture(altered, image())
    )
    changed = [path for path in difference.names() if bool(difference[path].any())]
    assert changed == ["2", "3", "4", ""]
    assert difference["2"][:, 0].abs().max() == 0.0


def test_a_residual_that_becomes_known_is_told_on_all_sides() -> None:
    torch.manual_seed(0)
    a, b = (mv.ActivationCache.capture(nn.LSTM(2, 3), torch.randn(4, 1, 2)) for _ in range(2))
    one, _, difference = aligned_caches(a, b, align(a, b))
    at = next(record.index for record in one.records if record.kind == "cell")
    assert one.records is one.records and difference.records is difference.records
    assert one.records[at].residual is None and difference.records[at].residual is None
    one.value(one.records[at])
    assert one.records[at].residual is not None
    assert difference.records[at].residual == one.records[at].residual


def test_records_are_read_again_only_when_those_behind_them_have_changed() -> None:
    a, b = (tensors(**{f"a{i}": torch.ones(2) for i in range(5)}) for _ in range(2))
    reads: list[int] = []

    class Watched(tuple[TensorRecord, ...]):
        __slots__ = ()

        def __getitem__(self, at: Any) -> Any:
            reads.append(at)
            return super().__getitem__(at)

    one = aligned_caches(a, b, align(a, b))[0]
    a._records = Watched(a.records)
    _ = one.records
    assert reads == [0, 1, 2, 3, 4]
    _ = one.records
    assert len(reads) == 5, "a view of n records asks n times: n * n comparisons for 10,000 modules"
