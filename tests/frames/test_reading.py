"""Values that are read piece by piece: the same pages as of a held tensor, and never all of it at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.frames import PageSource, reading

from .fake_cache import IMAGE, FakeCache, FakeLazy

ATTENTION = ("batch", "head", "query", "key")


def both(values: torch.Tensor, *dims: str) -> tuple[PageSource, PageSource, FakeLazy]:
    """A source of the held tensor, one of the lazy value, and the lazy value."""
    lazy = FakeLazy(values)
    return PageSource(FakeCache((values, dims))), PageSource(FakeCache((lazy, dims))), lazy


@pytest.mark.parametrize(
    ("shape", "dims", "kinds"),
    [
        ((2, 3, 4, 5), IMAGE, ("frame", "sheet", "channels", "histogram")),
        ((2, 3, 6, 6), ATTENTION, ("frame", "histogram")),
        ((7, 2, 5), ("time", "batch", "channel"), ("frame", "sheet", "series", "channels", "histogram")),
        ((2, 2, 2, 2, 3), ("a", "b", "c", "height", "width"), ("frame", "histogram")),
        ((5,), ("channel",), ("frame", "sheet", "channels", "histogram")),
        ((), (), ("frame", "histogram")),
    ],
)
@pytest.mark.parametrize("at_once", [2**20, 4])
def test_pages_of_a_lazy_value_are_those_of_the_tensor(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dims: tuple[str, ...], kinds: tuple[str, ...], at_once: int
) -> None:
    monkeypatch.setattr(reading, "GATHER_CELLS", at_once)
    held, lazy, _ = both(torch.randn(shape), *dims)
    for kind in kinds:
        expected, page = held.page(0, kind, 0), lazy.page(0, kind, 0)
        np.testing.assert_allclose(page.cells, expected.cells, rtol=1e-6, err_msg=kind)
        np.testing.assert_array_equal(page.lows, expected.lows)
        assert not page.sampled


def test_large_frame_is_read_a_few_whole_windows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "GATHER_CELLS", 20_000)
    values = torch.zeros(1, 1, 2050, 2050)
    values[0, 0, 1537, 2049] = -4.0
    held, source, lazy = both(values, *ATTENTION)
    page = source.page(0, "frame", 0)
    assert page.shape == (1, 684, 684) and page.cells[0, 512, 683] == 0 and page.lows[0] == -4.0
    np.testing.assert_array_equal(page.cells, held.page(0, "frame", 0).cells)
    assert lazy.most_read <= 20_000 and lazy.reads[0] == (1, 1, 9, 2050), "9 rows are 3 windows of 3"


def test_value_reads_the_window_of_its_cell_alone() -> None:
    values = torch.zeros(1, 2, 2050, 10)
    values[0, 1, 1537, 3] = -4.0
    _, source, lazy = both(values, *ATTENTION)
    cell = source.value(0, frame=1, row=512, col=3)
    assert (cell.text, cell.index) == ("-4.0", (0, 1, 1537, 3))
    assert lazy.reads == [(1, 1, 3, 1)]


def test_measures_of_a_large_value_look_at_blocks_of_all_of_it() -> None:
    values = torch.arange(64).reshape(1, 64, 1, 1).expand(1, 64, 8, 8) * 1.0
    lazy = FakeLazy(values)
    looked_at = reading.spread(lazy, most_cells=512)
    assert looked_at.shape == (1, 512) and (looked_at.min().item(), looked_at.max().item()) == (0.0, 63.0)
    assert all(shape[-1] == 8 for shape in lazy.reads), "whole rows: one costs as much as a part of it"
    assert len(lazy.reads) == 34, "32 blocks of 2 rows, two of them over the edge of a picture"


def test_histogram_of_a_large_value_says_that_it_is_sampled() -> None:
    _, source, lazy = both(torch.randn(1, 2, 2048, 2048), *ATTENTION)
    page = source.page(0, "histogram", 0)
    assert page.sampled and page.cells.sum() == reading.READ_CELLS
    assert sum(torch.Size(shape).numel() for shape in lazy.reads) == reading.READ_CELLS


def test_channel_measures_of_a_large_value_look_at_every_channel() -> None:
    values = torch.arange(3.0).reshape(1, 3, 1, 1).expand(1, 3, 64, 64)
    looked_at = reading.spread(FakeLazy(values), kept_dim=1, most_cells=300)
    assert looked_at.shape == (3, 96), "32 blocks of 3 of the 100 positions that are left for each channel"
    assert torch.equal(looked_at, torch.arange(3.0)[:, None].expand(3, 96))


BOXES = [
    ((3, 17), (2, 3, 4), 100, [(0, 0, 3, 1), (0, 1, 0, 8), (1, 0, 0, 4), (1, 1, 0, 1)]),
    ((0, 24), (2, 3, 4), 12, [(0, 0, 0, 12), (1, 0, 0, 12)]),
    ((0, 8), (2, 4), 3, [(0, 0, 3), (0, 3, 1), (1, 0, 3), (1, 3, 1)]),
    ((0, 1), (), 5, [()]),
]


@pytest.mark.parametrize(("run", "sizes", "most", "expected"), BOXES)
def test_boxes_cover_a_run_of_positions_in_order(
    run: tuple[int, int], sizes: tuple[int, ...], most: int, expected: list[tuple[int, ...]]
) -> None:
    found = list(reading.boxes(*run, sizes, most))
    positions = torch.arange(torch.Size(sizes).numel()).reshape(sizes)
    assert torch.cat([positions[box].reshape(-1) for box in found]).tolist() == list(range(*run))
    # start of each block, and its number of positions
    assert [(*(part.start for part in box), *([positions[box].numel()] if box else [])) for box in found] == expected
