"""A part of a picture at a finer grain: which numbers it holds, what it reads, and the sentences of refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.cache.joined import JoinedValue
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames import PageSource, dequantise
from memviz_widgets.frames.detail import Part
from memviz_widgets.frames.quantise import Quantised

from .attention_cache import attention_cache, shown
from .fake_cache import FakeCache, FakeLazy
from .memory_world import AFTER, VECTOR, lstm, memory_cache, shares_by_hand, slots

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


def check_part(source: PageSource, record: int, kind: str, frame: int, expected: torch.Tensor, wanted: Part) -> None:
    """The part, of single elements, has these numbers, and its cells give them exactly."""
    page = source.detail(record, kind, frame, wanted)
    inside = expected[wanted.rows, wanted.cols].double().numpy()
    assert np.abs(shown(page)[0] - inside).max() <= (inside.max() - min(0.0, inside.min())) / 500
    row, col = wanted.rows.start, wanted.cols.start
    value = source.value(record, frame, row, col, kind, pools=(wanted.pool_rows, wanted.pool_cols))
    assert value.number == pytest.approx(expected[row, col].item(), abs=1e-6)


@pytest.mark.parametrize("kind", ["rollout", "flow"])
def test_a_detail_of_a_map_through_layers_has_its_numbers(kind: str) -> None:
    weights = torch.rand(1, 2, 1100, 1100, generator=torch.Generator().manual_seed(0)).softmax(-1)
    source = PageSource(attention_cache(weights))
    expected = 0.5 * weights[0].mean(0) + 0.5 * torch.eye(1100)  # of one layer
    if kind == "rollout":
        check_part(source, 0, kind, 0, expected, part(1, (40, 70), (35, 80)))
    else:
        own = source.page(0, kind, 7)  # in cells of two keys
        assert own.cells.shape == (1, 1, 550)
        at = source.value(0, 7, 0, 9, kind, pools=(1, 1))
        assert at.index == (0, -1, 7, 9)
        exact = torch.tensor([source.value(0, 7, 0, key, kind, pools=(1, 1)).number for key in range(30)])
        check_part(source, 0, kind, 7, exact.unsqueeze(0), part(1, (0, 1), (3, 20)))


@pytest.mark.parametrize("kind", ["time", "timescale", "similarity"])
def test_a_detail_of_units_over_time_has_its_numbers_in_their_order(kind: str) -> None:
    parts = lstm(batch=2, steps=2100, units=5)
    source = PageSource(memory_cache(parts))
    assert source.page(0, kind, 0).shape == (2, 5, 700)
    cell = parts["cell"][0]
    assert isinstance(cell, torch.Tensor)
    sample = cell[1].T
    if kind != "time":
        order = source.page(0, "units", 1).cells[1 if kind == "timescale" else 2, 0].astype(int)
        sample = sample[torch.from_numpy(order)]
    check_part(source, 0, kind, 1, sample, Part(1, 1, slice(1, 4), slice(2000, 2100)))


@pytest.mark.parametrize("kind", ["wrote", "wrote_unit"])
def test_a_detail_of_who_wrote_what_has_its_shares(kind: str) -> None:
    parts = lstm(batch=1, steps=1060, units=2)
    source = PageSource(memory_cache(parts))
    assert source.page(0, kind, 0).shape[1:] == (530, 530)
    keep, write = parts["gate.f"][0], parts["gate.i"][0] * parts["gate.g"][0]  # type: ignore[operator]
    cell, one = parts["cell"][0], slice(0, 2) if kind == "wrote" else slice(1, 2)
    assert isinstance(cell, torch.Tensor) and isinstance(keep, torch.Tensor)
    expected = shares_by_hand(keep[0, :24, one], write[0, :24, one], cell[0, :24, one])
    check_part(source, 0, kind, 0 if kind == "wrote" else 1, expected, part(1, (10, 24), (3, 20)))


def test_a_detail_of_what_is_read_has_its_shares() -> None:
    parts = slots(batch=1, steps=5)
    cache = memory_cache(parts)
    cache.change(4, note=AFTER)
    source = PageSource(cache)
    whole = torch.from_numpy(shown(source.page(4, "reads", 0))[1])
    page = source.detail(4, "reads", 1, part(1, (2, 5), (0, 3)))
    np.testing.assert_allclose(shown(page)[0], whole[2:5, 0:3].numpy(), atol=1 / 250)


def test_a_detail_of_a_joined_history_reads_its_steps_only() -> None:
    steps = [torch.full((1, 3), float(step)) for step in range(2100)]
    asked: list[int] = []

    def of(index: int) -> torch.Tensor:
        asked.append(index)
        return steps[index]

    joined = JoinedValue((1, 2100, 3), torch.float32, 1, tuple(range(2100)), tuple(range(2101)), True, None, of)
    cache = memory_cache({"cell": (FakeLazy(torch.zeros(1, 2100, 3)), VECTOR)})
    cache.values[0] = joined  # type: ignore[call-overload]
    source = PageSource(cache)
    page = source.detail(0, "time", 0, Part(1, 1, slice(0, 3), slice(1000, 1010)))
    assert shown(page)[0, 0].tolist() == pytest.approx(range(1000, 1010), abs=0.02)
    assert set(asked) == set(range(1000, 1010))
    page = source.detail(0, "frame", 0, Part(1, 1, slice(2000, 2010), slice(0, 3)))
    assert set(asked[-10:]) == set(range(2000, 2010)) and page.cells[0, :, 0].tolist() == sorted(page.cells[0, :, 0])
