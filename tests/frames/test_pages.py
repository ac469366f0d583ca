"""Pages and exact values of records of all kinds, and the sentences of refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames import Page, PageSource, dequantise
from memviz_widgets.frames import pages as pages_module
from memviz_widgets.frames.quantise import Quantised

from .fake_cache import IMAGE, FakeCache, FakeLazy


def source_of(values: torch.Tensor | FakeLazy, *dims: str) -> PageSource:
    return PageSource(FakeCache((values, dims)))


def shown(page: Page) -> np.ndarray:
    """The values that the codes of a page stand for."""
    return dequantise(Quantised(page.cells, page.lows, page.highs))


def test_frames_are_row_major_over_sample_and_channel() -> None:
    values = torch.arange(2 * 3).reshape(2, 3, 1, 1).expand(2, 3, 4, 4) * 1.0
    page = source_of(values, *IMAGE).page(0, "frame", 0)
    assert page.shape == (6, 4, 4)
    assert shown(page)[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_frame_page_has_its_own_range_per_frame() -> None:
    page = source_of(torch.tensor([[[[0.0, 1.0]], [[-2.0, 4.0]]]]), *IMAGE).page(0, "frame", 0)
    assert page.cells.tolist() == [[[0, 252]], [[0, 252]]]
    assert (page.lows.tolist(), page.highs.tolist()) == ([0.0, -2.0], [1.0, 4.0])


def test_buffers_are_bytes_of_codes_and_float64_ranges() -> None:
    page = source_of(torch.tensor([[[[0.0, 1.0]], [[-2.0, 4.0]]]]), *IMAGE).page(0, "frame", 0)
    assert (page.dtype, page.data.tolist()) == ("uint8", [0, 252, 0, 252])
    assert np.frombuffer(page.lo).tolist() == [0.0, -2.0] and np.frombuffer(page.hi).tolist() == [1.0, 4.0]


def test_last_page_is_short() -> None:
    source = source_of(torch.zeros(1, 12, 224, 224), *IMAGE)
    assert [source.page(0, "frame", page).shape[0] for page in (0, 1)] == [10, 2]


def test_time_first_record_is_permuted_on_the_slice() -> None:
    values = torch.arange(4 * 2 * 3).reshape(4, 2, 3) * 1.0  # (time, batch, channel)
    page = source_of(values, "time", "batch", "channel").page(0, "frame", 0)
    assert page.shape == (2, 4, 3)
    assert shown(page)[1, -1].round(9).tolist() == pytest.approx([21, 22, 23], abs=0.05)


def test_fixed_dims_are_read_at_index_0() -> None:
    values = torch.arange(16).reshape(2, 2, 2, 2, 1) * 1.0
    page = source_of(values, "a", "b", "c", "height", "width").page(0, "frame", 0)
    assert page.shape == (4, 2, 1) and page.lows.tolist() == [0, 4, 8, 12]


@pytest.mark.parametrize(
    ("values", "dims", "shape"),
    [
        (torch.tensor(2.5), (), (1, 1, 1)),
        (torch.ones(5), ("channel",), (1, 1, 5)),
        (torch.ones(5, dtype=torch.bool), ("batch",), (1, 1, 5)),
        (torch.ones(2, 3).to(torch.float8_e4m3fn), ("batch", "channel"), (1, 2, 3)),
        (torch.ones(2, 4, 3, dtype=torch.complex64), ("batch", "time", "channel"), (2, 4, 3)),
        (torch.ones(2, 4, 3, 3, dtype=torch.bfloat16), IMAGE, (8, 3, 3)),
        (torch.ones(2, 4, 3, 3).to(torch.uint16), IMAGE, (8, 3, 3)),
    ],
)
def test_any_dtype_and_number_of_dims_has_a_frame(
    values: torch.Tensor, dims: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    assert source_of(values, *dims).page(0, "frame", 0).shape == shape


def test_large_frame_is_pooled_and_keeps_its_outlier() -> None:
    values = torch.zeros(2050, 10)
    values[1537, 3] = -4.0
    page = source_of(values, "height", "width").page(0, "frame", 0)
    assert page.shape == (1, 684, 10) and shown(page)[0, 512, 3] == -4.0


def test_sheet_of_a_picture_has_a_pooled_tile_per_channel() -> None:
    values = torch.zeros(1, 3, 64, 64)
    values[0, 2, 5, 63] = 7.0
    page = source_of(values, *IMAGE).page(0, "sheet", 0)
    assert page.shape == (3, 32, 32) and page.highs.tolist() == [0.0, 0.0, 7.0]
    assert page.cells[2, 2, 31] == 252


def test_sheet_of_time_and_channel_has_a_tile_of_one_cell_per_channel_and_timestep() -> None:
    values = torch.arange(4 * 2 * 3).reshape(4, 2, 3) * 1.0  # (time, batch, channel)
    page = source_of(values, "time", "batch", "channel").page(0, "sheet", 0)
    assert page.shape == (24, 1, 1)
    assert page.lows[:6].tolist() == [0, 1, 2, 6, 7, 8], "sample 0: channels of timestep 0, then of timestep 1"


def test_pages_of_100_000_channels_are_small() -> None:
    source = source_of(torch.linspace(-1, 1, 100_000)[None], "batch", "channel")
    assert source.page(0, "frame", 0).shape == (1, 1, 1021)
    page = source.page(0, "sheet", 97)
    assert page.shape == (672, 1, 1) and page.lows[-1] == 1.0


def test_series_are_exact_float32() -> None:
    values = torch.randn(5, 2, 3)  # (time, batch, channel)
    page = source_of(values, "time", "batch", "channel").page(0, "series", 0)
    assert (page.dtype, page.shape, page.lo.nbytes) == ("float32", (6, 1, 5), 0)
    assert page.cells[4, 0].tolist() == values[:, 1, 1].tolist()


def test_long_series_shows_the_largest_magnitude_per_window() -> None:
    values = torch.zeros(10_000, 1)
    values[9_998, 0] = -3.0
    page = source_of(values, "time", "channel").page(0, "series", 0)
    assert page.shape == (1, 1, 3334) and page.cells[0, 0, 3332] == -3.0


def test_channels_page_has_magnitude_variance_and_zeros() -> None:
    page = source_of(torch.tensor([[1.0, 0.0], [-3.0, 0.0]]), "batch", "channel").page(0, "channels", 0)
    assert (page.dtype, page.shape, page.sampled) == ("float32", (3, 1, 2), False)
    assert page.cells[:, 0].tolist() == [[2.0, 0.0], [4.0, 0.0], [0.0, 1.0]]


def test_channels_page_of_a_very_large_record_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "MEASURED_CELLS", 4)
    values = torch.tensor([[1.0, 9.0, 3.0, 9.0], [0.0, 9.0, 0.0, 9.0]])  # of 8 elements every second one
    page = source_of(values, "channel", "time").page(0, "channels", 0)
    assert page.sampled and page.cells[:, 0].tolist() == [[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_histogram_page_has_counts_and_edges() -> None:
    page = source_of(torch.tensor([0.0, 1.0, 64.0, math.nan]), "channel").page(0, "histogram", 0)
    assert (page.dtype, page.shape, page.sampled) == ("float64", (1, 1, 64), False)
    assert page.cells[0, 0, :2].tolist() == [1, 1] and page.cells[0, 0, 63] == 1
    assert (page.lows.tolist(), page.highs.tolist()) == ([0.0], [64.0])


def test_value_is_exact_and_names_the_element() -> None:
    values = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) / 7
    cell = source_of(values, *IMAGE).value(0, frame=4, row=2, col=3)
    assert cell.index == (1, 1, 2, 3)
    assert float(cell.text) == pytest.approx(values[1, 1, 2, 3].item(), rel=1e-7)
    assert cell.number == values[1, 1, 2, 3].item()


def test_value_of_a_permuted_record_is_indexed_in_its_own_dims() -> None:
    values = torch.arange(4 * 2 * 3).reshape(4, 2, 3)  # (time, batch, channel)
    cell = source_of(values, "time", "batch", "channel").value(0, frame=1, row=3, col=2)
    assert (cell.text, cell.index) == ("23", (3, 1, 2))


def test_value_of_a_pooled_cell_is_the_element_that_is_shown() -> None:
    values = torch.zeros(2050, 10)
    values[1537, 3] = -4.0
    cell = source_of(values, "height", "width").value(0, frame=0, row=512, col=3)
    assert (cell.text, cell.number, cell.index) == ("-4.0", -4.0, (1537, 3))


def test_value_of_a_number() -> None:
    cell = source_of(torch.tensor(2.5)).value(0, 0, 0, 0)
    assert (cell.text, cell.index) == ("2.5", ())


REFUSALS = [
    ((0, "frames", 0), r"no page kind 'frames'; ask for one of frame, sheet, series, .*, heads, .*, entries\."),
    ((1, "frame", 0), r"no record 1; the recording has 1, counted from 0\."),
    ((0, "frame", 1), r"record 'conv' has frame pages 0 \.\. 0, got 1\."),
    ((0, "histogram", 1), r"record 'conv' has histogram pages 0 \.\. 0, got 1\."),
    ((0, "series", 0), r"has no series: it needs dims channel and time, .* its dims are \(height, width\)\."),
    ((0, "sheet", 0), r"has no sheet: it needs a dim channel, its dims are \(height, width\)\."),
    ((0, "channels", 0), r"has no channels: it needs a dim channel"),
]


@pytest.mark.parametrize(("wish", "message"), REFUSALS)
def test_refusal_says_why(wish: tuple[int, str, int], message: str) -> None:
    with pytest.raises(PageRefusedError, match=message):
        source_of(torch.zeros(2, 3), "height", "width").page(*wish)


def test_value_outside_the_picture_is_refused() -> None:
    message = r"record 'conv' has frames 0 \.\. 0 of 2 x 3 cells, got frame 0, cell \(2, 0\)\."
    with pytest.raises(PageRefusedError, match=message):
        source_of(torch.zeros(2, 3), "height", "width").value(0, 0, 2, 0)


def test_record_that_is_not_kept_is_refused_with_its_note() -> None:
    cache = FakeCache((torch.zeros(2), ("channel",)))
    cache.change(0, kept=False, note="not kept: 8 B over the budget")
    with pytest.raises(PageRefusedError, match="not kept: 8 B over the budget"):
        PageSource(cache).page(0, "frame", 0)


def test_record_on_demand_is_served_and_refused_only_when_it_cannot_be_had_again() -> None:
    cache = FakeCache((torch.tensor([1.0, 3.0]), ("channel",)))
    cache.change(0, kept=False, on_demand=True)
    source = PageSource(cache)
    assert source.page(0, "frame", 0).highs.tolist() == [3.0]
    cache.values.clear()
    with pytest.raises(PageRefusedError, match="the value was dropped"):
        source.page(0, "frame", 0)


def test_summary_is_that_of_the_cache_until_it_is_closed() -> None:
    cache = FakeCache((torch.zeros(2), ("channel",)))
    source = PageSource(cache)
    assert source.summary == "8 B recorded, all kept"
    cache.closed = True
    assert source.summary == ""


def test_series_page_is_no_view_of_the_value() -> None:
    values = torch.zeros(1, 3, 5)  # float32, time last: a view of it would do
    page = source_of(values, "batch", "channel", "time").page(0, "series", 0)
    values.fill_(7)
    assert page.cells.max() == 0


def test_cache_that_has_no_value_after_all_is_refused_with_its_sentence() -> None:
    cache = FakeCache((torch.zeros(2), ("channel",)))
    source = PageSource(cache)
    cache.values.clear()
    with pytest.raises(PageRefusedError, match="the value was dropped"):
        source.page(0, "frame", 0)


def test_empty_record_is_refused() -> None:
    with pytest.raises(PageRefusedError, match=r"empty: shape \(0, 3\)"):
        source_of(torch.zeros(0, 3), "batch", "channel").page(0, "histogram", 0)


def test_closed_cache_is_refused() -> None:
    cache = FakeCache((torch.zeros(2), ("channel",)))
    source = PageSource(cache)
    cache.closed = True
    with pytest.raises(PageRefusedError, match="the recording is closed; capture again to see its values"):
        source.value(0, 0, 0, 0)


def test_closed_source_lets_go_of_the_cache() -> None:
    source = source_of(torch.zeros(2), "channel")
    source.close()
    with pytest.raises(PageRefusedError, match="the recording is closed"):
        source.page(0, "frame", 0)
    assert source._cache is None
