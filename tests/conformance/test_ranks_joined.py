"""Every way to spread a network over 2 and 4 ranks: the opened store is the capture of one process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from memviz_widgets import ActivationCache

from .rank_launch import launched
from .rank_networks import pictures, transformer

CASES = {
    2: (
        *("transformer ddp", "transformer fsdp", "transformer tp", "transformer sequence", "transformer dtensor"),
        *("cnn ddp", "cnn fsdp", "cnn tp"),
    ),
    4: (
        *("transformer ddp", "transformer fsdp", "transformer tp+dp", "transformer hsdp"),
        *("cnn ddp", "cnn fsdp", "cnn tp+dp", "cnn hsdp"),
    ),
}
EVERY = [(count, case) for count in CASES for case in CASES[count]]
ROUNDING = 5e-6
"""Largest difference: products of fewer rows, and sums over channels that are cut into the ranks' sums."""
Opened = Callable[[int, str], ActivationCache]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """A store of a launch; one launch per number of ranks."""

    @lru_cache
    def folder(count: int) -> Path:
        place = tmp_path_factory.mktemp(f"{count} ranks")
        exits, errors = launched("tests.conformance.ranks_joined_run", count, place)
        assert exits == [0] * count, errors
        return place

    return lambda count, name: ActivationCache.open(folder(count) / f"{name}.zarr")


@lru_cache
def alone(name: str) -> ActivationCache:
    network, x = transformer() if name == "transformer" else pictures()
    with torch.no_grad():
        return ActivationCache.capture(network, x)


@pytest.mark.parametrize("gathered", ["", " gathered"], ids=["saved", "gathered"])
@pytest.mark.parametrize(("count", "case"), EVERY)
def test_the_store_is_the_capture_of_one_process(opened: Opened, count: int, case: str, gathered: str) -> None:
    joined, single = opened(count, case + gathered), alone(case.split(maxsplit=1)[0])
    assert joined.names() == single.names()
    compared = 0
    for record in single.records:
        where = record.path, record.kind, record.call, record.item
        values, mine = single.get(*where), joined.find(*where)
        assert (mine.dims, mine.shape, mine.dtype) == (record.dims, record.shape, record.dtype), record.label
        torch.testing.assert_close(joined.get(*where), values, rtol=0, atol=ROUNDING, msg=record.label)
        assert mine.rank is None and "rank" in mine.note
        compared += 1
    assert compared == len(single.records) >= 12


@pytest.mark.parametrize("count", CASES)
@pytest.mark.parametrize("case", ["transformer ddp", "transformer fsdp", "cnn ddp"])
def test_nothing_is_rounded_where_only_samples_are_spread(opened: Opened, count: int, case: str) -> None:
    joined, (network, x) = opened(count, case), transformer() if case.startswith("transformer") else pictures()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the ranks had
    try:
        with torch.no_grad():
            parts = [ActivationCache.capture(network, each) for each in x.chunk(count)]
        for record in parts[0].records:
            where = record.path, record.kind, record.call, record.item
            whole = torch.cat([part.get(*where) for part in parts], record.dims.index("batch"))
            assert torch.equal(joined.get(*where), whole), record.label
    finally:
        torch.set_num_threads(threads)


def test_heads_are_read_from_the_rank_that_has_them(opened: Opened) -> None:
    joined, single = opened(2, "transformer tp"), alone("transformer")
    record = joined.find("blocks.0.attn", "attention")
    assert record.note == "2 ranks: head" and record.shape == (4, 4, 6, 6)
    for head in range(4):
        mine = joined.attention("blocks.0.attn", head=head, batch=1)
        torch.testing.assert_close(mine, single.attention("blocks.0.attn", head=head, batch=1), rtol=0, atol=ROUNDING)
