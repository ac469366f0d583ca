"""Pages without a kernel know which of their cells no rank recorded, and tell them from cells that are NaN."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.cache.ranks_absence import absence
from memviz_widgets.cache.ranks_values import not_recorded
from memviz_widgets.export.coarser import coarser
from memviz_widgets.frames.page import Page, page_header
from memviz_widgets.frames.pages import PageSource
from tests.cache.rank_parts import loop_without_rank_1, over, save_tensors

WHOLE = torch.arange(24.0).reshape(2, 3, 4)


def source(path: Path, *parts: dict[str, Tensor] | None, axis: int = 2) -> PageSource:
    place = over(f"shard {axis}", mesh=(len(parts),), names=("tp",), shape=tuple(WHOLE.shape))
    save_tensors(parts, "batch height width", path / "run.zarr", place)
    return PageSource(ActivationCache.open(path / "run.zarr"))


def test_cells_of_a_lost_rank_and_a_nan_that_was_recorded(tmp_path: Path) -> None:
    kept = WHOLE[..., :2].clone()
    kept[1, 2, 0] = torch.nan
    pages = source(tmp_path, {"fc": kept}, None)
    page = pages.page(0, "frame", 0)
    assert page.absent is None and "absent" not in page_header(page)
    found = pages.with_absent(page)
    assert found.absent is not None and (found.cells == page.cells).all()
    expected = torch.zeros(2, 3, 4, dtype=torch.bool)
    expected[..., 2:] = True
    assert torch.equal(torch.from_numpy(found.absent), expected)
    assert page.cells[1, 2, 0] == page.cells[1, 2, 2], "both are drawn as NaN"
    assert page_header(found)["absent"] == [2, 2, 6, 2, 10, 2, 14, 2, 18, 2, 22, 2]


def test_a_value_of_all_ranks_misses_nothing(tmp_path: Path) -> None:
    nan = torch.full((2, 3, 2), torch.nan)
    pages = source(tmp_path, {"fc": nan}, {"fc": nan})
    assert pages.with_absent(pages.page(0, "frame", 0)).absent is None


def test_a_memory_that_was_joined_over_time(tmp_path: Path) -> None:
    joined = loop_without_rank_1(tmp_path / "run.zarr")
    record = joined.memories()[next(iter(joined.memories()))][0]
    found = PageSource(joined).with_absent(PageSource(joined).page(record.index, "time", 0))
    assert found.absent is not None and found.absent.shape[0] == 6
    assert found.absent.all(axis=(1, 2)).tolist() == [False, False, True, True, False, False]
    assert found.absent.any(axis=(1, 2)).tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize("lost", [0, 1])
def test_samples_of_a_data_set(tmp_path: Path, lost: int) -> None:
    model, loader = nn.Linear(2, 3), list(torch.randn(4, 2, 2))
    part = {"rank": 1 - lost, "world_size": 2}
    dataset = mv.record_dataset(model, loader, layers=[""], to=tmp_path / "acts.zarr", **part)  # type: ignore[arg-type]
    value = dataset.value(dataset.records[0])
    found = absence(value)
    assert found is not None
    gone = found.load().isnan()
    assert gone.any() and not gone.all()
    for sample in range(8):
        assert gone[sample].all() == not_recorded(value, (sample, 0))


def test_a_coarser_cell_is_absent_where_one_of_its_cells_is() -> None:
    codes = torch.zeros(1, 2, 5, dtype=torch.uint8)
    codes[0, 1, 1] = codes[0, 0, 4] = 255
    absent = torch.zeros(1, 2, 5, dtype=torch.bool)
    absent[0, 0, 4] = True
    edges = torch.zeros(1).numpy()
    page = coarser(Page(0, "frame", 0, codes.numpy(), edges, edges, absent=absent.numpy()), (2, 2), zero_coded=False)
    assert page.cells.tolist() == [[[255, 0, 255]]]
    assert page.absent is not None and page.absent.tolist() == [[[False, False, True]]]
