"""The pixels of heatmaps and strips: every cell in its colour, the largest |x| where several share a pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from memviz_widgets.export.picture import png_bytes, small_png_bytes
from memviz_widgets.export.picture_parts import AxisPart, Board, CodedFrame, MapPart
from memviz_widgets.export.picture_pixels import bar_pixels, map_pixels, strip_pixels
from memviz_widgets.frames.colormaps import colormap
from memviz_widgets.frames.quantise import quantise
from memviz_widgets.frames.shown_colors import ColorScale

from ..png_map import Matrix, places_of, reference

VALUES = np.array([[-2.0, 0.0, 1.0], [math.nan, math.inf, -math.inf]])


def coded(values: Matrix) -> CodedFrame:
    made = quantise(torch.from_numpy(values)[None])
    return CodedFrame(made.codes[0], float(made.lo[0]), float(made.hi[0]))


def board(values: Matrix, low: float, high: float, name: str = "vik", empty: str = "") -> Board:
    rows, cols = values.shape
    part = MapPart(
        "", coded(values), ColorScale(low, high, name), AxisPart("height", rows), AxisPart("width", cols), empty
    )
    return Board("a map", (), ((part,),))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_every_cell_is_a_block_of_its_colour(scale: int) -> None:
    png = png_bytes(board(VALUES, -2.0, 2.0), scale)
    side = round(480 * scale / 3)  # 480 x 320 pixels for 3 x 2 square cells
    assert len(places_of(png, reference(VALUES, (-2.0, 2.0), "vik"), side, side)) == 1


def test_values_beyond_the_range_have_the_colours_of_its_ends() -> None:
    values = np.array([[-5.0, 0.25, 5.0]])
    cells = reference(values, (0.0, 1.0), "viridis")
    assert [tuple(cell) for cell in (cells[0, 0], cells[0, 2])] == [(0x44, 0x01, 0x54), (0xFD, 0xE7, 0x25)]
    assert len(places_of(png_bytes(board(values, 0.0, 1.0, "viridis"), 1), cells, 192, 160)) == 1


def test_a_weight_that_is_exactly_0_stays_blank() -> None:
    part = board(VALUES, -2.0, 2.0, empty="masked").rows[0][0]
    assert isinstance(part, MapPart)
    assert (map_pixels(part, 1)[-1, -1] == 255).all()


def test_a_cell_has_a_pixel_at_least_and_in_a_small_picture_the_largest_stands_for_several() -> None:
    values = np.zeros((1000, 1000))
    values[501, 334] = -7.0
    part = board(values, -7.0, 7.0).rows[0][0]
    assert isinstance(part, MapPart)
    darkest = np.array([int(colormap("vik")[0][place : place + 2], 16) for place in (1, 3, 5)])
    exact, small = map_pixels(part, 1), map_pixels(part, 1, exact=False)
    assert exact.shape == (1000, 1000, 3) and (exact[501, 334] == darkest).all()
    assert small.shape == (360, 360, 3)
    assert np.argwhere((small == darkest).all(axis=2)).tolist() == [[180, 120]]  # 501 * .36, 334 * .36


def test_a_strip_shows_a_gate_that_opens_once() -> None:
    values = np.full((2, 5000), 0.01)
    values[1, 4321] = 1.0
    pixels = strip_pixels(coded(values), ColorScale(0.0, 1.0, "viridis"), 100, 8)
    assert pixels.shape == (8, 100, 3)
    bright = np.argwhere((pixels == (0xFD, 0xE7, 0x25)).all(axis=2))
    assert bright.tolist() == [[row, 86] for row in range(4, 8)]  # 4321 / 50


def test_a_bar_runs_from_the_first_colour_to_the_last() -> None:
    pixels = bar_pixels(ColorScale(0.0, 1.0, "gray"), 256, 3)
    assert pixels[1].tolist() == [[entry] * 3 for entry in range(256)]


def test_the_same_board_gives_the_same_bytes() -> None:
    assert png_bytes(board(VALUES, -1.0, 1.0)) == png_bytes(board(VALUES, -1.0, 1.0))


def test_a_small_picture_keeps_to_its_bytes_or_is_none() -> None:
    noise = board(np.random.default_rng(0).normal(size=(400, 400)), -3.0, 3.0)
    assert 0 < len(small_png_bytes(noise, 150_000)) <= 150_000 < len(png_bytes(noise, 1))
    assert small_png_bytes(noise, 1000) == b""
