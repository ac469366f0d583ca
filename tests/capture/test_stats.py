"""Statistics: right for every dtype, in bounded memory."""

from __future__ import annotations

import math
import tracemalloc

import pytest
import torch
from torch import Tensor

from memviz_widgets.capture.stats import CHUNK_CPU, CHUNK_FAST, FAST_FROM, chunks, tensor_stats

from .recording import records_of, stats_of

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
INTS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
NEWER = ["uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]


@pytest.mark.parametrize("dtype", [*FLOATS, *INTS, *(getattr(torch, name) for name in NEWER if hasattr(torch, name))])
def test_hand_worked_numbers_of_every_real_dtype(dtype: torch.dtype) -> None:
    stats = stats_of(torch.tensor([0.0, 2.0, 2.0, 4.0]).to(dtype))
    assert (stats.min, stats.max, stats.mean, stats.std) == (0, 4, 2, math.sqrt(2))
    assert (stats.zeros, stats.nan, stats.posinf, stats.neginf, stats.count) == (0.25, 0, 0, 0, 4)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.complex32])
def test_complex_statistics_are_of_the_magnitude(dtype: torch.dtype) -> None:
    stats = stats_of(torch.tensor([3 + 4j, 0]).to(dtype).conj())
    assert (stats.min, stats.max, stats.mean, stats.std, stats.zeros) == (0, 5, 2.5, 2.5, 0.5)


def test_bool_counts_as_zero_and_one() -> None:
    stats = stats_of(torch.tensor([True, False, True, True]))
    assert (stats.min, stats.max, stats.mean, stats.zeros) == (0, 1, 0.75, 0.25)


def test_nan_and_infinities_are_counted_and_left_out() -> None:
    stats = stats_of(torch.tensor([torch.nan, torch.inf, -torch.inf, torch.inf, 0.0, 2.0]))
    assert (stats.nan, stats.posinf, stats.neginf, stats.count) == (1, 2, 1, 6)
    assert (stats.min, stats.max, stats.mean, stats.std) == (0, 2, 1, 1)
    assert stats.zeros == 1 / 6


def test_nothing_finite_has_no_range() -> None:
    stats = stats_of(torch.full((3,), torch.nan))
    assert (stats.min, stats.max, stats.mean, stats.std, stats.nan) == (None, None, None, None, 3)


def test_empty_tensor() -> None:
    stats = stats_of(torch.empty(0, 3))
    assert (stats.min, stats.mean, stats.zeros, stats.count) == (None, None, 0, 0)


def test_scalar() -> None:
    stats = stats_of(torch.tensor(3.0))
    assert (stats.min, stats.max, stats.mean, stats.std, stats.count) == (3, 3, 3, 0, 1)


def test_constant_has_no_spread_and_its_own_mean() -> None:
    stats = stats_of(torch.full((100_001,), 0.1))
    assert stats.std == 0 and stats.mean == stats.min == stats.max


def test_mean_far_from_zero_keeps_its_spread() -> None:
    stats = stats_of(torch.tensor([1e9 - 1, 1e9 + 1], dtype=torch.float64))
    assert (stats.mean, stats.std) == (1e9, 1)


@pytest.mark.parametrize("size", [1e308, 1e-300, 5e-324])
def test_magnitudes_whose_squares_leave_float64(size: float) -> None:
    stats = stats_of(torch.tensor([size, -size], dtype=torch.float64))
    assert (stats.min, stats.max, stats.mean) == (-size, size, 0)
    assert stats.std == pytest.approx(size)


@pytest.mark.parametrize("shape", [(3, CHUNK_CPU + 7), (2, 3, 200, 300)])
def test_many_chunks_equal_one_pass_in_float64(shape: tuple[int, ...]) -> None:
    exact = torch.randn(shape, dtype=torch.float64) * 3 + 7
    stats = stats_of(exact)
    assert stats.mean == pytest.approx(exact.mean().item(), rel=1e-14)
    assert stats.std == pytest.approx(exact.std(correction=0).item(), rel=1e-12)
    assert (stats.min, stats.max) == (exact.min().item(), exact.max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("offset", [0.0, 7.0, 1000.0])
def test_float32_sums_keep_six_digits(dtype: torch.dtype, offset: float) -> None:
    values = (torch.randn(3, CHUNK_FAST + 7) * 3 + offset).to(dtype)
    values[:, :50] = 0
    stats, exact = stats_of(values), values.double()
    assert stats.mean == pytest.approx(exact.mean().item(), rel=1e-6, abs=1e-6)
    assert stats.std == pytest.approx(exact.std(correction=0).item(), rel=1e-6)
    assert (stats.min, stats.max) == (exact.min().item(), exact.max().item())
    assert stats.zeros == (values == 0).sum().item() / values.numel()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_value_in_a_large_tensor_is_counted(bad: float) -> None:
    values = torch.ones(3 * CHUNK_FAST)
    values[CHUNK_FAST + 3] = bad
    stats = stats_of(values)
    assert stats.nan + stats.posinf + stats.neginf == 1
    assert (stats.min, stats.max, stats.mean, stats.count) == (1, 1, 1, 3 * CHUNK_FAST)


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_large_tensor_whose_squares_leave_float32(size: float) -> None:
    values = torch.tensor([size, -size]).repeat(FAST_FROM)
    assert stats_of(values).std == pytest.approx(size, rel=1e-6)


def test_order_of_memory_does_not_matter() -> None:
    values = torch.randn(2, 8, 120, 130, dtype=torch.float64)
    layouts = [values, values.contiguous(memory_format=torch.channels_last), values.transpose(1, 3), values.flip(0)]
    assert len({round(tensor_stats(value).mean or 0, 14) for value in layouts}) == 1


def test_nan_in_an_expanded_tensor_counts_each_place() -> None:
    stats = stats_of(torch.tensor([[torch.nan], [1.0]]).expand(2, 5))
    assert (stats.nan, stats.count, stats.mean) == (5, 10, 1)


def test_sparse_counts_its_implied_zeros() -> None:
    for values in (torch.eye(4).to_sparse(), torch.eye(4).to_sparse_csr()):
        stats = stats_of(values)
        assert (stats.zeros, stats.mean, stats.count, stats.max) == (0.75, 0.25, 16, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.eye(2).to_sparse(), "sparse tensor, shown dense"),
        (torch.eye(2).to_mkldnn(), "mkldnn tensor, shown in the plain layout"),
    ],
)
def test_other_layouts_are_held_dense_and_say_so(value: Tensor, text: str) -> None:
    record = records_of(value)[0]
    assert record.kept and record.shape == (2, 2) and text in record.note


@pytest.mark.filterwarnings("ignore")
def test_quantized_is_held_dequantized() -> None:
    record = records_of(torch.quantize_per_tensor(torch.tensor([0.0, 0.5]), 0.5, 0, torch.quint8))[0]
    assert record.dtype == "float32" and record.stats is not None and record.stats.max == 0.5


def test_dtype_without_arithmetic_is_noted() -> None:
    dtype = getattr(torch, "float4_e2m1fn_x2", None)
    if dtype is None:
        pytest.skip("this torch has no float4")
    record = records_of(torch.zeros(4, dtype=torch.uint8).view(dtype))[0]
    assert not record.kept and record.stats is None and "no arithmetic for float4_e2m1fn_x2" in record.note


def test_chunks_are_small_views_and_cover_everything() -> None:
    values = torch.arange(60.0).reshape(3, 4, 5).transpose(0, 2)[:, ::2]
    parts = list(chunks(values, 7))
    assert max(part.numel() for part in parts) <= 7
    assert sorted(torch.cat(parts).tolist()) == sorted(values.flatten().tolist())


def test_python_memory_stays_small() -> None:
    values = torch.zeros(1, 1).expand(4000, 4000)
    tracemalloc.start()
    tensor_stats(values)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
