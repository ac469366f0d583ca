"""Numbers and ticks in the kernel against what js/tests/number_text.test.ts and paint.test.ts say of the browser's."""

from __future__ import annotations

import math

import pytest

from memviz_widgets.frames.number_text import approximately, bar_ticks, integer_ticks, power_ticks, share_text

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.82134515, "0.8213"),
        (123456.7, "123500"),
        (-3.00001e-5, f"{MINUS}3e{MINUS}5"),
        (1.7e308, "1.7e308"),
        (-2.1, f"{MINUS}2.1"),
        (1.5e-7, f"1.5e{MINUS}7"),
        (1234567.0, "1.235e6"),
        (999999.0, "1000000"),
        (12.0, "12"),
        (math.nan, "NaN"),
        (-math.inf, f"{MINUS}Inf"),
        (math.inf, "+Inf"),
    ],
)
def test_four_significant_digits(value: float, text: str) -> None:
    assert approximately(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    list(
        zip(
            [0, 0.0001, 0.004, 0.123, 0.51, 0.9985, 0.99999, 1],
            ["0 %", "< 0.1 %", "0.4 %", "12 %", "51 %", "99.9 %", "> 99.9 %", "100 %"],
            strict=True,
        )
    ),
)
def test_none_and_all_mean_exactly_that(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("ends", "most", "ticks"),
    [
        ((0, 5), 8, [0, 1, 2, 3, 4, 5]),
        ((0, 57), 8, [0, 10, 20, 30, 40, 50]),
        ((0, 0), 8, [0]),
        ((0, 12), 4, [0, 5, 10]),
    ],
)
def test_ticks_are_whole_numbers_at_nice_steps(ends: tuple[int, int], most: int, ticks: list[int]) -> None:
    assert integer_ticks(*ends, most) == ticks


def test_a_bar_has_its_ends_and_round_numbers_that_do_not_touch() -> None:
    assert [tick.text for tick in bar_ticks(-1.0, 1.0, 400)] == [f"{MINUS}1", f"{MINUS}0.5", "0.0", "0.5", "1"]
    assert [tick.text for tick in bar_ticks(-1.0, 1.0, 60)] == [f"{MINUS}1", "1"]
    assert bar_ticks(2.0, 2.0, 400) == [(0.0, "2")]


def test_powers_of_ten_are_written_as_weights() -> None:
    assert [(round(tick.position, 2), tick.text) for tick in power_ticks(-3.0, 0.0, 400)] == [
        (0.0, "0.001"),
        (0.33, "0.01"),
        (0.67, "0.1"),
        (1.0, "1"),
    ]
