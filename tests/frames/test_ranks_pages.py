"""Pages of what several ranks recorded: as those of one process, and no value where a rank is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames.attention_heads import HEAD_MEASURES
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.pages import PageSource
from tests.cache.rank_parts import over, placed, save_batches

NAN = 255


class Block(nn.Module):
    """Attention of 4 heads, then a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.lstm = nn.LSTM(16, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.lstm(self.block(x))[0]
        return states


@pytest.fixture
def x() -> Tensor:
    return torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def single(x: Tensor) -> ActivationCache:
    torch.manual_seed(0)
    return ActivationCache.capture(Block().eval(), x)


@pytest.fixture
def opened(x: Tensor, tmp_path: Path) -> Callable[[int | None], ActivationCache]:
    """Three ranks of two samples, of which one may be missing."""
    torch.manual_seed(0)
    save_batches(Block().eval(), x.split(2), tmp_path / "run.zarr")

    def opening(lost: int | None) -> ActivationCache:
        if lost is not None:
            shutil.rmtree(tmp_path / "run.zarr" / "ranks" / str(lost))
        return ActivationCache.open(tmp_path / "run.zarr")

    return opening


def attention(cache: ActivationCache) -> int:
    return cache.find("block.self_attn", "attention").index


@pytest.mark.parametrize("kind", ["frame", "tiles", "mean", "heads", "rollout", "histogram", "channels", "time"])
def test_pages_are_those_of_one_process(
    opened: Callable[[int | None], ActivationCache], single: ActivationCache, kind: str
) -> None:
    joined = opened(None)
    memory = next(record.index for record in joined.records if record.kind == "cell")
    index = memory if kind in ("channels", "time") else attention(joined)
    one, many = PageSource(single).page(index, kind, 0), PageSource(joined).page(index, kind, 0)
    assert one.shape == many.shape
    np.testing.assert_allclose(many.lows, one.lows, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(many.cells.astype(float), one.cells.astype(float), atol=1.0 if one.lows.size else 1e-5)


def test_samples_of_a_missing_rank_are_drawn_as_nan_and_read_as_not_recorded(
    opened: Callable[[int | None], ActivationCache],
) -> None:
    joined = opened(1)
    source, index = PageSource(joined), attention(joined)
    cells = source.page(index, "frame", 0).cells.reshape(6, 4, 5, 5)
    assert (cells[2:4] == NAN).all() and (np.delete(cells, [2, 3], 0) != NAN).all()
    cell = source.value(index, 2 * 4, 1, 1)
    assert source.text(index, cell) == "not recorded" and cell.index == (2, 0, 1, 1)
    assert source.text(index, source.value(index, 4 * 4, 1, 1)) == source.value(index, 4 * 4, 1, 1).text != "nan"
    assert source.text(index, source.value(index, 3, 0, 0, "mean")) == "not recorded"


def test_a_real_nan_is_called_nan(tmp_path: Path) -> None:
    cache = ActivationCache.from_tensors({"fc": torch.full((1, 4), torch.nan)}, dims="batch channel")
    source = PageSource(cache)
    assert source.text(0, source.value(0, 0, 0, 0)) == "nan"


@pytest.mark.parametrize(
    ("kind", "page", "complaint"),
    [
        ("heads", 2, "sample 2 was not recorded: the part of its rank is missing"),
        ("flow", 2 * 5, "in sample 2 was not recorded on all ranks: 3 ranks: batch; rank 1 of 3 missing"),
    ],
)
def test_measures_of_a_missing_sample_are_refused(
    opened: Callable[[int | None], ActivationCache], kind: str, page: int, complaint: str
) -> None:
    joined = opened(1)
    with pytest.raises(PageRefusedError, match=complaint):
        PageSource(joined).page(attention(joined), kind, page)
    assert np.isfinite(PageSource(joined).page(attention(joined), kind, 0).cells).any()


def test_the_record_line_says_how_the_value_was_put_together(
    opened: Callable[[int | None], ActivationCache],
) -> None:
    assert build_catalog(opened(None))["records"][0]["message"] == "3 ranks: batch"
    message = build_catalog(opened(1))["records"][0]["message"]
    assert message.startswith("3 ranks: batch; rank 1 of 3 missing; not recorded: batch 2 to 3")


def test_heads_of_a_missing_rank_have_no_measures(tmp_path: Path) -> None:
    weights = torch.rand(1, 4, 5, 5).softmax(-1)
    place = over("shard 1", mesh=(2,), names=("tp",), shape=(1, 4, 5, 5))
    cache = placed(ActivationCache.from_attentions([weights[:, 2:]]), 1, place)
    cache.save(tmp_path / "run.zarr", rank=1, world_size=2)
    joined = ActivationCache.open(tmp_path / "run.zarr")
    assert joined.records[0].note.startswith("2 ranks: head; rank 0 of 2 missing; not recorded: head 0 to 1")
    heads = PageSource(joined).page(0, "heads", 0).cells
    alone = PageSource(ActivationCache.from_attentions([weights[:, 2:]])).page(0, "heads", 0).cells
    np.testing.assert_array_equal(heads[..., 2:], alone)
    kind = HEAD_MEASURES.index("kind")
    assert (heads[kind, :, :2] == -1).all() and np.isnan(np.delete(heads, kind, 0)[..., :2]).all()
