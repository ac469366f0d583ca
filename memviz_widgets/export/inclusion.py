"""Inclusion: which pages of frames go into a page of so many bytes.

In: stores of pages with what is looked at in them, room in bytes. Out: the same, filled with deflated pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import MemvizError
from ..frames.entries import Catalog
from ..frames.page import Page, page_buffers, page_header
from ..frames.pages import PageSource
from .coarser import coarser, factors
from .inlined import Inlined
from .looks import Look, Piece, pieces_of
from .page_names import ORDERED, PageName, geometry, page_bytes, zero_coded

FACTORS = (1, 2, 4, 8, 16)
"""How much coarser pictures are tried, one after the other, until they fit."""
COARSENED = (
    *("frame", "sheet", "tiles", *ORDERED),
    *("row", "log", "mean", "max", "difference", "rollout", "flow", "wrote", "reads"),
)
"""Kinds of pages that may be made coarser: pictures."""
HEADER_BYTES = 90
"""Of the state, deflated, for each page."""
SHARES = 2
"""Of the room that there is for several records, one takes so many even shares at most, and is coarser if it must."""
LUCK = 0.8
"""How much smaller than the guess pages may turn out: what needs more luck is not made."""


@dataclass(slots=True)
class Shelf:
    """The pages of one store: where they come from, what is looked at, what was taken.

    ``name``: that of its blobs. ``coarse``: by how much pages of a record and kind were made coarser. ``refused``: why
    a record cannot be had. ``ratios``, ``bias``: how well pages deflate, by kind, and how far that was off so far.
    """

    name: str
    source: PageSource
    catalog: Catalog
    looks: list[Look]
    blocks: list[Block] = field(default_factory=list)
    taken: set[PageName] = field(default_factory=set)
    coarse: dict[tuple[int, str], int] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    bias: float = 1.0

    def missing(self, names: Iterable[PageName]) -> list[PageName]:
        """Those that were not taken yet."""
        return [name for name in names if name not in self.taken]


@dataclass(frozen=True, slots=True)
class Block:
    """Pages that are deflated together. ``entries``: their headers, each with the first byte of its three buffers."""

    inlined: Inlined
    names: tuple[PageName, ...]
    entries: tuple[tuple[dict[str, Any], list[tuple[str, int, int]]], ...]
    coarse: dict[tuple[int, str], int]
    held_bytes: int

    @property
    def size(self) -> int:
        """Bytes that it takes in the page, with what the state says about it."""
        return self.inlined.size + HEADER_BYTES * len(self.names)


def take_pictures(shelves: list[Shelf], room: int) -> int:
    """Puts the pictures on the screen into the shelves, as fine as they fit; returns the bytes that they take.

    With what the sliders reach in their records, if half of the room is enough for that, at an eighth of the
    resolution at worst; else alone. More than ``room`` when they do not fit however coarse they are: then that is the
    least.
    """
    attempts = [*((True, factor) for factor in FACTORS[:-1]), *((False, factor) for factor in FACTORS)]
    size = 0
    for whole, factor in attempts:
        wanted = [_on_screen(shelf, whole=whole) for shelf in shelves]
        most = room // 2 if whole else room
        if whole and not all(_may_fit(*pair, factor, most) for pair in zip(shelves, wanted, strict=True)):
            continue
        blocks = [_block(shelf, names, factor, "screen") for shelf, names in zip(shelves, wanted, strict=True)]
        size = sum(block.size for block in blocks if block)
        if size <= most:
            for shelf, block in zip(shelves, blocks, strict=True):
                _put(shelf, block)
            break
    return size


def take_the_rest(shelves: list[Shelf], room: int) -> None:
    """Puts in what else the views can reach, the most worth first, as long as there is room."""
    pieces = [(shelf, piece) for shelf in shelves for piece in pieces_of(shelf.catalog, shelf.looks)]
    pieces.sort(key=lambda pair: pair[1].worth)  # stable: the order within a store stays
    own = [pair for pair in pieces if pair[1].worth == 0]
    share = room * SHARES // max(1, len(own))
    for shelf, piece in own:
        room -= _take(shelf, piece, min(room, share))
    for shelf, piece in pieces:  # those that are larger than their share, and the others
        room -= _take(shelf, piece, room)


def drop_last(shelves: list[Shelf]) -> bool:
    """Takes out the block that was put in last in some shelf, but for those on the screen; False: there is none."""
    for shelf in sorted(shelves, key=lambda each: len(each.blocks), reverse=True):
        if len(shelf.blocks) > 1:
            block = shelf.blocks.pop()
            shelf.taken -= set(block.names)
            return True
    return False


def _on_screen(shelf: Shelf, *, whole: bool) -> list[PageName]:
    names = [name for look in shelf.looks for name in look.picture(shelf.catalog)]
    if whole:
        records = {look.record(shelf.catalog) for look in shelf.looks}
        pieces = pieces_of(shelf.catalog, shelf.looks)
        names += [name for each in pieces if each.record in records and not each.worth for name in each.pages]
    return list(dict.fromkeys(names))


def _take(shelf: Shelf, piece: Piece, room: int) -> int:
    """Puts in what of a piece there is room for; returns its bytes."""
    block = _fitting(shelf, piece, room)
    _put(shelf, block)
    return block.size if block else 0


def _fitting(shelf: Shelf, piece: Piece, room: int) -> Block | None:
    """The piece, a record's own pictures also coarser where there is no room for all their cells; None = nothing."""
    names = shelf.missing(piece.pages)
    for factor in FACTORS if piece.worth == 0 else FACTORS[:1]:
        if not names or not _may_fit(shelf, names, factor, room):
            continue
        block = _block(shelf, names, factor, f"{piece.record}.{piece.worth}")
        if block is None:
            return None
        # Guessing is by kind, and not every record deflates alike: learn from how this one turned out.
        shelf.bias = (shelf.bias + block.size / max(1.0, _guess(shelf, names, factor, math.inf))) / 2
        if block.size <= room:
            return block
    return None


def _may_fit(shelf: Shelf, names: list[PageName], factor: int, room: int) -> bool:
    """Whether pages may fit, as far as can be told without making them: what is far too large is not made."""
    return _guess(shelf, names, factor, room / shelf.bias / LUCK) * shelf.bias * LUCK <= room


def _guess(shelf: Shelf, names: list[PageName], factor: int, enough: float) -> float:
    """Bytes that pages take, about; counted until it is more than ``enough``.

    Of each kind a page is deflated first, to see by how much.
    """
    size = 0.0
    for name in names:
        raw = page_bytes(shelf.catalog, name)
        if name.kind not in shelf.ratios and raw > 0:
            probe = _block(shelf, [name], 1, "probe")
            shelf.ratios[name.kind] = 0.0 if probe is None else len(probe.inlined.text) / raw
        size += raw * shelf.ratios.get(name.kind, 0.0) / math.prod(_factors(shelf, name, factor))
        if size > enough:
            break
    return size


def _block(shelf: Shelf, names: list[PageName], factor: int, label: str) -> Block | None:
    """The pages in one block; None when there are none, or none of them can be had."""
    data = bytearray()
    entries, made, coarse = [], [], {}
    for name in names:
        page = _page(shelf, name)
        if page is None:
            continue
        key = _key(name)
        coarse[key] = shelf.coarse.get(key, factor) if name.kind in COARSENED else 1
        by = _factors(shelf, name, factor)
        if by != (1, 1):
            page = coarser(page, by, zero_coded=zero_coded(shelf.catalog["records"][name.record], name.kind))
        places = []
        for field_name, view in page_buffers(page).items():
            places.append((field_name, len(data), len(view)))
            data += view
        entries.append((page_header(page), places))
        made.append(name)
    if not made:
        return None
    inlined = Inlined.of("bytes", f"{shelf.name}.{label}", bytes(data))
    return Block(inlined, tuple(made), tuple(entries), coarse, len(data))


def _put(shelf: Shelf, block: Block | None) -> None:
    if block is not None:
        shelf.blocks.append(block)
        shelf.taken.update(block.names)
        shelf.coarse.update(block.coarse)


def _page(shelf: Shelf, name: PageName) -> Page | None:
    """A page of the store; None when it refuses, which is remembered."""
    if name.record in shelf.refused:
        return None
    try:
        return shelf.source.with_absent(shelf.source.page(name.record, name.kind, name.page))
    except Exception as error:  # a replay runs the user's model, which may raise anything: one record of many
        if name.kind in ("frame", "time"):  # then nothing of the record can be had
            ours = isinstance(error, MemvizError)
            shelf.refused[name.record] = str(error) if ours else f"{type(error).__name__}: {error}"
        return None


def _factors(shelf: Shelf, name: PageName, factor: int) -> tuple[int, int]:
    """By how much the rows and columns of a page's pictures shrink."""
    picture = geometry(shelf.catalog["records"][name.record], name.kind)
    if picture is None or name.kind not in COARSENED:
        return 1, 1
    return factors(picture, shelf.coarse.get(_key(name), factor))


def _key(name: PageName) -> tuple[int, str]:
    """What has one geometry: the pages of a kind, and those of a memory over time in any order."""
    return name.record, "time" if name.kind in ORDERED else name.kind
