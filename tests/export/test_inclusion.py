"""What goes into a page of so many bytes: the picture on the screen first, then what is worth most, coarser at need."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.export.inclusion import Shelf, drop_last, take_pictures, take_the_rest
from memviz_widgets.export.left_out import Missing, describe
from memviz_widgets.export.looks import Look, pieces_of
from memviz_widgets.export.page_names import PageName, page_count
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.page import Page
from memviz_widgets.frames.pages import PageSource

KINDS: Any = ("frame", "histogram", "sheet", "channels")
LOTS = 10**9


class Growing(nn.Module):
    """Three layers of pictures of 32 x 32, 64 x 64 and 128 x 128."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.middle, self.large = (nn.Upsample(scale_factor=2) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.Generator().manual_seed(1)  # does not deflate
        for layer in (self.small, self.middle, self.large):
            x = layer(x)
            x = x + torch.randn(x.shape, generator=noise)
        return x


@pytest.fixture
def cache() -> Iterator[mv.ActivationCache]:
    recorded = mv.ActivationCache.capture(Growing(), torch.zeros(3, 4, 16, 16), layers=["small", "middle", "large"])
    yield recorded
    recorded.close()


def shelf_of(cache: mv.ActivationCache, kinds: Any = KINDS, **indices: int) -> Shelf:
    catalog = build_catalog(cache)
    look = Look(indices, tuple(range(len(catalog["layers"]))), kinds, 2)
    return Shelf("s0", PageSource(cache), catalog, [look])


def fill(shelf: Shelf, room: int) -> int:
    taken = take_pictures([shelf], room)
    take_the_rest([shelf], room - taken)
    return sum(block.size for block in shelf.blocks)


def pages(shelf: Shelf, record: int, kind: Any = "frame") -> list[int]:
    return [name.page for name in sorted(shelf.taken) if (name.record, name.kind) == (record, kind)]


def test_with_room_every_page_is_there(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache)
    fill(shelf, LOTS)
    missing = Missing()
    assert describe(shelf, missing) == shelf.catalog and missing.lines == [] and missing.headline == ""
    for record, entry in enumerate(shelf.catalog["records"]):
        assert len(pages(shelf, record)) == page_count(entry, "frame") > 0
    assert not any(factor > 1 for factor in shelf.coarse.values())


@pytest.mark.parametrize("room", [3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])
def test_never_more_than_the_room(cache: mv.ActivationCache, room: int) -> None:
    shelf = shelf_of(cache, layer=1, sample=1)
    least = take_pictures([shelf], room)
    if least > room:
        assert shelf.taken == set() and room < 10_000
        return
    take_the_rest([shelf], room - least)
    assert sum(block.size for block in shelf.blocks) <= room
    assert PageName(1, "frame", 1) in shelf.taken or page_count(shelf.catalog["records"][1], "frame") == 1
    names = [name for block in shelf.blocks for name in block.names]
    assert len(names) == len(set(names)) and set(names) == shelf.taken


def test_the_sample_on_the_screen_comes_before_the_others() -> None:
    cache = mv.ActivationCache.capture(Growing(), torch.zeros(3, 16, 16, 16), layers=["small", "middle", "large"])
    catalog = build_catalog(cache)
    pieces = pieces_of(catalog, shelf_of(cache, layer=2, sample=0).looks)
    cache.close()
    assert [(piece.record, piece.worth) for piece in pieces] == [(2, 0), (0, 0), (1, 0), (2, 1)]  # then the smallest
    assert PageName(2, "frame", 0) in pieces[0].pages and pieces[3].pages == (PageName(2, "frame", 1),)


def test_what_is_too_large_is_coarser_and_says_so(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache, layer=2)
    fill(shelf, 60_000)
    factor = shelf.coarse[2, "frame"]
    assert factor in (2, 4, 8)
    missing = Missing()
    entry = describe(shelf, missing)["records"][2]
    picture: Any = entry["frame"]
    assert (picture["rows"], picture["pool_rows"]) == (128 // factor, factor)
    assert f"1 of {factor} x {factor} cells in this page: largest |x|" in entry["message"]
    assert any(line.startswith("large: 1 of ") for line in missing.lines)
    headers = [header for block in shelf.blocks for header, _ in block.entries if header["record"] == 2]
    assert {tuple(header["shape"][1:]) for header in headers if header["kind"] == "frame"} == {(128 // factor,) * 2}


def test_what_is_left_out_is_named_and_shows_its_reason(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache)
    room = take_pictures([shelf], LOTS)  # the smallest record, whole
    assert room < LOTS and pages(shelf, 0) and not pages(shelf, 2)
    missing = Missing()
    entries = describe(shelf, missing)["records"]
    assert missing.headline == "2 of 3 records"
    assert "large: not in this page, for which it is too large" in missing.lines
    assert entries[2]["frame"] is None and entries[2]["message"] == "not in this page, for which it is too large"
    assert entries[0] == shelf.catalog["records"][0]


def test_missing_maps_are_counted(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache)
    take_pictures([shelf], LOTS)
    for record in (1, 2):
        shelf.taken |= {
            PageName(record, "frame", page) for page in range(page_count(shelf.catalog["records"][record], "frame"))
        }
    missing = Missing()
    describe(shelf, missing)
    assert missing.records == 0 and missing.headline == "some maps"
    assert "tiles of all channels, of 2 records" in missing.lines


def test_blocks_are_taken_out_last_first_but_never_the_screen(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache)
    fill(shelf, LOTS)
    screen = shelf.blocks[0]
    assert len(shelf.blocks) > 1
    while drop_last([shelf]):
        pass
    assert shelf.blocks == [screen] and shelf.taken == set(screen.names)


def test_a_record_that_cannot_be_had_is_left_out_with_its_error(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache)
    whole = shelf.source

    class Refusing(PageSource):
        """Reads one record, refuses one, and runs a model that raises for one."""

        def page(self, record_index: int, kind: str, page: int) -> Page:
            if record_index == 1:
                raise PageRefusedError("not kept: the weights changed since")
            if record_index == 2:
                raise ArithmeticError("once is enough")
            return whole.page(record_index, kind, page)

    shelf.source = Refusing(cache)
    fill(shelf, LOTS)
    missing = Missing()
    entries = describe(shelf, missing)["records"]
    assert {name.record for name in shelf.taken} == {0}
    assert [entry["message"] for entry in entries[1:]] == [
        "not kept: the weights changed since",
        "ArithmeticError: once is enough",
    ]
    assert "large: ArithmeticError: once is enough" in missing.lines


def test_a_page_carries_the_codes_of_the_store(cache: mv.ActivationCache) -> None:
    shelf = shelf_of(cache)
    fill(shelf, LOTS)
    source = PageSource(cache)
    for block in shelf.blocks:
        data = unpacked(block)
        for (header, places), name in zip(block.entries, block.names, strict=True):
            page = source.page(name.record, name.kind, name.page)
            for field, start, count in places:
                assert data[start : start + count] == bytes(getattr(page, field))
            assert (header["record"], header["kind"], header["page"]) == (name.record, name.kind, name.page)


def unpacked(block: Any) -> bytes:
    return zlib.decompress(base64.b64decode(block.inlined.text), -zlib.MAX_WBITS)
