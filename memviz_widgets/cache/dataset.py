"""record_dataset: what chosen layers give for every sample of a data set, streamed to a folder; memory stays flat.

In: a model and a loader. Out: a Zarr folder with values, statistics per channel and the top examples of each, and the
ActivationDataset that reads it. What was committed is never computed again.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..capture import checksum
from ..capture.inputs import check_model
from ..capture.layer_names import choose_layers
from ..capture.progress import Progress
from ..capture.trace import Trace, survey
from ..capture.weights import check_sizes
from ..errors import BudgetError, DatasetError, FormatError, SaveError
from .active import refuse_active
from .budget import parse_budget
from .dataset_cache import ActivationDataset, state_of, tallies_of
from .dataset_format import (
    COMMIT_NAME,
    ArrayPlan,
    Commit,
    DatasetPlan,
    commit_bytes,
    read_commit,
    read_plan,
)
from .dataset_layers import Found, Options, Reduce, by_channel, check_options, outputs_of, tensors_in, weights_crc
from .dataset_opening import open_dataset
from .dataset_ranks import begin_part, check_neighbours, model_of_one, outputs_of_one, refuse_ranks
from .dataset_shards import DatasetFolder, ShardWriter
from .dataset_share import Share, share_of
from .dataset_spans import Spans
from .launch import process_group, rank_of
from .store_files import FOLDER, store_place

COMMIT_S = 30.0
"""Seconds after which what is there is committed, though its shard is not full."""
MOST_TOP = 1024


def record_dataset(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    layers: object = None,
    to: str | os.PathLike[str],
    reduce: str | Reduce | None = None,
    top_k: int = 16,
    resume: bool = True,
    call: Callable[[Any, Any], Any] | None = None,
    dims: Mapping[str, object] | None = None,
    dtype: torch.dtype | None = None,
    chunk: object = "64 MiB",
    progress: bool = True,
    rank: int | None = None,
    world_size: int | None = None,
) -> ActivationDataset:
    """Run the model on every batch of a loader and write what its layers return, a row per sample, to a Zarr folder.

    In the same pass: statistics per channel (count, mean, variance, extremes, zeros, NaN and Inf, histogram), and the
    samples that excite each channel most. Memory does not grow with the number of samples. It runs under ``no_grad``
    and in the model's own train or eval mode; the model comes back as it was, and each batch meets the same random
    numbers.

    It can be stopped: an interrupt commits what is there. The same call goes on from the last commit, which even a
    killed process leaves (one per shard, and every 30 s). Batches that are complete are not computed again. The last of
    them is loaded once more, to see that it is the same; all of them from a loader that begins at the front only: one
    that is neither a list of batches nor a DataLoader over numbered samples in their order. The result is the same,
    byte for byte, as that of a run without a stop, if model and loader are.

    In a process of several (a process group of torch.distributed) each rank records its own batches of the loader,
    which must be that of the whole data set on all of them, without waiting for the others. What is returned is the
    whole, as far as it is then; ``mv.open_dataset`` opens it later.

    Args:
        model: Any nn.Module. Inputs are passed to it as the loader gives them: on its device.
        loader: Batches, always in the same order: tensors; lists or tuples of inputs and targets, of which the first
            entry is the input; mappings of keywords. Any iterable, such as a DataLoader without shuffle.
        layers: Module paths or patterns (``"layer1.*"``); None records all.
        to: The folder, ``"acts.zarr"``, or a URL of any file system that fsspec knows.
        reduce: "mean" or "max" over all axes but batch and channel; or a function of a layer's output, batch first,
            that gives a tensor with a row per sample. None keeps all values.
        top_k: Examples per channel, 0 .. 1024.
        resume: Go on with what is there. False: refuse a path where something is.
        call: Runs the model on a batch in another way: ``lambda model, batch: model(batch["pixels"])``.
        dims: As in ``ActivationCache.capture``; "batch" is the axis of samples.
        dtype: Of what is kept, such as ``torch.float16``; statistics are of these values. None: the layer's own.
        chunk: Bytes of a shard, of all layers together: what is held in memory until it is written.
        progress: Show a bar when it takes longer than some seconds; of several processes rank 0 shows its own.
        rank, world_size: Which of how many processes this is, for launchers without torch.distributed; None asks
            the process group. ``rank=0, world_size=1`` records all batches in this process.

    Raises:
        DatasetError: when a layer was not called, has no axis of samples or another shape in another batch; when what
            is there is of another model, other layers or options, or of another number of ranks; when the loader gives
            other samples than before; when one rank cannot run the model or its part of the loader alone.
        SaveError: when the path is taken by something else, or cannot be written.
        ModelError, InputError, LayersError, DimsError, BudgetError, MissingExtraError: about the arguments.
        ForwardError: when a forward raised; the samples before it are committed.
    """
    check_options(reduce, dtype, call)
    _check_top(top_k)
    part = rank_of(rank, world_size)
    check_model(model)
    among_ranks = part is not None or process_group() is not None
    if among_ranks:
        model = model_of_one(model)
    check_sizes(model)
    refuse_active(model)
    options = Options(layers, dims, reduce, dtype, call)
    folder = _folder_of(to)
    wanted = _wanted_plan(model, options, top_k)
    share = Share(loader) if part is None else share_of(loader, *part)
    shard_bytes = _shard_bytes(chunk)
    check = _no_check
    if part is not None:
        check = partial(check_neighbours, folder.place, part)
        folder = begin_part(folder.place, part, share.split)
    recording = _Recording(folder, wanted, shard_bytes, share, check)
    if recording.find(resume=resume):
        return open_dataset(to)
    bar = Progress(share.total, "data set", unit="batch") if progress and (part is None or part[0] == 0) else None
    run = outputs_of_one if among_ranks else outputs_of
    with closing(bar) if bar is not None else nullcontext():
        try:
            recording.run(lambda batch: run(model, batch, options), bar)
        except KeyboardInterrupt as error:
            error.args = (
                f"{recording.commit.samples} samples are in {folder.place.text!r}; the same call goes on from there",
            )
            raise
        except OSError as error:
            reason = str(error.strerror or error).rstrip(".")
            raise SaveError(
                f"{str(to)!r} could not be written: {reason}. What was committed is whole; make room, and the same "
                "call goes on from there."
            ) from error
    return open_dataset(to)


class _Recording:
    """A data set on its way to a folder.

    Args:
        folder: Where it goes.
        wanted: What is to be recorded; its arrays are known with the first batch.
        shard_bytes: Size of a shard of a new one.
        share: The batches that are to be there.
        check: Called with the plan after the first commit that it makes.
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
        self._share = share
        self._check_others = check
        self._spans = Spans()  # of one rank among several: which samples of the whole its own are
        self._plan = wanted
        self._shard_bytes = shard_bytes
        self._writer: ShardWriter | None = None
        self._whole = True  # False while a piece is taken: the parts do not fit together then
        self._committed_s = time.monotonic()
        self.commit = Commit()

    def find(self, *, resume: bool) -> bool:
        """Look at what is there and go on from it; whether it is complete.

        Raises:
            DatasetError: when it is of something else.
            SaveError: when it is no data set, or must not be there.
        """
        place = self._folder.place
        if not place.exists():
            return False
        if not resume:
            raise SaveError(f"{place.text!r} exists; give another path, or resume=True to go on with it.")
        try:
            text = self._folder.label()
            refuse_ranks(place, text)
            plan = read_plan(text)
        except (FormatError, OSError) as error:
            if isinstance(error, FileNotFoundError) and place.local and not _files_in(place.root):
                return False
            raise SaveError(
                f"{place.text!r} exists and is no data set that can be gone on with ({error}); give another path."
            ) from error
        if difference := plan.difference(self._plan):
            raise DatasetError(
                f"{place.text!r} was begun with {difference}. Give the same again to go on with it, or another path."
            )
        data = self._folder.commit()
        commit, state = read_commit(data, plan) if data is not None else (Commit(), None)
        if self._share.split and state is not None:
            self._spans = Spans.of(state, commit)
            if self._share.whole[0] and tuple(state["whole"][0]) != self._share.whole:
                raise DatasetError(_other_samples(commit.batches))
        if not commit.complete:
            self._begin(plan, commit, state)
        return commit.complete

    def _begin(self, plan: DatasetPlan, commit: Commit, state: Any) -> None:
        self._plan, self.commit = plan, commit
        self._tallies, self._tops = tallies_of(plan, state)
        self._writer = ShardWriter(self._folder, plan, commit.samples)

    def run(self, outputs: Callable[[Any], list[Found]], bar: Progress | None) -> None:
        """Take every batch that is not there yet."""
        done, inputs = self.commit.batches, 0
        rest = None if self.commit.last is None else self._share.rest(done - 1)
        first = 0 if rest is None else done - 1
        number = first - 1
        if bar is not None:
            bar.step(first)
        try:
            for number, batch in enumerate(
                self._share.front() if rest is None else rest, first
            ):  # looked at when it has ended
                last, inputs = _inputs_crcs(batch, inputs)
                if number == done - 1:
                    if (inputs != self.commit.inputs) if rest is None else (last != self.commit.last):
                        raise DatasetError(_other_samples(done))
                    inputs = self.commit.inputs
                elif number >= done:
                    self._take(outputs(batch), self.commit.taken, number)
                    self.commit = replace(self.commit, batches=number + 1, taken=0, inputs=inputs, last=last)
                    if self._full or time.monotonic() - self._committed_s > COMMIT_S:
                        self._write_commit()
                        self._check_once()
                if bar is not None:
                    bar.step(1)
            if number + 1 < done:
                raise DatasetError(_other_samples(done))
            self._write_commit(complete=True)
            self._check_once()
        except BaseException:
            if self._whole and self._writer is not None and self.commit.samples:
                self._write_commit()
            raise

    def _check_once(self) -> None:
        check, self._check_others = self._check_others, _no_check
        check(self._plan)

    @property
    def _full(self) -> bool:
        return self._writer is not None and not self._writer.room

    def _take(self, found: list[Found], skip: int, number: int) -> None:
        """The samples of a batch from ``skip`` on: pieces that each end with their shard or with the batch."""
        writer = self._writer or self._begin_new(found)
        self._check(found, self._share.number(number))
        count, start = len(found[0].values), skip
        first = self._share.first_sample(number, count) if self._share.split else 0
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
            if self._share.split:
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
        if self._share.split:
            state |= self._spans.state(self._share.whole)
        self._folder.write(COMMIT_NAME, [commit_bytes(commit, state)])
        if full or complete or commit.samples < self._plan.shard_samples:
            writer.describe(commit.samples)
        self.commit = commit
        self._committed_s = time.monotonic()


def _no_check(_: DatasetPlan) -> None:
    """Of a process that is alone."""


def _check_top(top_k: object) -> None:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 0 <= top_k <= MOST_TOP:
        raise DatasetError(f"top_k={top_k!r}; expected a whole number 0 .. {MOST_TOP}.")


def _folder_of(to: object) -> DatasetFolder:
    place = store_place(to)
    if not place.root.lower().endswith(FOLDER):
        raise SaveError(f"to={place.text!r} does not end with {FOLDER!r}; write 'acts{FOLDER}'.")
    return DatasetFolder(place)


def _files_in(root: str) -> bool:
    return not Path(root).is_dir() or any(Path(root).iterdir())


def _shard_bytes(chunk: object) -> int:
    try:
        return parse_budget(chunk)
    except BudgetError as error:
        raise BudgetError(str(error).replace("budget=", "chunk=", 1)) from None


def _wanted_plan(model: nn.Module, options: Options, top_k: int) -> DatasetPlan:
    trace = Trace()
    survey(model, trace)
    chosen = choose_layers(options.layers, trace.names) or frozenset()
    dtype = "" if options.dtype is None else str(options.dtype).removeprefix("torch.")
    order = tuple(path for path in dict.fromkeys(trace.names.values()) if path in chosen)
    return DatasetPlan(type(model).__name__, weights_crc(model), order, options.reduction, dtype, top_k)


def _array(number: int, found: Found) -> ArrayPlan:
    draft, values = found.draft, found.values
    where = (draft.path, draft.module_type, draft.call, draft.item, draft.note)
    return ArrayPlan(number, *where, found.dims, tuple(values.shape[1:]), values.dtype)


def _text(array: ArrayPlan) -> str:
    sizes = " x ".join(map(str, array.sample)) or "a number"
    return f"{array.path or '(model)'}: {sizes}, {str(array.dtype).removeprefix('torch.')}"


def _inputs_crcs(batch: object, before: int) -> tuple[int, int]:
    """CRC-32 over the tensors of a batch, and over those of all batches; ``before``: of those before it."""
    sums = b"".join(checksum(tensor).to_bytes(4, "little") for tensor in tensors_in(batch))
    return zlib.crc32(sums), zlib.crc32(sums, before)


def _other_samples(batches: int) -> str:
    return (
        f"the loader gives other samples than those of the {batches} batches that are recorded. Give the same data in "
        "the same order (shuffle=False, the same batch size), or another path."
    )
