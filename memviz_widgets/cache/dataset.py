"""record_dataset: what chosen layers give for every sample of a data set, streamed to a folder; memory stays flat.

In: a model and a loader. Out: a Zarr folder with values, statistics per channel and the top examples of each, and the
ActivationDataset that reads it. What was committed is never computed again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, nullcontext
from typing import Any

import torch
from torch import nn

from ..capture import class_name
from ..capture.inputs import check_model
from ..capture.layer_names import choose_layers
from ..capture.progress import Progress
from ..capture.trace import Trace, survey
from ..capture.weights import check_sizes
from ..errors import BudgetError, DatasetError, SaveError
from .active import refuse_active
from .budget import parse_budget
from .dataset_cache import ActivationDataset
from .dataset_format import DatasetPlan
from .dataset_layers import Options, Reduce, check_options, outputs_of, weights_crc
from .dataset_opening import open_dataset
from .dataset_ranks import model_of_ranks, outputs_of_one
from .dataset_recording import Job
from .dataset_shards import DatasetFolder
from .dataset_together import record_together
from .launch import process_group, rank_of
from .store_files import FOLDER, store_place

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

    When the weights of the model lie on several ranks (``fully_shard``, tensor parallel), all of them must call it, and
    record in lockstep: ranks with the same samples take the same batches, the first of them writes whole outputs; a
    rank without a batch runs one of its own again. When one stops, all do, with what is complete committed.

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
            the process group. ``rank=0, world_size=1`` records all batches in this process. With weights on several
            ranks they must be those of the process group, or be left out.

    Raises:
        DatasetError: when a layer was not called, has no axis of samples or another shape in another batch; when what
            is there is of another model, other layers or options, or of another number of ranks; when the loader gives
            other samples than before; when one rank cannot run the model or its part of the loader alone; in
            lockstep, when another rank stopped or is gone, or nothing says how an output lies over the ranks.
        SaveError: when the path is taken by something else, or cannot be written.
        ModelError, InputError, LayersError, DimsError, BudgetError, MissingExtraError: about the arguments.
        ForwardError: when a forward raised; the samples before it are committed.
    """
    check_options(reduce, dtype, call)
    _check_top(top_k)
    part = rank_of(rank, world_size)
    check_model(model)
    options = Options(layers, dims, reduce, dtype, call)
    group, run = None, outputs_of
    if part is not None or process_group() is not None:
        model, group = model_of_ranks(model, part)
        run = outputs_of_one

    def prepare() -> Job:
        check_sizes(model)
        refuse_active(model)
        return Job(_folder_of(to), _wanted_plan(model, options, top_k), loader, _shard_bytes(chunk), resume)

    if group is not None:
        record_together(model, prepare, options, group, progress=progress)
        return open_dataset(to)
    recording = prepare().begin(part)
    if recording.commit.complete:
        return open_dataset(to)
    shown = progress and (part is None or part[0] == 0)
    bar = Progress(recording.share.total, "data set", unit="batch") if shown else None
    with closing(bar) if bar is not None else nullcontext():
        try:
            recording.run(lambda batch: run(model, batch, options), bar)
        except KeyboardInterrupt as error:
            error.args = (recording.gone_on_with,)
            raise
        except OSError as error:
            raise recording.unwritten(error) from error
    return open_dataset(to)


def _check_top(top_k: object) -> None:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 0 <= top_k <= MOST_TOP:
        raise DatasetError(f"top_k={top_k!r}; expected a whole number 0 .. {MOST_TOP}.")


def _folder_of(to: object) -> DatasetFolder:
    place = store_place(to)
    if not place.root.lower().endswith(FOLDER):
        raise SaveError(f"to={place.text!r} does not end with {FOLDER!r}; write 'acts{FOLDER}'.")
    return DatasetFolder(place)


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
    return DatasetPlan(class_name(type(model)), weights_crc(model), order, options.reduction, dtype, top_k)
