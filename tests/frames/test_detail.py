"""A part of a picture at a finer grain: which numbers it holds, what it reads, and the sentences of refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames import PageSource, dequantise
from memviz_widgets.frames.detail import Part
from memviz_widgets.frames.quantise import Quantised

from .attention_cache import attention_cache
from .fake_cache import FakeCache, FakeLazy

FULL = 4096
"""Elements on a side: cells of 4 x 4 in the whole picture."""


def matrix() -> torch.Tensor:
    return torch.randn(1, FULL, FULL, generator=torch.Generator().manual_seed(0))


def source_of(values: torch.Tensor | FakeLazy) -> PageSource:
    return PageSource(FakeCache((values, ("batch", "row", "column"))))


def part(pool: int, rows: tuple[int, int], cols: tuple[int, int]) -> Part:
    return Part(pool, pool, slice(*rows), slice(*cols))


def test_a_detail_of_single_elements_is_the_values() -> None:
    values = matrix()
    page = source_of(values).detail(0, "frame", 0, part(1, (1000, 1300), (7, 300)))
    shown = dequantise(Quantised(page.cells, page.lows, page.highs))[0]
    expected = values[0, 1000:1300, 7:300].double().numpy()
    assert np.abs(shown - expected).max() <= (expected.max() - expected.min()) / 504 * 1.001


def test_a_coarser_detail_has_the_loudest_of_each_window() -> None:
    values = torch.zeros(1, FULL, FULL)
    values[0, 2049, 3] = -5.0  # in the window of rows 2048, 2049 and columns 2, 3
    page = source_of(values).detail(0, "frame", 0, part(2, (1024, 1026), (0, 4)))
    shown = dequantise(Quantised(page.cells, page.lows, page.highs))[0]
    assert shown.tolist() == [[0.0, -5.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_a_detail_at_the_far_edge_ends_with_the_picture() -> None:
    values = torch.zeros(1, FULL + 1, FULL)
    values[0, FULL, 0] = 1.0
    page = source_of(values).detail(0, "frame", 0, part(2, (2047, 2049), (0, 1)))
    assert page.cells[0].tolist() == [[0], [252]]


def test_a_detail_reads_its_part_only() -> None:
    lazy = FakeLazy(matrix())
    source_of(lazy).detail(0, "frame", 0, part(1, (100, 200), (300, 350)))
    assert sum(torch.Size(shape).numel() for shape in lazy.reads) == 100 * 50


def test_a_value_of_a_cell_of_a_detail_is_that_of_its_element() -> None:
    values = matrix()
    cell = source_of(values).value(0, 0, 3001, 77, pools=(1, 1))
    assert cell.index == (0, 3001, 77)
    assert cell.number == values[0, 3001, 77].item()


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (part(5, (0, 1), (0, 1)), r"no cells of 5 x 5 elements: ask for 1 x 1 to 4 x 4"),
        (part(0, (0, 1), (0, 1)), r"no cells of 0 x 0 elements"),
        (part(1, (0, 2000), (0, 1)), r"a part of 2000 x 1 cells; ask for 1 to 1024"),
        (part(1, (4090, 4097), (0, 1)), r"frames 0 .. 0 of 4096 x 4096 cells, got frame 0, cell \(4096, 0\)"),
    ],
)
def test_a_part_that_is_not_there_is_refused(wanted: Part, sentence: str) -> None:
    with pytest.raises(PageRefusedError, match=sentence):
        source_of(torch.zeros(1, FULL, FULL)).detail(0, "frame", 0, wanted)


def test_pages_without_a_detail_are_refused() -> None:
    with pytest.raises(PageRefusedError, match=r"no detail of kind 'sheet'; ask for one of frame, row"):
        source_of(torch.zeros(1, FULL, FULL)).detail(0, "sheet", 0, part(1, (0, 1), (0, 1)))


@pytest.mark.parametrize("kind", ["row", "log", "mean", "max", "difference"])
def test_a_detail_of_a_map_has_the_numbers_of_its_cells(kind: str) -> None:
    weights = torch.rand(1, 2, 1100, 1100, generator=torch.Generator().manual_seed(0)).softmax(-1)
    source = PageSource(attention_cache(weights))
    frame = 1 if kind == "difference" else 0  # head 0 minus head 1
    page = source.detail(0, kind, frame, part(1, (900, 930), (1050, 1100)))
    shown = dequantise(Quantised(page.cells, page.lows, page.highs))[0]
    expected = {
        "row": weights[0, 0] / weights[0, 0].amax(-1, keepdim=True),
        "log": weights[0, 0].log10(),
        "mean": weights[0].mean(0),
        "max": weights[0].amax(0),
        "difference": weights[0, 0] - weights[0, 1],
    }[kind][900:930, 1050:1100].numpy()
    assert np.abs(shown - expected).max() <= (expected.max() - expected.min()) / 500
