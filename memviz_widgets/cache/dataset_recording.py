"""A data set on its way to a folder: batches that are looked at or taken, shards, commits.

In: what is to be recorded, and the batches of this process with what the layers gave for them. Out: a Zarr folder that
counts as far as its last commit.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..capture import checksum
from ..capture.progress import Progress
from ..errors import DatasetError, FormatError, SaveError
from .dataset_cache import state_of, tallies_of
from .dataset_format import COMMIT_NAME, ArrayPlan, Commit, DatasetPlan, commit_bytes, read_commit, read_plan
from .dataset_layers import Found, by_channel, tensors_in
from .dataset_ranks import begin_part, check_neighbours, refuse_ranks
from .dataset_shards import DatasetFolder, ShardWriter
from .dataset_share import Share, share_of
from .dataset_spans import Spans

COMMIT_S = 30.0
"""Seconds after which what is there is committed, though its shard is not full."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What is to be recorded.

    Attributes:
        folder: Where the whole goes.
        wanted: What of each batch; its arrays are known with the first one.
        loader: All batches.
        shard_bytes: Size of a shard of a new one.
        resume: Whether to go on with what is there.
    """

    folder: DatasetFolder
    wanted: DatasetPlan
    loader: Iterable[Any]
    shard_bytes: int
    resume: bool

    def share(self, part: tuple[int, int] | None) -> Share:
        """The batches of a rank; ``part``: rank and number of ranks, None of a process that is alone."""
        return Share(self.loader) if part is None else share_of(self.loader, *part)

    def begin(self, part: tuple[int, int] | None, *, alone: bool = True) -> Recording:
        """Begin a part or the whole, or go on with what is there.

        Args:
            part: As in :meth:`share`.
            alone: Whether nothing but the folder tells what the other ranks record.

        Raises:
            DatasetError: when what is there is of something else, or the loader does not fit.
            SaveError: when it is no data set, or must not be there.
        """
        share, folder, check = self.share(part), self.folder, _no_check
        if part is not None:
            check = partial(check_neighbours, folder.place, part) if alone else _no_check
            folder = begin_part(folder.place, part, share.split)
        recording = Recording(folder, self.wanted, self.shard_bytes, share, check)
        recording.find(resume=self.resume)
        return recording


class Recording:
    """A data set on its way to a folder.

    Args:
        folder: Where it goes.
        wanted: What is to be recorded; its arrays are known with the first batch.
        shard_bytes: Size of a shard of a new one.
        share: The batches that are to be there.
        check: Called with the plan after the first commit that it makes.

    Attributes:
        share: As given.
        commit: What is there, and what will count with the next commit.
        latest: The batch that came last, None before the first.
        last: CRC-32 over its tensors.
    """

    def __init__(
        self,
        folder: DatasetFolder,
        wanted: DatasetPlan,
        shard_bytes: int,
        share: Share,
        check: Callable[[DatasetPlan], None],
    ) -> None:
        self._folder = folder
        self.share = share
        self._check_others = check
        self._spans = Spans()  # of one rank among several: which samples of the whole its own are
        self._plan = wanted
        self._shard_bytes = shard_bytes
        self._writer: ShardWriter | None = None
        self._whole = True  # False while a piece is taken: the parts do not fit together then
        self._committed_s = time.monotonic()
        self._inputs = 0
        self.last = 0
        self.latest: Any = None
        self.commit = Commit()

    def find(self, *, resume: bool) -> None:
        """Look at what is there and go on from it.

        Raises:
            DatasetError: when it is of something else.
            SaveError: when it is no data set, or must not be there.
        """
        place = self._folder.place
        if not place.exists():
            return
        if not resume:
            raise SaveError(f"{place.text!r} exists; give another path, or resume=True to go on with it.")
        try:
            text = self._folder.label()
            refuse_ranks(place, text)
            plan = read_plan(text)
        except (FormatError, OSError) as error:
            if isinstance(error, FileNotFoundError) and place.local and not _files_in(place.root):
                return
            raise SaveError(
                f"{place.text!r} exists and is no data set that can be gone on with ({error}); give another path."
            ) from error
        if difference := plan.difference(self._plan):
            raise DatasetError(
                f"{place.text!r} was begun with {difference}. Give the same again to go on with it, or another path."
            )
        data = self._folder.commit()
        commit, state = read_commit(data, plan) if data is not None else (Commit(), None)
        if self.share.split and state is not None:
            self._spans = Spans.of(state, commit)
            if self.share.whole[0] and tuple(state["whole"][0]) != self.share.whole:
                raise DatasetError(_other_samples(commit.batches))
        self.commit = commit
        if not commit.complete:
            self._begin(plan, commit, state)

    def _begin(self, plan: DatasetPlan, commit: Commit, state: Any) -> None:
        self._plan, self.commit = plan, commit
        self._tallies, self._tops = tallies_of(plan, state)
        self._writer = ShardWriter(self._folder, plan, commit.samples)

    def run(self, outputs: Callable[[Any], list[Found]], bar: Progress | None) -> None:
        """Take every batch that is not there yet."""
        try:
            for number, batch in self.batches(bar):
                self.take(outputs(batch), number)
                if self.due:
                    self.write()
            self.write(complete=True)
        except BaseException:
            self.save()
            raise

    def batches(self, bar: Progress | None) -> Iterator[tuple[int, Any]]:
        """Its batches that are not there yet, with their numbers, after a look at those that are.

        Raises:
            DatasetError: when these are others than before.
        """
        done, inputs = self.commit.batches, 0
        rest = None if self.commit.last is None else self.share.rest(done - 1)
        first = 0 if rest is None else done - 1
        number = first - 1
        if bar is not None:
            bar.step(first)
        for number, batch in enumerate(
            self.share.front() if rest is None else rest, first
        ):  # looked at when it has ended
            self.latest = batch
            self.last, inputs = inputs_crcs(batch, inputs)
            if number == done - 1:
                if (inputs != self.commit.inputs) if rest is None else (self.last != self.commit.last):
                    raise DatasetError(_other_samples(done))
                inputs = self.commit.inputs
            elif number >= done:
                self._inputs = inputs
                yield number, batch
            if bar is not None:
                bar.step(1)
        if number + 1 < done:
            raise DatasetError(_other_samples(done))

    def take(self, found: list[Found], number: int) -> None:
        """Add what the layers gave for the batch that came last."""
        self._take(found, self.commit.taken, number)
        self.commit = replace(self.commit, batches=number + 1, taken=0, inputs=self._inputs, last=self.last)

    @property
    def begun(self) -> bool:
        """Whether there are batches, and more may come."""
        return self._writer is not None and not self.commit.complete

    @property
    def due(self) -> bool:
        """Whether it is time for a commit."""
        return self._full or time.monotonic() - self._committed_s > COMMIT_S

    def write(self, *, complete: bool = False) -> None:
        """Commit; after the first time, compare with what other ranks have committed."""
        self._write_commit(complete=complete)
        check, self._check_others = self._check_others, _no_check
        check(self._plan)

    def save(self) -> None:
        """Commit what is complete before the recording ends early."""
        if self._whole and self.begun and self.commit.samples:
            self._write_commit()

    @property
    def gone_on_with(self) -> str:
        """What an interrupt says."""
        return f"{self.commit.samples} samples are in {self._folder.place.text!r}; the same call goes on from there"

    def unwritten(self, error: OSError) -> SaveError:
        """What is raised in place of an error about a file."""
        reason = str(error.strerror or error).rstrip(".")
        return SaveError(
            f"{self._folder.place.text!r} could not be written: {reason}. What was committed is whole; make room, and "
            "the same call goes on from there."
        )

    @property
    def sizes(self) -> int:
        """A number of what the layers give for a sample: their axes and dtypes. 0 before the first batch."""
        plain = [replace(each, together=1).as_json() for each in self._plan.arrays]
        return zlib.crc32(repr(plain).encode()) if plain else 0

    @property
    def _full(self) -> bool:
        return self._writer is not None and not self._writer.room

    def _take(self, found: list[Found], skip: int, number: int) -> None:
        """The samples of a batch from ``skip`` on: pieces that each end with their shard or with the batch."""
        writer = self._writer or self._begin_new(found)
        self._check(found, self.share.number(number))
        count, start = len(found[0].values), skip
        first = self.share.first_sample(number, count) if self.share.split else 0
        while start < count:
            if not writer.room:
                self._write_commit()
            stop = min(count, start + writer.room)
            self._whole = False
            for array, each in zip(self._plan.arrays, found, strict=True):
                piece = each.values[start:stop]
                writer.put(array, piece)
                channels = by_channel(piece, array.dims)
                self._tallies[array.number].add(channels)
                self._tops[array.number].add(channels, self.commit.samples)
            writer.advance(stop - start)
            if self.share.split:
                self._spans.add(first + start, stop - start)
            self.commit = replace(self.commit, samples=self.commit.samples + stop - start, taken=stop)
            self._whole = True
            start = stop

    def _begin_new(self, found: list[Found]) -> ShardWriter:
        """The first batch says what there is."""
        plan = replace(self._plan, arrays=tuple(_array(number, each) for number, each in enumerate(found)))
        self._begin(plan.with_shards(max(1, len(found[0].values)), self._shard_bytes), Commit(), None)
        writer = self._writer
        assert writer is not None
        writer.describe_group()
        return writer

    def _check(self, found: list[Found], number: int) -> None:
        """Every batch gives the same outputs, and each of them a row per sample."""
        now = [_array(at, each) for at, each in enumerate(found)]
        before = [replace(each, together=1) for each in self._plan.arrays]
        for mine, theirs, each in zip(now, before, found, strict=False):
            if mine != theirs:
                raise DatasetError(
                    f"batch {number}: {each.name} gave {_text(mine)} for a sample, and {_text(theirs)} was expected as "
                    "in the first batch. Record samples of one size, or reduce='mean'."
                )
            if len(each.values) != len(found[0].values):
                raise DatasetError(
                    f"batch {number}: {each.name} has {len(each.values)} rows, and {found[0].name} has "
                    f"{len(found[0].values)}. Leave it out of layers=, or name its axes with dims=."
                )
        if len(now) != len(before):
            raise DatasetError(f"batch {number} gave {len(now)} outputs, and the first batch {len(before)}.")

    def _write_commit(self, *, complete: bool = False) -> None:
        """Write what is there; after this it counts."""
        writer = self._writer
        if writer is None:
            raise DatasetError("the loader gave no batch; expected at least one.")
        commit = replace(self.commit, complete=complete)
        full = not writer.room
        writer.write()
        state = state_of(self._tallies, self._tops)
        if self.share.split:
            state |= self._spans.state(self.share.whole)
        self._folder.write(COMMIT_NAME, [commit_bytes(commit, state)])
        if full or complete or commit.samples < self._plan.shard_samples:
            writer.describe(commit.samples)
        self.commit = commit
        self._committed_s = time.monotonic()


def _no_check(_: DatasetPlan) -> None:
    """Of a process that is alone."""


def _files_in(root: str) -> bool:
    return not Path(root).is_dir() or any(Path(root).iterdir())


def _array(number: int, found: Found) -> ArrayPlan:
    draft, values = found.draft, found.values
    where = (draft.path, draft.module_type, draft.call, draft.item, draft.note)
    return ArrayPlan(number, *where, found.dims, tuple(values.shape[1:]), values.dtype)


def _text(array: ArrayPlan) -> str:
    sizes = " x ".join(map(str, array.sample)) or "a number"
    return f"{array.path or '(model)'}: {sizes}, {str(array.dtype).removeprefix('torch.')}"


def inputs_crcs(batch: object, before: int) -> tuple[int, int]:
    """CRC-32 over the tensors of a batch, and over those of all batches; ``before``: of those before it."""
    sums = b"".join(checksum(tensor).to_bytes(4, "little") for tensor in tensors_in(batch))
    return zlib.crc32(sums), zlib.crc32(sums, before)


def _other_samples(batches: int) -> str:
    return (
        f"the loader gives other samples than those of the {batches} batches that are recorded. Give the same data in "
        "the same order (shuffle=False, the same batch size), or another path."
    )
