"""A data set that ranks record together, since the weights of the model lie on several of them: who takes what.

In: what is to be recorded, on every rank. Out: a Lockstep that runs; or the same error on all ranks before a forward.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

from torch import nn

from ..capture import SampleGroup
from ..capture.progress import Progress
from ..errors import DatasetError
from .dataset_format import DatasetPlan
from .dataset_layers import Options
from .dataset_lockstep import Lockstep, SameBatches, said_of, stopped
from .dataset_recording import Job, Recording
from .dataset_share import Share
from .dataset_wire import LostRankError, Notice, Wire
from .launch import process_group

Made = TypeVar("Made")


def record_together(
    model: nn.Module, prepare: Callable[[], Job], options: Options, group: SampleGroup, *, progress: bool
) -> None:
    """Record a data set with all ranks of the process group, each of which calls this.

    The ranks of a group that computes the same samples take the same batches, and the first of them writes. What lies
    in the folder is what as many ranks as there are groups would have recorded without waiting for each other.

    Raises:
        DatasetError: when the ranks do not fit together, or another one stopped or is gone.
        Exception: whatever stopped this one, such as SaveError, ForwardError, KeyboardInterrupt.
    """
    world = Wire(range(process_group().get_world_size()))
    try:
        lockstep, total = _begun(world, model, prepare, options, group)
    except LostRankError as error:
        raise DatasetError(
            f"another rank is gone, or did not call mv.record_dataset within the timeout of the process group "
            f"({error}). The weights of the model lie on several ranks, and all of them must call it."
        ) from error
    if lockstep is None:
        return
    bar = Progress(total, "data set", unit="batch") if progress and group.rank == 0 else None
    with closing(bar) if bar is not None else nullcontext():
        lockstep.run(bar)


def _begun(
    world: Wire, model: nn.Module, prepare: Callable[[], Job], options: Options, group: SampleGroup
) -> tuple[Lockstep | None, int]:
    """What is to be run, and of how many batches; None when all is there."""
    job, failure = _tried(prepare)
    said = {"error": failure and said_of(failure), "ranks": group.ranks, "token": uuid.uuid4().hex}
    every = world.said(said if job is None else {**said, "weights": job.wanted.weights, "plan": plan_crc(job.wanted)})
    _stop_if_any(every, failure)
    assert job is not None
    if len({each["plan"] for each in every}) > 1:
        raise other_plan(world.said(job.wanted.as_json()))
    teams = teams_of([each["ranks"] for each in every])
    notice = Notice(every[0]["token"])
    job = replace(job, wanted=replace(job.wanted, weights=common_weights([each["weights"] for each in every])))
    own = next(number for number, team in enumerate(teams) if group.rank in team)
    part = None if len(teams) == 1 else (own, len(teams))
    (share, recording), failure = _shared(job, part, group)
    done = None if recording is None else [recording.commit.batches, recording.commit.complete]
    every = world.said({"error": failure and said_of(failure), "done": done})
    _stop_if_any(every, failure)
    assert share is not None
    if all(every[team[0]]["done"][1] for team in teams):
        return None, 0
    batches, complete = every[group.ranks[0]]["done"]
    source = recording if recording is not None else SameBatches(share, batches)
    lockstep = Lockstep(model, options, group, teams, share, source, recording, notice, complete=complete)
    return lockstep, share.total


def _shared(
    job: Job, part: tuple[int, int] | None, group: SampleGroup
) -> tuple[tuple[Share | None, Recording | None], BaseException | None]:
    """The batches of a group, and on its first rank where they go."""
    if group.first:
        recording, failure = _tried(lambda: job.begin(part, alone=False))
        return (None if recording is None else recording.share, recording), failure
    share, failure = _tried(lambda: job.share(part))
    return (share, None), failure


def teams_of(ranks: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The groups of ranks that compute the same samples, in the order of their lowest ranks.

    Args:
        ranks: Of each rank, the group that it is in.

    Raises:
        DatasetError: when they contradict each other.
    """
    for rank, own in enumerate(ranks):
        for other in own:
            if other >= len(ranks) or list(ranks[other]) != list(own):
                raise DatasetError(
                    f"by its weights rank {rank} computes the same samples as ranks {_numbers(own)}, and rank {other} "
                    f"as {_numbers(ranks[other]) if other < len(ranks) else 'none'}. Give all ranks the same model."
                )
    return sorted({tuple(own) for own in ranks}, key=min)


def plan_crc(plan: DatasetPlan) -> int:
    """A number of all that ranks must have in common: a plan may name thousands of layers."""
    return zlib.crc32(json.dumps({**plan.as_json(), "weights": ""}).encode())


def common_weights(weights: Sequence[str]) -> str:
    """A sum of the weights of all ranks, of those of each, which may have other pieces of them."""
    return f"{zlib.crc32(' '.join(weights).encode()):08x}"


def other_plan(plans: Sequence[dict[str, Any]]) -> DatasetError:
    """The error about ranks that were given different things; ``plans``: of each."""
    names = ("model", "reduce", "dtype", "top_k")
    found = [
        DatasetPlan(layers=tuple(each["layers"]), weights="", **{name: each[name] for name in names}) for each in plans
    ]
    rank = next(rank for rank, each in enumerate(found) if each != found[0])
    return DatasetError(
        f"rank {rank} was given {found[rank].difference(found[0])} as rank 0. Give all ranks the same model, layers "
        "and options."
    )


def _tried(make: Callable[[], Made]) -> tuple[Made | None, BaseException | None]:
    """What was made, or why not: the other ranks must be told first."""
    try:
        return make(), None
    except BaseException as error:
        return None, error


def _stop_if_any(every: Sequence[dict[str, Any]], failure: BaseException | None) -> None:
    if failure is not None:
        raise failure
    if any(each["error"] for each in every):
        raise stopped([each["error"] or "" for each in every])


def _numbers(ranks: Sequence[int]) -> str:
    return ", ".join(map(str, ranks))
