"""Ranks that record a data set in lockstep: a forward of a model whose weights lie on several ranks needs all of them.

In: the batches of this rank. Out: its part of the data set; or the same error on all ranks, when one of them stops. All
run the same number of forwards: a rank without a batch runs one of its own again, which is not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Protocol

from torch import nn

from .. import capture as capturing
from ..capture.progress import Progress
from ..errors import DatasetError, DimsError
from .dataset_gathered import Gathered
from .dataset_layers import Options, Taken, as_rows, run_batch
from .dataset_ranks import not_alone
from .dataset_recording import Recording, inputs_crcs
from .dataset_share import Share
from .dataset_wire import LostRankError, Notice, Wire, lost_rank
from .held_interrupts import HeldInterrupts, held_interrupts

BATCH, DONE, STOPPED = 0, 1, 2
"""What a rank says before each round."""
_GOES_ON = "What was committed is whole, and the same launch goes on from there."
_WAITING = (
    "Other ranks in which nothing was raised wait in their forwards until this process ends, or the timeout of the "
    "process group."
)
_AFTER = (DatasetError, DimsError)
"""Errors about what a forward gave, when it has ended."""


class Batches(Protocol):
    """Where the batches of a rank come from.

    Attributes:
        latest: The batch that came last, also one that is only looked at; None before the first.
        last: CRC-32 over its tensors.
    """

    latest: Any
    last: int

    def batches(self, bar: Progress | None) -> Iterator[tuple[int, Any]]:
        """Those that are to be recorded, with their numbers."""
        ...


class SameBatches:
    """The batches that another rank of the group records.

    Args:
        share: The batches of that rank.
        done: How many of them are recorded.
    """

    def __init__(self, share: Share, done: int) -> None:
        self._share = share
        self._done = done
        self.latest: Any = None
        self.last = 0

    def batches(self, bar: Progress | None) -> Iterator[tuple[int, Any]]:
        """As those of a Recording. Whether they are the same is compared before each round."""
        before = max(0, self._done - 1)  # a Recording looks at it too, and a round without a batch needs the same one
        rest = self._share.rest(before)
        first = 0 if rest is None else before
        for number, batch in enumerate(self._share.front() if rest is None else rest, first):
            self.latest = batch
            if number >= self._done:
                self.last, _ = inputs_crcs(batch, 0)
                yield number, batch
            if bar is not None:
                bar.step(1)


class Lockstep:
    """The rounds of one rank: what it has is told, then all ranks run a forward.

    Args:
        model, options: What runs.
        group: The ranks that compute the same samples as this one.
        teams: All such groups.
        share: The batches of this group.
        source: Those that are still to be recorded.
        recording: Where they go; None on a rank that does not write.
        notice: What a rank leaves that stops within a forward.
        complete: Whether nothing of this group is to be recorded any more.
    """

    def __init__(
        self,
        model: nn.Module,
        options: Options,
        group: capturing.SampleGroup,
        teams: Sequence[Sequence[int]],
        share: Share,
        source: Batches,
        recording: Recording | None,
        notice: Notice,
        *,
        complete: bool,
    ) -> None:
        self._model = model
        self._options = options
        self._teams = teams
        self._share = share
        self._source = source
        self._recording = recording
        self._notice = notice
        self._world = Wire(range(sum(map(len, teams))))
        self._gathered = Gathered(group)
        self._rank = group.rank
        self._failure: BaseException | None = None
        self._now: tuple[int, Any] | None = None  # number and batch of this round
        self._ran: Any = None  # one with which a forward has ended
        self._ended = complete

    def run(self, bar: Progress | None) -> None:
        """All rounds.

        Raises:
            DatasetError: when another rank stopped or is gone, or the ranks contradict each other.
            Exception: whatever stopped this one.
        """
        with closing(self._source.batches(bar)) as batches, held_interrupts() as held:  # type: ignore[type-var]
            try:
                while True:
                    self._fetch(batches, held)
                    if not self._agree():
                        return
                    self._round()
            except BaseException as error:
                if self._recording is not None:
                    self._recording.save()
                if isinstance(error, LostRankError):
                    raise self._lost(str(error)) from error
                raise

    def _fetch(self, batches: Iterator[tuple[int, Any]], held: HeldInterrupts) -> None:
        """The batch of the next round, or why there is none."""
        self._now = None
        if self._failure is not None:
            return
        try:
            if not held.asked:
                with held.let_through():
                    self._now = None if self._ended else next(batches, None)
                    if self._now is None and self._source.latest is None:
                        self._source.latest = next(iter(self._share.front()), None)
            if held.asked:
                raise KeyboardInterrupt
        except BaseException as error:
            held.asked = False
            self._failure = error
            return
        if self._now is None and not self._ended:
            self._ended = True
            recording = self._recording
            if recording is not None:
                self._try(lambda: recording.write(complete=True))

    def _agree(self) -> bool:
        """Tell what this rank has, and hear the others; whether there is another round.

        All ranks come to the same conclusion.
        """
        state = STOPPED if self._failure is not None else BATCH if self._now is not None else DONE
        recording = self._recording
        due = recording is not None and recording.begun and recording.due
        sizes = recording.sizes if recording is not None else 0
        rows = self._world.numbers([state, due, self._source.last if state == BATCH else 0, sizes])
        if any(row[0] == STOPPED for row in rows):
            self._stop()
        check_rows(rows, self._teams)
        if all(row[0] == DONE for row in rows):
            return False
        if recording is not None and recording.begun and any(row[1] for row in rows):
            self._try(recording.write)
        return True

    def _round(self) -> None:
        """A forward of all ranks, and what comes of it."""
        taken = self._forward(self._source.latest)
        if self._now is not None:
            self._try(lambda: self._keep(taken))

    def _keep(self, taken: list[Taken]) -> None:
        assert self._now is not None
        whole = self._gathered.whole(taken, self._failure)
        if self._recording is not None and self._failure is None:
            self._recording.take(as_rows(whole, self._options), self._now[0])

    def _forward(self, batch: Any) -> list[Taken]:
        """What the layers gave. An error of this rank's batch alone is kept until all have ended their forwards."""
        asked = capturing.Asked()
        try:
            with asked:
                taken = self._run(batch)
        except LostRankError:
            raise
        except BaseException as error:
            failure = not_alone(str(error)) if isinstance(error, capturing.CollectiveError) else error
            if isinstance(error, _AFTER) and asked.count:
                self._failure = error
                return []
            if asked.count or self._ran is None:
                if hasattr(failure, "add_note"):  # Python 3.11
                    failure.add_note(_WAITING)
                self._notice.put(f"rank {self._rank}: {said_of(failure)}")
                if failure is not error:
                    raise failure from error
                raise
            # The others wait for this rank's part in all of their forward.
            self._failure = failure
            self._run(self._ran)
            return []
        self._ran = batch
        return taken

    def _run(self, batch: Any) -> list[Taken]:
        try:
            return run_batch(self._model, batch, self._options)
        except Exception as error:
            if text := lost_rank(error):
                raise LostRankError(text) from error
            raise

    def _try(self, act: Any) -> None:
        """Do what concerns this rank alone; an error is told to the others before the next round."""
        try:
            act()
        except LostRankError:
            raise
        except OSError as error:
            self._failure = error if self._recording is None else self._recording.unwritten(error)
            self._failure.__cause__ = error
        except BaseException as error:
            self._failure = error

    def _stop(self) -> None:
        """All ranks stop. Raises what stopped this one, or says what stopped another."""
        reasons = self._world.said(said_of(self._failure) if self._failure is not None else "")
        if isinstance(self._failure, KeyboardInterrupt) and self._recording is not None:
            self._failure.args = (self._recording.gone_on_with,)
        if self._failure is not None:
            raise self._failure
        raise stopped(reasons)

    def _lost(self, text: str) -> DatasetError:
        reason = self._notice.get()
        what = (
            f"another rank stopped in a forward ({reason})"
            if reason
            else f"another rank is gone, or did not come within the timeout of the process group ({text})"
        )
        return DatasetError(f"{what}. {_GOES_ON}")


def check_rows(rows: Sequence[Sequence[int]], teams: Sequence[Sequence[int]]) -> None:
    """Whether what the ranks have fits together.

    Args:
        rows: State, whether a commit is due, sum of the batch, number of the outputs' sizes; of each rank.
        teams: Groups of ranks that compute the same samples; the first of each writes.

    Raises:
        DatasetError: when it does not.
    """
    for team in teams:
        for rank in team[1:]:
            if (rows[rank][0], rows[rank][2]) != (rows[team[0]][0], rows[team[0]][2]):
                raise DatasetError(
                    f"ranks {team[0]} and {rank} compute the same samples, and their loaders gave different batches. "
                    "Give all ranks the loader of the whole data set, in the same order."
                )
    known = {rank: rows[rank][3] for rank, *_ in teams if rows[rank][3]}
    other = next((rank for rank, sizes in known.items() if sizes != next(iter(known.values()))), None)
    if other is not None:
        raise DatasetError(
            f"the layers gave outputs of other sizes for a sample on rank {other} than on rank {next(iter(known))}. "
            "Record samples of one size, or reduce='mean'."
        )


def said_of(error: BaseException) -> str:
    """An error, as the other ranks report it."""
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    return f"{type(error).__name__}: {error}".rstrip(". ")


def stopped(reasons: Sequence[str]) -> DatasetError:
    """The error of a rank that stops because others do; ``reasons``: of each rank, "" of one that had none."""
    rank = next(rank for rank, reason in enumerate(reasons) if reason)
    return DatasetError(f"rank {rank} stopped, and all ranks with it: {reasons[rank]}. {_GOES_ON}")
