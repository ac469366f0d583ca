"""What the ranks hold, brought to rank 0: here ranks are threads, whose messages go through queues."""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.cache import gathering, launch
from memviz_widgets.cache.gathering_parts import PIECE_BYTES, Line
from memviz_widgets.errors import ClosedError, GatherError, SaveError

from .rank_parts import Reader, batch_of, placed

WAIT_S = 5
Gather = Callable[[list[ActivationCache]], list[Any]]


class Ranks:
    """Stands for torch.distributed: who asks is known by the thread."""

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self.me = threading.local()
        self.sent: dict[tuple[int, int], Queue[Tensor]] = defaultdict(Queue)
        self.largest = 0

    def get_rank(self) -> int:
        rank: int = self.me.rank
        return rank

    def get_world_size(self) -> int:
        return self.world_size

    def get_backend_config(self) -> str:
        return "cpu:gloo"

    def send(self, tensor: Tensor, to: int) -> None:
        self.largest = max(self.largest, tensor.nbytes)
        self.sent[self.get_rank(), to].put(tensor.clone())

    def recv(self, tensor: Tensor, of: int) -> None:
        try:
            tensor.copy_(self.sent[of, self.get_rank()].get(timeout=WAIT_S))
        except Empty:
            raise RuntimeError(f"[backend.cc:78] Timed out waiting {WAIT_S} s. Call the doctor") from None


@pytest.fixture
def ranks() -> Ranks:
    return Ranks(2)


@pytest.fixture
def gather(ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> Gather:
    for module in (launch, gathering):
        monkeypatch.setattr(module, "process_group", lambda: ranks if hasattr(ranks.me, "rank") else None)
    monkeypatch.setattr(launch, "_drawn", lambda: "drawn")

    def gathered(caches: list[ActivationCache]) -> list[Any]:
        found: list[Any] = [None] * len(caches)

        def run(rank: int) -> None:
            ranks.me.rank = rank
            try:
                caches[rank]._gather()
            except GatherError as error:
                found[rank] = error

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(caches))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10 * WAIT_S)
            assert not thread.is_alive()
        return found

    return gathered


@pytest.fixture
def model() -> Reader:
    torch.manual_seed(0)
    return Reader().eval()


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(0, 20, (5, 6), generator=torch.Generator().manual_seed(1))


def parts(model: nn.Module, x: Tensor, **options: Any) -> list[ActivationCache]:
    return [
        placed(ActivationCache.capture(model, batch, **options), rank, batch_of(2))
        for rank, batch in enumerate(x.split(3))
    ]


def test_rank_0_has_the_whole_and_rank_1_its_own(model: Reader, ids: Tensor, gather: Gather) -> None:
    caches, one = parts(model, ids), ActivationCache.capture(model, ids)
    assert gather(caches) == [None, None]
    assert [record.label for record in caches[0].records] == [record.label for record in one.records]
    for record in one.records:  # attention, gates and states too
        where = record.path, record.kind, record.call, record.item
        torch.testing.assert_close(caches[0].get(*where), one.get(*where), rtol=1e-5, atol=1e-6)
    assert caches[1][""].shape[0] == 2 and caches[0].summary.endswith("recorded by 2 ranks, all gathered")
    caches[0].close()
    with pytest.raises(ClosedError, match="this cache was closed"):
        caches[0].get("")


def test_pieces_are_of_bounded_size(gather: Gather, ranks: Ranks) -> None:
    model, x = nn.Linear(4, 600_000), torch.randn(4, 4)
    caches = [placed(ActivationCache.capture(model, part), rank, batch_of(2)) for rank, part in enumerate(x.split(2))]
    assert gather(caches) == [None, None]
    assert torch.equal(caches[0][""][2:], model(x[2:]))
    assert ranks.largest <= PIECE_BYTES


def test_whole_records_are_chosen_within_the_budget_of_rank_0(gather: Gather) -> None:
    model, x = nn.Sequential(nn.Linear(4, 100), nn.Linear(100, 50), nn.Linear(50, 2)), torch.randn(5, 4)
    caches = parts(model, x, budget=4000)
    gather(caches)
    kept = {record.path: record.kept for record in caches[0].records}
    assert kept == {"0": True, "1": True, "2": True, "": True}  # 2,000 + 1,000 + 40 bytes, and the result is shared
    caches = parts(model, x, budget=2600)
    gather(caches)
    assert 0 < caches[0].held_bytes <= 2600
    lost = [record for record in caches[0].records if not record.available]
    assert lost and "over the budget of 2.5 KiB; capture with budget='" in lost[0].note
    assert all(record.shape[0] == 5 and record.stats is not None for record in caches[0].records)


def test_what_was_gathered_is_saved_with_the_parts_of_all(
    model: Reader, ids: Tensor, gather: Gather, ranks: Ranks, tmp_path: Path
) -> None:
    caches = parts(model, ids)
    gather(caches)
    ranks.me.rank = 1
    caches[1].save(tmp_path / "run.zarr")
    caches[0].save(tmp_path / "run.zarr")  # beside what rank 1 wrote
    with pytest.raises(SaveError, match="ranks/0' exists"):
        caches[0].save(tmp_path / "run.zarr")
    for gone in ("", "1"):
        if gone:
            shutil.rmtree(tmp_path / "run.zarr" / "ranks" / gone)
        opened = ActivationCache.open(tmp_path / "run.zarr")
        assert torch.equal(opened[""], caches[0][""]) and opened.records == caches[0].records
        opened.close()


def test_what_was_gathered_in_another_launch_is_no_part(
    model: Reader, ids: Tensor, gather: Gather, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = parts(model, ids)
    gather(caches)
    caches[0].save(tmp_path / "run.zarr")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "the next one")
    parts(model, ids)[0].save(tmp_path / "run.zarr", rank=0, world_size=2, overwrite=True)
    assert ActivationCache.open(tmp_path / "run.zarr").summary.endswith("rank 1 of 2 missing")


def test_a_rank_that_does_not_come(gather: Gather) -> None:
    cache = placed(ActivationCache.capture(nn.Linear(2, 2), torch.ones(1, 2)), 0, batch_of(2))
    (error,) = gather([cache])
    assert str(error) == (
        "rank 1 did not take part in gathering within the timeout of the process group, or is gone (Timed out waiting "
        "5 s). What this rank recorded is in .cache of this error; every rank must end the capture with gather=True."
    )
    assert error.cache is cache and cache[""].shape == (1, 2)


def test_one_process_gathers_nothing() -> None:
    cache = ActivationCache.capture(nn.Linear(2, 2), torch.ones(1, 2), gather=True)
    assert cache[""].shape == (1, 2) and cache.origin is not None


@pytest.mark.parametrize(
    ("backend", "config", "device"),
    [("gloo", "cpu:gloo,cuda:gloo", "cpu"), ("nccl", "cuda:nccl", "cuda:3"), ("nccl", "cpu:gloo,cuda:nccl", "cpu")],
)
def test_bytes_travel_through_a_gpu_only_where_nothing_else_can_carry_them(
    monkeypatch: pytest.MonkeyPatch, backend: str, config: str, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    made = SimpleNamespace(get_backend=lambda: backend, get_backend_config=lambda: config)
    assert Line(made)._device == torch.device(device)
