"""Codes of one byte: what they are, and that they are never further from the value than half a step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memviz_widgets.frames import dequantise, quantise
from memviz_widgets.frames.quantise import NAN_CODE, NEG_INF_CODE, POS_INF_CODE

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.bool]


def frame(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """One frame of one row."""
    return torch.tensor([[values]], dtype=dtype)


def codes(values: Tensor) -> list[int]:
    return [int(code) for code in quantise(values).codes.ravel()]


def test_codes_span_0_to_252_over_the_range() -> None:
    assert codes(frame(-1.0, 0.0, 1.0, 0.5)) == [0, 126, 252, 189]


def test_code_is_the_nearest_one() -> None:
    assert codes(frame(0.0, 0.49 / 252, 0.51 / 252, 1.0)) == [0, 0, 1, 252]


def test_each_frame_has_its_own_range() -> None:
    quantised = quantise(torch.tensor([[[0.0, 1.0]], [[10.0, 30.0]]]))
    assert quantised.lo.tolist() == [0.0, 10.0] and quantised.hi.tolist() == [1.0, 30.0]
    assert quantised.codes.tolist() == [[[0, 252]], [[0, 252]]]


def test_nan_and_infinities_have_codes_of_their_own_and_leave_the_range_alone() -> None:
    quantised = quantise(frame(-math.inf, 2.0, math.inf, 4.0, math.nan))
    assert quantised.codes.ravel().tolist() == [NEG_INF_CODE, 0, POS_INF_CODE, 252, NAN_CODE]
    assert (quantised.lo[0], quantised.hi[0]) == (2.0, 4.0)


def test_range_of_negative_values_ends_below_zero() -> None:
    quantised = quantise(frame(-3.0, math.nan, -1.0))
    assert (quantised.lo[0], quantised.hi[0]) == (-3.0, -1.0)


def test_only_frames_with_bad_values_are_touched_by_them() -> None:
    quantised = quantise(torch.tensor([[[math.nan, 1.0, 2.0]], [[0.0, 1.0, 2.0]]]))
    assert quantised.codes.tolist() == [[[255, 0, 252]], [[0, 126, 252]]]


def test_constant_frame_is_code_0() -> None:
    quantised = quantise(frame(0.5, 0.5, 0.5))
    assert quantised.codes.ravel().tolist() == [0, 0, 0]
    assert dequantise(quantised).ravel().tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("value", "code"), [(math.nan, 255), (math.inf, 254), (-math.inf, 253)])
def test_frame_without_a_number_has_no_range(value: float, code: int) -> None:
    quantised = quantise(frame(value, value))
    assert quantised.codes.ravel().tolist() == [code, code]
    assert np.isnan(quantised.lo).all() and np.isnan(quantised.hi).all()


def test_range_beyond_float64_is_reckoned_in_halves() -> None:
    big = 1.7e308
    quantised = quantise(frame(-big, 0.0, big))
    assert quantised.codes.ravel().tolist() == [0, 126, 252]
    assert dequantise(quantised).ravel().tolist() == [-big, 0.0, big]


def test_denormals_are_told_apart() -> None:
    assert codes(frame(0.0, 5e-324)) == [0, 252]


def test_complex_values_are_magnitudes() -> None:
    quantised = quantise(torch.tensor([[[3 + 4j, 0j, 6 + 8j]]]))
    assert (quantised.lo[0], quantised.hi[0]) == (0.0, 10.0)
    assert quantised.codes.ravel().tolist() == [0 + 126, 0, 252]


def test_magnitude_of_large_complex_values_does_not_overflow() -> None:
    assert quantise(torch.tensor([[[3e300 + 4e300j]]], dtype=torch.complex128)).hi[0] == pytest.approx(5e300)


def test_bool_is_0_and_1() -> None:
    assert codes(torch.tensor([[[True, False]]])) == [252, 0]


def test_empty_input_gives_empty_codes() -> None:
    assert quantise(torch.zeros(0, 3, 4)).codes.shape == (0, 3, 4)
    assert quantise(torch.zeros(2, 0, 4)).codes.shape == (2, 0, 4)


def test_source_is_left_as_it_was() -> None:
    values = frame(1.0, 2.0, math.nan)
    before = values.clone()
    quantise(values)
    assert torch.equal(values[..., :2], before[..., :2])


def assert_within_half_a_step(values: Tensor) -> None:
    """|dequantise - value| <= (hi - lo) / 504, but for the rounding of the reconstruction (a few ulp of the range)."""
    quantised = quantise(values)
    exact = values.to(torch.float64).numpy()
    lo, hi = quantised.lo[:, None, None], quantised.hi[:, None, None]
    got = dequantise(quantised)
    finite = np.isfinite(exact)
    with np.errstate(invalid="ignore", over="ignore"):
        rounding = 4 * np.spacing(np.fmax(np.abs(lo), np.abs(hi)))
        error = np.abs(got / 2 - exact / 2)  # halves: the difference itself may overflow
        bound = (hi / 504 - lo / 504) / 2 * (1 + 1e-12) + rounding
        assert (error <= bound)[finite].all()
    assert np.array_equal(got[~finite], exact[~finite], equal_nan=True)


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12),
    dtype=st.sampled_from(FLOATS),
)
def test_error_is_at_most_half_a_step_for_any_float(values: list[float], dtype: torch.dtype) -> None:
    assert_within_half_a_step(torch.tensor([[values]], dtype=torch.float64).to(dtype))


@settings(max_examples=300, deadline=None)
@given(
    centre=st.floats(-1e300, 1e300),
    exponent=st.integers(-320, 300),
    shares=st.lists(st.floats(-1, 1), min_size=1, max_size=12),
    dtype=st.sampled_from(FLOATS),
)
def test_error_is_at_most_half_a_step_at_any_magnitude(
    centre: float, exponent: int, shares: list[float], dtype: torch.dtype
) -> None:
    spread = torch.tensor([[shares]], dtype=torch.float64) * 10.0**exponent
    assert_within_half_a_step((spread + centre).to(dtype))
    assert_within_half_a_step(spread.to(dtype))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(INTEGERS))
def test_error_is_at_most_half_a_step_for_integers(data: st.DataObject, dtype: torch.dtype) -> None:
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    values = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=12))
    assert_within_half_a_step(torch.tensor([[values]], dtype=torch.int64).to(dtype))
