"""Who records what when ranks record together, and what they make of what the others say; no rank is started here."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import capture as capturing
from memviz_widgets.cache import dataset_gathered
from memviz_widgets.cache.dataset_format import DatasetPlan
from memviz_widgets.cache.dataset_gathered import Gathered
from memviz_widgets.cache.dataset_layers import Options, Taken, run_batch, weights_crc
from memviz_widgets.cache.dataset_lockstep import BATCH, DONE, SameBatches, check_rows, said_of, stopped
from memviz_widgets.cache.dataset_share import Share
from memviz_widgets.cache.dataset_together import common_weights, other_plan, plan_crc, teams_of
from memviz_widgets.cache.dataset_wire import lost_rank
from memviz_widgets.cache.held_interrupts import held_interrupts
from memviz_widgets.capture import SampleGroup, checksum
from memviz_widgets.capture.drafts import Drafts
from memviz_widgets.capture.placement import Found
from memviz_widgets.capture.placement_lies import Mesh
from memviz_widgets.capture.sample_groups import Line
from memviz_widgets.errors import DatasetError
from memviz_widgets.records import Draft, Placement


def test_groups_of_ranks_are_numbered_by_their_lowest_rank() -> None:
    assert teams_of([[0], [1], [2]]) == [(0,), (1,), (2,)]
    assert teams_of([[2, 0], [1, 3], [2, 0], [1, 3]]) == [(2, 0), (1, 3)]


def test_groups_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(DatasetError, match="rank 0 computes the same samples as ranks 0, 1, and rank 1 as 1, 2"):
        teams_of([[0, 1], [1, 2], [1, 2]])
    with pytest.raises(DatasetError, match="rank 0 computes the same samples as ranks 0, 3, and rank 3 as none"):
        teams_of([[0, 3], [1]])


PLAN = DatasetPlan("Net", "00000001", ("a", "b"), "mean", "float16", 4)


def test_the_weights_of_all_ranks_count() -> None:
    assert common_weights(["00000001", "00000002"]) == f"{zlib.crc32(b'00000001 00000002'):08x}"
    assert plan_crc(PLAN) == plan_crc(replace(PLAN, weights="00000002")) != plan_crc(replace(PLAN, top_k=5))


def test_ranks_that_were_given_different_things_are_refused() -> None:
    error = other_plan([PLAN.as_json(), PLAN.as_json(), replace(PLAN, layers=("a",)).as_json()])
    assert str(error).startswith("rank 2 was given layers 'a', not 'a', 'b' as rank 0. Give all ranks the same model")


def test_ranks_of_a_group_have_the_same_batch() -> None:
    rows = [[BATCH, 0, 7, 5], [BATCH, 1, 7, 0], [DONE, 0, 0, 5], [DONE, 0, 0, 0]]
    check_rows(rows, [(0, 1), (2, 3)])
    with pytest.raises(DatasetError, match="ranks 1 and 0 compute the same samples, and their loaders gave different"):
        check_rows([[BATCH, 0, 8, 0], *rows[1:]], [(1, 0), (2, 3)])
    with pytest.raises(DatasetError, match="ranks 2 and 3 compute the same samples"):
        check_rows([*rows[:3], [BATCH, 0, 0, 0]], [(0, 1), (2, 3)])


def test_samples_of_all_groups_have_one_size() -> None:
    rows = [[BATCH, 0, 7, 5], [BATCH, 0, 8, 6], [BATCH, 0, 9, 0]]
    with pytest.raises(DatasetError, match="outputs of other sizes for a sample on rank 1 than on rank 0"):
        check_rows(rows, [(0,), (1,), (2,)])
    check_rows([rows[0], [BATCH, 0, 8, 5], rows[2]], [(0,), (1,), (2,)])


def test_what_stopped_a_rank_is_said() -> None:
    assert said_of(KeyboardInterrupt()) == "it was interrupted"
    assert said_of(ValueError("no such file.")) == "ValueError: no such file"
    text = str(stopped(["", "", "ValueError: no such file", "it was interrupted"]))
    assert text.startswith("rank 2 stopped, and all ranks with it: ValueError: no such file. What was committed is")


def test_errors_of_a_process_group_are_told_from_those_of_a_model() -> None:
    gloo = RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")
    outer = ValueError("the forward raised")
    outer.__cause__ = gloo
    assert lost_rank(outer) == "Connection closed by peer [127.0.0.1]:1"
    assert lost_rank(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) == ""
    assert lost_rank(ValueError("gloo")) == ""
    assert lost_rank(torch.distributed.DistNetworkError("refused")) == "refused"


def test_a_rank_that_does_not_write_takes_the_batches_that_are_not_recorded() -> None:
    data = [torch.full((2,), float(number)) for number in range(5)]
    for loader in (data, iter(data)):
        source = SameBatches(Share(loader), 3)
        found = []
        for number, batch in source.batches(None):
            found.append((number, float(batch[0])))
            assert source.last == zlib.crc32(checksum(batch).to_bytes(4, "little"))
        assert found == [(3, 3.0), (4, 4.0)]


def test_a_rank_that_does_not_write_looks_at_the_last_batch_that_is_recorded() -> None:
    """Without a batch of its own it runs this one again, as the rank that writes does."""
    data = [torch.full((2,), float(number)) for number in range(5)]
    for loader in (data, iter(data)):
        source = SameBatches(Share(loader), 5)
        assert not list(source.batches(None)) and source.latest is data[4]


def test_interrupts_are_held_back_and_come_at_the_end() -> None:
    done: list[bool] = []

    def interrupted() -> None:
        with held_interrupts() as held:
            os.kill(os.getpid(), signal.SIGINT)
            done.append(held.asked)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_interrupt_after_some_time_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that comes together with the first: torchrun passes on what each rank has from the terminal as well."""

    def interrupted() -> None:
        with held_interrupts():
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.setattr(module, "AGAIN_S", -1.0)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it was held back")

    module = sys.modules[held_interrupts.__module__]
    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_an_interrupt_that_was_acted_on_does_not_come_again() -> None:
    with held_interrupts() as held:
        with pytest.raises(KeyboardInterrupt), held.let_through():
            os.kill(os.getpid(), signal.SIGINT)
        assert held.asked
        held.asked = False


def test_the_sum_of_plain_weights_is_that_of_their_names_and_values() -> None:
    """As before there were weights on several ranks: recordings that were begun then can be gone on with."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    crc = 0
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        crc = zlib.crc32(f"{name} {tuple(value.shape)} {value.dtype}".encode(), crc)
        crc = zlib.crc32(checksum(value).to_bytes(4, "little"), crc)
    assert weights_crc(model) == f"{crc:08x}"


def group(rank: int = 0) -> SampleGroup:
    """Four ranks with the same samples: two lines of two."""
    mesh = Mesh((2, 2), ("a", "b"), (4, 5, 6, 7))
    row, column = rank // 2 * 2 + 4, rank % 2 + 4
    return SampleGroup(rank + 4, mesh, (Line((column, column + 2), None), Line((row, row + 1), None)))


def test_how_a_value_lies_in_the_group() -> None:
    def texts(sizes: tuple[int, ...], ranks: tuple[int, ...], placements: tuple[str, ...]) -> tuple[str, ...] | None:
        return group().texts(Placement(sizes, ("",) * len(sizes), ranks, placements, ()))

    assert texts((2, 2), (4, 5, 6, 7), ("shard 1", "replicate")) == ("shard 1", "replicate")
    whole = texts((2, 2, 2), tuple(range(8)), ("batch", "shard 2", "partial sum"))
    assert whole == ("shard 2", "partial sum")
    assert texts((2,), (4, 5), ("shard 1",)) is None, "nothing says how it lies along the other line"
    assert texts((2, 2), (4, 6, 5, 7), ("shard 1", "shard 2")) == ("shard 2", "shard 1")
    assert texts((4,), (4, 5, 6, 7), ("shard 1",)) is None and texts((2,), (0, 1), ("batch",)) is None


class Line0:
    """The messages of one line, all of whose ranks are in this process: each speaks when it is its turn."""

    def __init__(self, ranks: tuple[int, ...], told: dict[int, Any], values: dict[int, Tensor]) -> None:
        self.ranks, self._told, self._values = ranks, told, values

    def said(self, mine: Any) -> list[Any]:
        return [[[rank, self._told[rank]]] for rank in self.ranks]

    def to_first(self, value: Tensor, sizes: list[int]) -> list[Tensor]:
        found = [self._values[rank].contiguous().view(-1).view(torch.uint8) for rank in self.ranks]
        assert [each.numel() for each in found] == sizes
        return found


def draft(placement: Placement | None, note: str = "") -> Draft:
    return Draft(
        0, "layer", "Linear", 0, "output", "", ("batch", "channel"), (), "float32", "cpu", 0, note, placement=placement
    )


def joined(monkeypatch: pytest.MonkeyPatch, values: list[Tensor], text: str, note: str = "") -> Taken:
    """What the first of two ranks makes of the values of both."""
    shape = () if text == "partial sum" else (3, 5)
    placement = Placement((2,), ("tp",), (0, 1), (text,), shape) if text else None
    crcs = [checksum(value) if not text else None for value in values]
    texts = [text] if text else None
    told = {
        rank: [[["layer", 0, "", "float32"], texts, list(value.shape), crc]]
        for rank, (value, crc) in enumerate(zip(values, crcs, strict=True))
    }
    line = Line0((0, 1), told, dict(enumerate(values)))
    monkeypatch.setattr(dataset_gathered, "Wire", lambda ranks, group: line)
    both = SampleGroup(0, Mesh((2,), ("tp",), (0, 1)), (Line((0, 1), None),))
    (found,) = Gathered(both).whole([Taken(draft(placement, note), values[0])], None)
    return found


def test_parts_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.arange(15.0).view(3, 5)
    parts = [whole[:, :3].contiguous(), whole[:, 3:].contiguous()]
    found = joined(monkeypatch, parts, "shard 1")
    assert found.live is not None and torch.equal(found.live, whole) and found.draft.shape == (3, 5)
    summed = joined(monkeypatch, [whole, whole * 2], "partial sum").live
    assert summed is not None and torch.equal(summed, whole * 3) and summed.dtype is torch.float32
    assert torch.equal(joined(monkeypatch, [whole, whole], "replicate").live, whole)  # type: ignore[arg-type]


def test_parts_that_do_not_make_the_whole_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match=r"'layer' is \(3, 4\) put together, and \(3, 5\) by what the model says"):
        joined(monkeypatch, [torch.ones(3, 2), torch.ones(3, 2)], "shard 1")


def test_what_nobody_knows_must_be_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    ones, note = torch.ones(3, 5), "local shard, rank 0"
    found = joined(monkeypatch, [ones, ones], "", f"a view; {note}")
    assert found.live is ones and found.draft.note == "a view"
    with pytest.raises(DatasetError, match="nothing says how 'layer' lies over the ranks 0, 1, which have other"):
        joined(monkeypatch, [ones, ones * 2], "", note)


class Meeting:
    """The messages of one line whose ranks are threads of this process."""

    def __init__(self, ranks: tuple[int, ...]) -> None:
        self.ranks = ranks
        self._there: dict[int, Any] = {}
        self._barrier = threading.Barrier(len(ranks), timeout=20)

    def exchanged(self, rank: int, mine: Any) -> list[Any]:
        self._barrier.wait()
        self._there[rank] = mine
        self._barrier.wait()
        return [self._there[each] for each in self.ranks]


class Speaker:
    """One rank of a line, as a Wire."""

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self._meeting, self._rank = meeting, rank

    def said(self, mine: Any) -> list[Any]:
        return [json.loads(each) for each in self._meeting.exchanged(self._rank, json.dumps(mine))]

    def to_first(self, value: Tensor, sizes: list[int]) -> list[Tensor] | None:
        found = self._meeting.exchanged(self._rank, value.view(-1).view(torch.uint8))
        assert [each.numel() for each in found] == sizes
        return found if self._rank == self._meeting.ranks[0] else None


@pytest.mark.parametrize(
    "texts",
    [
        ("shard 1", "shard 1"),
        ("shard 0", "shard 1"),
        ("partial sum", "shard 1"),
        ("replicate", "shard 0"),
        ("shard 1", "replicate"),
    ],
)
def test_a_mesh_of_two_axes_is_joined_axis_by_axis(monkeypatch: pytest.MonkeyPatch, texts: tuple[str, str]) -> None:
    """The last axis of the mesh lies within the parts of the first."""
    whole = torch.arange(35.0).view(5, 7)
    meetings = {ranks: Meeting(ranks) for ranks in ((4, 6), (5, 7), (4, 5), (6, 7))}
    monkeypatch.setattr(dataset_gathered, "Wire", lambda ranks, name: Speaker(meetings[ranks], name))
    placement = Placement((2, 2), ("a", "b"), (4, 5, 6, 7), texts, ())

    def piece(rank: int) -> Tensor:
        part = whole
        for text, at in zip(texts, (rank // 2, rank % 2), strict=True):
            if text.startswith("shard"):
                part = part.chunk(2, int(text[-1]))[at]
            elif text == "partial sum":
                part = part * (0.25 if at else 0.75)
        return part.contiguous()

    def joined_on(rank: int) -> list[Taken]:
        one = group(rank)
        named = SampleGroup(one.rank, one.mesh, tuple(Line(line.ranks, one.rank) for line in one.lines))
        return Gathered(named).whole([Taken(draft(placement), piece(rank))], None)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(joined_on, range(4)))
    assert found[1:] == [[], [], []]
    assert found[0][0].live is not None and torch.equal(found[0][0].live, whole)


class ConfirmedLater:
    """A placement that stands once a forward has ended."""

    ended = False

    def settled(self) -> tuple[Placement | None, str]:
        lie = Placement((2,), ("tp",), (0, 1), ("shard 1",), (3, 5)) if self.ended else None
        return lie, "" if lie else f"{capturing.UNPLACED}0"


def test_how_a_value_lies_is_asked_when_the_forward_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    later, model = ConfirmedLater(), nn.Linear(5, 5)
    emit = Drafts._emit

    def undecided(self: Any, *args: Any, **kwargs: Any) -> None:
        emit(self, *args, **{**kwargs, "found": Found(None, "", later)})  # type: ignore[arg-type]  # a Claimed
        later.ended = True

    monkeypatch.setattr(Drafts, "_emit", undecided)
    [taken] = run_batch(model, torch.randn(3, 5), Options(None, None, None, None, None))
    assert taken.draft.placement == Placement((2,), ("tp",), (0, 1), ("shard 1",), (3, 5))
    assert taken.draft.note == "" and taken.draft.undecided is None
