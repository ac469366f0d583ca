"""Pages of records are counted and found as the browser does it."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.export.page_names import PageName, flat, page_at, page_bytes, page_count, pages_of_sample
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.page import PageKind
from memviz_widgets.frames.pages import PageSource


class Both(nn.Module):
    """A memory and attention over its states."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        states, _ = self.lstm(x)
        return self.attention(states, states, states)[0]


@pytest.fixture(scope="module")
def cache() -> mv.ActivationCache:
    torch.manual_seed(0)
    return mv.ActivationCache.capture(Both(), torch.randn(2, 5, 3))


def test_every_page_that_is_counted_can_be_had_and_no_other(cache: mv.ActivationCache) -> None:
    catalog, source = build_catalog(cache), PageSource(cache)
    counted: dict[str, int] = {}
    for record, entry in enumerate(catalog["records"]):
        for kind in get_args(PageKind):
            count = page_count(entry, kind)
            for page in range(count):
                made = source.page(record, kind, page)
                if kind in ("frame", "sheet", "tiles", "time", "series", "channels", "units", "retention"):
                    room = page_bytes(catalog, PageName(record, kind, page))
                    assert room == pytest.approx(len(made.data) + len(made.lo) + len(made.hi), abs=32 * made.shape[0])
            with pytest.raises(PageRefusedError):
                source.page(record, kind, count)
            counted[kind] = counted.get(kind, 0) + count
    assert all(counted[kind] for kind in ("frame", "sheet", "series", "tiles", "heads", "flow", "time", "retention"))


def picture(**sizes: int) -> Any:
    axes = [{"trait": trait, "dim": trait, "size": size} for trait, size in sizes.items()]
    frames = 1
    for size in sizes.values():
        frames *= size
    return {"axes": axes, "frames": frames, "frames_per_page": 4}


def test_flat_is_row_major_and_moves_indices_inside() -> None:
    assert flat(picture(sample=2, channel=5), {"sample": 1, "channel": 3}) == 8
    assert flat(picture(sample=2, channel=5), {"sample": 9, "channel": 9}) == 9
    assert flat(picture(sample=2, channel=5), {}) == 0


def test_pages_at_a_cursor_and_of_its_sample() -> None:
    entry: Any = {"frame": picture(sample=3, channel=5), "extents": {"sample": 3}}
    assert page_at(entry, "frame", {"sample": 1, "channel": 4}) == 2  # frame 9
    assert pages_of_sample(entry, "frame", {"sample": 1, "channel": 4}) == range(1, 3)  # frames 5 .. 9
