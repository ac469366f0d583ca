"""Ranges and tables of colours in the kernel, as js/tests/color_mapping.test.ts says of the browser's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from memviz_widgets.frames.shown_colors import (
    ColorScale,
    around_zero,
    between,
    both_sides,
    finite_ends,
    lookup_table,
    map_name,
    powers_of,
    strip_range,
    union,
)

from ..browser.reference import table_of


@pytest.mark.parametrize(
    ("ends", "plain", "symmetric", "automatic"),
    [
        ((-1.0, 3.0), (-1.0, 3.0), (-3.0, 3.0), (-3.0, 3.0)),
        ((1.0, 3.0), (1.0, 3.0), (-3.0, 3.0), (1.0, 3.0)),
        ((-3.0, -1.0), (-3.0, -1.0), (-3.0, 3.0), (-3.0, -1.0)),
        ((None, None), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)),
    ],
)
def test_ranges_of_a_layer(
    ends: tuple[float | None, float | None], plain: object, symmetric: object, automatic: object
) -> None:
    assert (between(ends), around_zero(ends), both_sides(ends)) == (plain, symmetric, automatic)


def test_a_frame_without_finite_values_counts_for_nothing() -> None:
    assert finite_ends([math.nan, -2.0], [math.nan, 1.0]) == (-2.0, 1.0)
    assert finite_ends([math.nan], [math.nan]) == (None, None)
    assert union([(None, None), (1.0, 2.0), (-1.0, 0.0)]) == (-1.0, 2.0)


def test_auto_takes_a_diverging_map_only_for_both_signs() -> None:
    assert [map_name("auto", low, 1.0) for low in (-1.0, 0.0)] == ["vik", "viridis"]
    assert map_name("gray", -1.0, 1.0) == "gray"


def test_typed_weights_become_powers_of_ten() -> None:
    assert powers_of((0.01, 1.0)) == (-2.0, 0.0)
    assert powers_of((0.0, 0.1))[0] == -6.0


@pytest.mark.parametrize(
    ("pinned", "ends", "span"),
    [
        ((0.0, 1.0), (0.4, 0.6), (0.0, 1.0)),
        (None, (-1.0, 0.5), (-1.0, 1.0)),
        (None, (0.2, 0.5), (0.0, 0.5)),
        (None, (math.nan, math.nan), None),
    ],
)
def test_a_strip_keeps_to_its_pinned_range_else_begins_at_0(
    pinned: tuple[float, float] | None, ends: tuple[float, float], span: tuple[float, float] | None
) -> None:
    assert strip_range(pinned, *ends) == span


@pytest.mark.parametrize("ends", [(-2.0, 1.0), (0.5, 0.5), (-1.7e308, 1.7e308)])
def test_the_table_has_the_colour_of_every_code(ends: tuple[float, float]) -> None:
    table = lookup_table(ColorScale(-1.0, 2.0, "batlow"), *ends)
    expected = table_of(max(ends[0], -1e300), min(ends[1], 1e300), -1.0, 2.0, "batlow")
    np.testing.assert_array_equal(table, expected[:, :3])


def test_a_range_without_extent_is_one_colour() -> None:
    table = lookup_table(ColorScale(3.0, 3.0, "gray"), 0.0, 1.0)
    assert set(map(tuple, table[:253].tolist())) == {(128, 128, 128)}
